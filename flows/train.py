"""Training: stages as Ray jobs, each named by everything that decides its weights."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.support.inputs import check_teachers, find_newest, find_pairs
from flows.support.jobs import root_flow_run_id, run_job, stop_jobs
from srgan.config import AdversarialConfig, Gpu, Name, Recipe, StageConfig, deciding
from srgan.errors import ConfigError, TrainingError
from srgan.jobs.train import TrainSpec, check_workers
from srgan.keys import progress_key, result_key
from srgan.recipes import get_recipe
from srgan.refs import CheckpointRef, DatasetRef, config_digest
from srgan.services.mlflow_runs import find_run, tracked_run
from srgan.storage import ObjectStore, find_document
from srgan.version import numerics_version as numerics_of_this_code
from srgan.version import release_version
from srgan.versions.services import Services, open_services

_DIGITS = 16


@flow(
    name="train",
    flow_run_name="train {stage.stage} on {dataset.dataset}",
    on_cancellation=[stop_jobs],
)
def train(
    dataset: DatasetRef,
    stage: StageConfig,
    init_from: CheckpointRef | None = None,
    num_workers: int | None = None,
    force: bool = False,
    numerics_version: str | None = None,
    pairs: DatasetRef | None = None,
    gpu: Gpu = "auto",
) -> CheckpointRef:
    """Train one stage on a dataset version, or take the result if that has been done before.

    An interrupted stage goes on from its newest checkpoint. A stage that another flow run is
    training now is followed, not started a second time.

    Args:
        dataset: What `prepare` returned.
        stage: Pretrain or adversarial config.
        init_from: The checkpoint to start from; an adversarial stage needs one.
        num_workers: Training processes; without it a GPU for 16 patches of a batch, or two CPUs.
        force: Train again although a result of the same inputs exists.
        numerics_version: Part of the stage's name; without it that of the code that runs. A
            retraining that began under earlier code goes on under its own names.
        pairs: What `prepare_pairs` returned, for a stage with a `pair_share`; others ignore it.
        gpu: Whether to train on GPUs: if the cluster has any (``auto``), ``required`` or ``never``.
    """
    pairs = pairs if stage.num_pairs else None
    check_workers(stage, num_workers)
    numerics_version = numerics_version or numerics_of_this_code()
    nonce = root_flow_run_id() if force else None
    spec = TrainSpec(
        run=stage_name(dataset, stage, init_from, numerics_version, nonce=nonce, pairs=pairs),
        stage=stage,
        dataset=dataset,
        pairs=pairs,
        init_from=init_from,
        num_workers=num_workers,
        gpu=gpu,
        numerics_version=numerics_version,
        release_version=release_version(),
    )
    services = open_services()
    return find_result(services.store, spec.run) or train_stage(services, spec)


def recipe_run_name() -> str:
    """``train-recipe demo on pets``. An unknown recipe fails in the flow's body, not here."""
    recipe, dataset = (flow_run.parameters[name] for name in ("recipe", "dataset"))
    return f"train-recipe {recipe.name if isinstance(recipe, Recipe) else recipe} on {dataset}"


@flow(name="train-recipe", flow_run_name=recipe_run_name, on_cancellation=[stop_jobs])
def train_recipe(
    dataset: Name = "demo",
    recipe: str | Recipe = "demo",
    num_workers: int | None = None,
    force: bool = False,
    gpu: Gpu = "auto",
) -> CheckpointRef:
    """Train the stages of a recipe on the newest version of a dataset, and register nothing.

    Args:
        dataset: Name of a prepared dataset.
        recipe: Name of a recipe, or a whole one.
        num_workers: Training processes; without it a GPU for 16 patches of a batch, or two CPUs.
        force: Train again although results of the same inputs exist.
        gpu: Whether to train on GPUs: if the cluster has any (``auto``), ``required`` or ``never``.
    """
    plan = as_recipe(recipe)
    data = find_newest(dataset)
    check_teachers(plan)
    pairs = find_pairs(plan)
    generator = train(
        data, plan.pretrain, num_workers=num_workers, force=force, pairs=pairs, gpu=gpu
    )
    if plan.adversarial is None:
        return generator
    return train(
        data,
        plan.adversarial,
        init_from=generator,
        num_workers=num_workers,
        force=force,
        pairs=pairs,
        gpu=gpu,
    )


def as_recipe(recipe: str | Recipe) -> Recipe:
    """Return the recipe that a flow run was given, by its name or whole."""
    return recipe if isinstance(recipe, Recipe) else get_recipe(recipe)


def stage_name(
    dataset: DatasetRef,
    stage: StageConfig,
    init_from: CheckpointRef | None,
    numerics_version: str,
    *,
    nonce: str | None = None,
    pairs: DatasetRef | None = None,
) -> str:
    """``<stage>-<16 hex digits>`` of dataset versions, config, starting weights, numerics version.

    The number of workers, their device and settings that do not affect the weights are not part of
    the name: a stage may go on with others.
    """
    if isinstance(stage, AdversarialConfig) and init_from is None:
        raise ConfigError("an adversarial stage needs init_from, the pretrained checkpoint")
    start = init_from.digest if init_from else None
    decides = deciding(stage.model_dump(mode="json"))
    paired = [pairs.version] if pairs else []
    name = config_digest(dataset.version, decides, start, numerics_version, nonce, *paired)
    return f"{stage.stage}-{name[:_DIGITS]}"


def find_result(store: ObjectStore, run: str) -> CheckpointRef | None:
    """Return the checkpoint that an earlier flow run, or attempt of this one, has finished."""
    result = find_document(store, result_key(run), CheckpointRef)
    if result is None:
        return None
    get_run_logger().info("Reused: %s has been trained, %s", run, store.uri(result.key))
    return result.model_copy(update={"reused": True})


def train_stage(services: Services, spec: TrainSpec) -> CheckpointRef:
    """Have a Ray job train the stage, with its own MLflow run."""
    settings, store, logger = services.settings, services.store, get_run_logger()
    run = spec.run
    logger.info("%s: progress is in %s", run, store.uri(progress_key(run)))
    with tracked_run(
        settings,
        name=run,
        key=run,
        parent=find_run(settings, root_flow_run_id()),
        tags={"flow_run": root_flow_run_id()},
        params=tracked_params(spec),
        config=spec.stage,
        dataset=spec.dataset,
    ) as mlflow_run_id:
        run_job(
            services=services,
            label=run,
            run=run,
            module="srgan.jobs.train",
            spec=spec.model_copy(update={"mlflow_run_id": mlflow_run_id}),
            shows_progress=True,
            supersedes=("pretrain-", "adversarial-"),
        )
        result = find_document(store, result_key(run), CheckpointRef)
    if result is None:
        raise TrainingError(
            f"the job of {run} succeeded, but {store.uri(result_key(run))} is missing; if it was "
            "deleted on purpose, start the flow with force"
        )
    logger.info("%s: finished at step %d, %s", run, result.step, result.metrics)
    if result.chosen:
        logger.info("%s: handed on %s", run, result.chosen)
    return result


def tracked_params(spec: TrainSpec) -> dict[str, str]:
    """Return what MLflow shows as parameters: the stage's flattened config, and its inputs."""
    dataset, pairs, init_from = spec.dataset, spec.pairs, spec.init_from
    return {
        **_flat(spec.stage.model_dump(mode="json")),
        "dataset": dataset.dataset,
        "dataset_version": dataset.version,
        **({"pairs": pairs.dataset, "pairs_version": pairs.version} if pairs else {}),
        "init_from": init_from.run if init_from else "none",
        "init_weights": init_from.digest if init_from else "none",
        "numerics_version": spec.numerics_version,
        "release_version": spec.release_version,
    }


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat
