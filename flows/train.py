"""Flow: one training stage as a Ray job, named by what goes in."""

from typing import Any

from prefect import flow, get_run_logger

from flows.support.jobs import root_flow_run_id, run_job, stop_jobs
from srgan.config import AdversarialConfig, Name, PretrainConfig, Recipe, StageConfig, deciding
from srgan.data.manifest import read_latest
from srgan.errors import ConfigError, DataError, TrainingError
from srgan.jobs.train import TrainSpec, check_workers
from srgan.keys import progress_key, result_key, spec_key
from srgan.recipes import get_recipe
from srgan.refs import CheckpointRef, DatasetRef, config_digest
from srgan.services.mlflow_runs import find_run, tracked_run
from srgan.services.s3 import open_store
from srgan.settings import Settings
from srgan.storage import find_document
from srgan.version import numerics_version, release_version

_DIGITS = 16


@flow(name="train", on_cancellation=[stop_jobs])
def train(
    dataset: DatasetRef,
    stage: StageConfig,
    init_from: CheckpointRef | None = None,
    num_workers: int | None = None,
    force: bool = False,
    code: str | None = None,
) -> CheckpointRef:
    """Train one stage on a dataset version, or take the result if that has been done before.

    An interrupted stage goes on from its newest checkpoint; a stage that another flow run is
    training at this moment is followed, not started again.

    Args:
        dataset: What `prepare` returned.
        stage: Pretrain or adversarial config.
        init_from: The checkpoint to start from; an adversarial stage needs one.
        num_workers: Training processes; without it one per GPU, or two on CPUs.
        force: Train anew although a result of the same inputs exists.
        code: Numerics version that the stage is named by; without it that of the code that runs.
            A retraining that began under earlier code goes on under its own names.
    """
    check_workers(stage, num_workers)
    code = code or numerics_version()
    nonce = root_flow_run_id() if force else None
    run = stage_name(dataset, stage, init_from, code, nonce=nonce)
    return find_result(run) or train_stage(run, dataset, stage, init_from, num_workers, code)


@flow(name="train-recipe", on_cancellation=[stop_jobs])
def train_recipe(
    dataset: Name = "demo",
    recipe: str | Recipe = "demo",
    num_workers: int | None = None,
    force: bool = False,
) -> CheckpointRef:
    """Train the stages of a recipe on the newest version of a dataset, and register nothing.

    Args:
        dataset: Name of a prepared dataset.
        recipe: Name of a recipe, or a whole one.
        num_workers: Training processes; without it one per GPU, or two on CPUs.
        force: Train anew although results of the same inputs exist.
    """
    plan = recipe if isinstance(recipe, Recipe) else get_recipe(recipe)
    data = newest_version(dataset)
    generator = train(data, plan.pretrain, num_workers=num_workers, force=force)
    if plan.adversarial is None:
        return generator
    return train(data, plan.adversarial, init_from=generator, num_workers=num_workers, force=force)


def newest_version(dataset: str) -> DatasetRef:
    """The newest version of a prepared dataset by name; `DataError` when there is none."""
    manifest, _ = read_latest(open_store(Settings()), dataset)
    if manifest is None:
        raise DataError(f"there is no dataset {dataset!r}; run the prepare flow to make it")
    return manifest.ref(num_read=0)


def stage_name(
    dataset: DatasetRef,
    stage: StageConfig,
    init_from: CheckpointRef | None,
    code: str,
    *,
    nonce: str | None = None,
) -> str:
    """``<stage>-<16 hex digits>`` of dataset version, config, starting weights and code.

    Neither the number of workers nor what of the config does not decide the weights is part of it:
    a stage may go on with another one.
    """
    if isinstance(stage, AdversarialConfig) and init_from is None:
        raise ConfigError("an adversarial stage needs init_from, the pretrained checkpoint")
    start = init_from.digest if init_from else None
    decides = deciding(stage.model_dump(mode="json"))
    name = config_digest(dataset.version, decides, start, code, nonce)
    return f"{stage.stage}-{name[:_DIGITS]}"


def find_result(run: str) -> CheckpointRef | None:
    """The checkpoint that an earlier flow run (or an earlier life of this one) has finished."""
    store = open_store(Settings())
    result = find_document(store, result_key(run), CheckpointRef)
    if result is None:
        return None
    get_run_logger().info("Reused: %s has been trained, %s", run, store.uri(result.key))
    return result.model_copy(update={"reused": True})


def train_stage(
    run: str,
    dataset: DatasetRef,
    stage: PretrainConfig | AdversarialConfig,
    init_from: CheckpointRef | None,
    num_workers: int | None,
    code: str,
) -> CheckpointRef:
    """Have the stage trained by a Ray job, under an MLflow run of its own."""
    settings = Settings()
    store = open_store(settings)
    logger = get_run_logger()
    logger.info("%s: progress is in %s", run, store.uri(progress_key(run)))
    with tracked_run(
        settings,
        name=run,
        key=run,
        parent=find_run(settings, root_flow_run_id()),
        params=tracked_params(dataset, stage, init_from, code),
        config=stage,
        dataset=dataset,
    ) as mlflow_run_id:
        spec = TrainSpec(
            run=run,
            stage=stage,
            dataset=dataset,
            init_from=init_from,
            num_workers=num_workers,
            mlflow_run_id=mlflow_run_id,
            numerics_version=code,
            release_version=release_version(),
        )
        run_job(
            stage=run,
            run=run,
            module="srgan.jobs.train",
            spec=spec,
            spec_key=spec_key(run),
            progress_key=progress_key(run),
            supersedes=("pretrain-", "adversarial-"),
        )
        result = find_document(store, result_key(run), CheckpointRef)
    if result is None:
        raise TrainingError(
            f"the job of {run} succeeded, yet {store.uri(result_key(run))} is missing; if it was "
            f"deleted on purpose, start the flow with force"
        )
    logger.info("%s: finished at step %d, %s", run, result.step, result.metrics)
    return result


def tracked_params(
    dataset: DatasetRef,
    stage: PretrainConfig | AdversarialConfig,
    init_from: CheckpointRef | None,
    code: str,
) -> dict[str, str]:
    """What MLflow shows as parameters: the stage's config, flattened, and what went in."""
    return {
        **_flat(stage.model_dump(mode="json")),
        "dataset": dataset.dataset,
        "dataset_version": dataset.version,
        "init_from": init_from.run if init_from else "none",
        "init_weights": init_from.digest if init_from else "none",
        "numerics_version": code,
        "release_version": release_version(),
    }


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat
