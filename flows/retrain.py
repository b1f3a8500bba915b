"""Retraining: from photos to a decision about a new model version."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.evaluate import evaluate
from flows.prepare import prepare
from flows.promote import promote
from flows.support.beginning import begin, find_beginning, find_reason, find_start
from flows.support.inputs import (
    check_held_out,
    check_judges,
    check_named_judges,
    check_scales,
    check_teachers,
    find_pairs,
    find_sets,
)
from flows.support.jobs import root_flow_run_id, stop_jobs
from flows.support.model_lock import IfBusy, model_lock, refused
from flows.support.registry import find_champion, register
from flows.support.report import report
from flows.train import as_recipe, train
from srgan.config import Gpu, Name, Recipe, RetrainConfig, StageConfig
from srgan.promotion.lineage import Lineage, start_tags, training_inputs
from srgan.promotion.reasons import Beginning
from srgan.refs import CheckpointRef, DatasetRef, ModelRef
from srgan.services.mlflow_runs import tracked_run
from srgan.versions.services import open_services


@flow(name="retrain", flow_run_name="retrain {model}", on_cancellation=[stop_jobs])
def retrain(
    source: str,
    dataset: Name,
    model: Name = "srgan",
    recipe: str | Recipe = "demo",
    num_workers: int | None = None,
    force: bool = False,
    policy: RetrainConfig | None = None,
    if_busy: IfBusy = "wait",
    gpu: Gpu = "auto",
) -> ModelRef | State[None]:
    """Train, measure and register a model of the photos in `source`; promote it if it is better.

    Without a reason (see `policy`) it ends at once and says so. It fails before it trains if the
    gate could not compare the result with the champion. A model has one retraining at a time.

    Args:
        source: S3 address of the photos, ``s3://BUCKET/PREFIX``.
        dataset: Name under which the photos are prepared.
        model: Name of the registered model.
        recipe: Name of a recipe, or a whole one.
        num_workers: Training workers; without it a GPU for 16 patches of a batch, or two CPUs.
        force: Train without a reason, with another seed than the recipe's.
        policy: When training is worth its cost, and from which weights; without it the recipe's
            `retrain`.
        if_busy: Whether to ``wait`` for another retraining of the model, or to ``refuse``.
        gpu: Whether to train and measure on GPUs: if the cluster has any (``auto``), ``required``
            or ``never``.
    """
    plan = plan_of(recipe, policy)
    with model_lock(model, if_busy) as free:
        if not free:
            return refused(model)
        begun = find_beginning(model, dataset, plan)
        if begun is None:
            data = prepare(source, dataset, plan.data)
            pairs = find_pairs(plan)
            decision = find_reason(model, data, plan, force, pairs)
            if not decision.train:
                return Completed(message=decision.sentence)
            begun = begin(model, plan, data, decision, find_champion(model), pairs)
        return go_on(model, begun, plan, num_workers, gpu)


def go_on(
    model: str, begun: Beginning, plan: Recipe, num_workers: int | None, gpu: Gpu
) -> ModelRef:
    """Go from the beginning to the decision about a new version; nothing is done twice."""
    data, before = begun.dataset, begun.champion
    check_named_judges(plan)
    if before is not None:
        check_judges(before, plan)
        check_scales(data.scale, [before])
        check_held_out(data, [before], decides=not plan.gate.sets)
    # Before training, because a set that shows training photos would make it a waste.
    trained_on = [data, *([begun.pairs] if begun.pairs else [])]
    models = [before] if before else []
    sets = find_sets(plan.gate.sets, data.scale, datasets=trained_on, models=models)
    start = find_start(plan, before)
    check_teachers(plan)
    origin = before if start else None
    with retraining(model, begun, plan, origin):
        stages = reseeded(plan, begun.seed)
        numerics_version = begun.numerics_version
        result, pretrained = train_stages(
            data, stages, start, num_workers, numerics_version, begun.pairs, gpu
        )
        champion = to_beat(model, result, before)
        evaluation = evaluate(result, data, pretrained, champion, sets, numerics_version, gpu)
        lineage = Lineage(
            checkpoint=result,
            pretrained=pretrained,
            dataset=data,
            evaluation=evaluation,
            recipe=plan,
            reason=begun.reason,
            start=origin,
            pairs=begun.pairs,
            numerics_version=numerics_version,
        )
        challenger = register(model, lineage)
        promotion = promote(model, challenger.version, gpu=gpu)
        report(challenger, promotion)
    return challenger


def to_beat(model: str, result: CheckpointRef, before: ModelRef | None) -> ModelRef | None:
    """Return the champion before training, also if an earlier attempt has promoted the result.

    None if another one has come since. Nobody has looked yet whether it learned what it would be
    measured on; the promotion does, and then measures it.
    """
    champion = find_champion(model)
    if champion is None or before is None:
        return None
    stays = (champion.version, champion.weights_digest) == (before.version, before.weights_digest)
    return before if stays or champion.run == result.run else None


def plan_of(recipe: str | Recipe, policy: RetrainConfig | None) -> Recipe:
    """Return the recipe with the flow run's policy, if it was given one."""
    plan = as_recipe(recipe)
    return plan.model_copy(update={"retrain": policy}) if policy else plan


def reseeded(recipe: Recipe, seed: int | None) -> Recipe:
    """Return the recipe with this seed in all its stages; None leaves it as it is."""
    if seed is None:
        return recipe
    other = {"seed": seed}
    adversarial = recipe.adversarial and recipe.adversarial.model_copy(update=other)
    pretrain = recipe.pretrain.model_copy(update=other)
    return recipe.model_copy(update={"pretrain": pretrain, "adversarial": adversarial})


def train_stages(
    dataset: DatasetRef,
    recipe: Recipe,
    start: CheckpointRef | None,
    num_workers: int | None,
    numerics_version: str,
    pairs: DatasetRef | None = None,
    gpu: Gpu = "auto",
) -> tuple[CheckpointRef, CheckpointRef | None]:
    """Return the result, and the pretrained generator if its GAN stage started from one.

    With `start`, only the last stage is trained. `numerics_version` is part of the stages' names.
    """

    def trained(stage: StageConfig, begin: CheckpointRef | None) -> CheckpointRef:
        return train(
            dataset,
            stage,
            begin,
            num_workers=num_workers,
            numerics_version=numerics_version,
            pairs=pairs,
            gpu=gpu,
        )

    if recipe.adversarial is None:
        return trained(recipe.pretrain, start), None
    pretrained = None
    if start is None:
        pretrained = trained(recipe.pretrain, None)
    return trained(recipe.adversarial, start or pretrained), pretrained


@contextmanager
def retraining(
    model: str, begun: Beginning, recipe: Recipe, start: ModelRef | None
) -> Iterator[None]:
    """Keep one MLflow run around the stages, which find it by the id of the root flow run."""
    data = begun.dataset
    decides = training_inputs(data, recipe, begun.numerics_version, begun.pairs)
    inputs = {**decides, **start_tags(start)}
    params = {"model": model, "dataset": data.dataset, "recipe_name": recipe.name, **inputs}
    with tracked_run(
        open_services().settings,
        name=f"retrain {model}",
        key=root_flow_run_id(),
        parent=None,
        params=params,
        tags={"reason": begun.reason, "flow_run": root_flow_run_id()},
        config=recipe,
        dataset=data,
    ):
        yield
