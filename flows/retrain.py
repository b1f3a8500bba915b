"""Retraining: from photos to a decision about a new model version."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.evaluate import check_judges, evaluate, find_sets
from flows.jobs import root_flow_run_id, stop_jobs
from flows.prepare import prepare
from flows.promote import promote
from flows.register import find_champion, find_version, register
from flows.retries import PATIENTLY
from flows.train import train
from srgan.adapters.registry import Registry
from srgan.adapters.s3 import open_store
from srgan.adapters.tracking import tracked_run
from srgan.config import Name, Recipe
from srgan.evaluate.lineage import training_inputs, what_changed
from srgan.evaluate.promotions import PromotionLog
from srgan.recipes import get_recipe
from srgan.refs import DatasetRef, ModelRef
from srgan.settings import Settings


@flow(name="retrain", on_cancellation=[stop_jobs])
def retrain(
    source: str,
    dataset: Name,
    model: Name = "srgan",
    recipe: str | Recipe = "demo",
    num_workers: int | None = None,
    force: bool = False,
) -> ModelRef | State[None]:
    """Train, measure, register and, if it is better, promote a model of the photos in `source`.

    With nothing new since the champion (or the version decided on last) it ends at once and says
    so. It fails before it trains where the gate could not compare the result with the champion.

    Args:
        source: S3 address of the photos, ``s3://BUCKET/PREFIX``.
        dataset: Name under which the photos are prepared.
        model: Name of the registered model.
        recipe: Name of a recipe, or a whole one.
        num_workers: Training workers; without one, every GPU of the cluster or two CPUs.
        force: Train anew even though nothing changed.
    """
    plan = recipe if isinstance(recipe, Recipe) else get_recipe(recipe)
    data = prepare(source, dataset, plan.data)
    if not force and (reason := reason_to_skip(model, data, plan)):
        return Completed(message=reason)
    if (before := find_champion(model)) is not None:
        check_judges(before, plan)
    # Before training too: what it finds would otherwise waste it.
    sets = find_sets(plan.gate.sets, datasets=[data], models=[before] if before else [])
    with retraining(model, data, plan):
        result, pretrained = train(data, plan.pretrain, num_workers=num_workers, force=force), None
        if plan.adversarial:
            pretrained = result
            result = train(
                data, plan.adversarial, init_from=pretrained, num_workers=num_workers, force=force
            )
        champion = find_champion(model)
        evaluation = evaluate(result, data, pretrained, champion, sets)
        challenger = register(model, result, evaluation, data, pretrained=pretrained, recipe=plan)
        promote(model, challenger.version)
    return challenger


@task(**PATIENTLY, cache_policy=NO_CACHE)
def reason_to_skip(model: str, dataset: DatasetRef, recipe: Recipe) -> str | None:
    """Why training again would change nothing; None (and what is new, in the log) when it would."""
    logger = get_run_logger()
    settings = Settings()
    entries = PromotionLog(open_store(settings), model).entries()
    if not entries:
        logger.info("Model %s has no version yet", model)
        return None
    inputs = training_inputs(dataset, recipe)
    registry = Registry(settings)
    champion = entries[-1].champion
    for version in {entries[-1].decision.challenger, champion} - {None}:
        tags = registry.tags(find_version(f"models:/{model}/{version}"))
        changed = what_changed(tags, inputs)
        if not changed:
            role = "champion" if version == champion else "which was refused"
            return (
                f"Nothing new: version {version} of {model} ({role}) was made of the same dataset "
                f"version, recipe and code. Use force to train anew."
            )
        logger.info("New since version %d: %s", version, ", ".join(changed))
    return None


@contextmanager
def retraining(model: str, dataset: DatasetRef, recipe: Recipe) -> Iterator[None]:
    """One MLflow run around the stages; they find it by the id of the root flow run."""
    inputs = training_inputs(dataset, recipe)
    params = {"model": model, "dataset": dataset.dataset, "recipe_name": recipe.name, **inputs}
    with tracked_run(
        Settings(),
        name=f"retrain {model}",
        key=root_flow_run_id(),
        parent=None,
        params=params,
        config=recipe,
        dataset=dataset,
    ):
        yield
