"""The registry as tasks: register a checkpoint, find versions and the champion."""

from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact
from prefect.cache_policies import NO_CACHE

from flows.support.tasks import PATIENTLY, artifact_key
from srgan.config import Recipe
from srgan.errors import RegistryError, SrganError
from srgan.promotion.lineage import Lineage, keep_registration
from srgan.promotion.log import PromotionLog
from srgan.refs import CheckpointRef, DatasetRef, EvaluationRef, ModelRef
from srgan.services.mlflow_models import Registry
from srgan.services.mlflow_runs import model_url
from srgan.services.s3 import open_store
from srgan.settings import Settings
from srgan.versions.champion import champion_of, lost
from srgan.versions.champion import find_version as find
from srgan.versions.register import register_version


def register(
    model: str,
    checkpoint: CheckpointRef,
    evaluation: EvaluationRef,
    dataset: DatasetRef,
    pretrained: CheckpointRef | None = None,
    *,
    code: str,
    recipe: Recipe | None = None,
    reason: str | None = None,
    start: ModelRef | None = None,
) -> ModelRef:
    """Make the checkpoint a version of `model` with alias ``challenger``.

    A run that already has a version keeps it; no second one is made. What the version is made of
    is in the bucket first: where MLflow stays away, `RegistryError` names the command that
    finishes later. `code` is the numerics version that its stages are named by, `reason` says why
    it was trained, `start` is the version that it was fine-tuned from.
    """
    lineage = Lineage(
        checkpoint=checkpoint,
        pretrained=pretrained,
        dataset=dataset,
        evaluation=evaluation,
        recipe=recipe,
        reason=reason,
        start=start,
        numerics_version=code,
    )
    kept = keep(model, lineage)
    try:
        return publish_version(model, lineage)
    except SrganError:
        raise
    except Exception as error:
        raise RegistryError(
            f"{checkpoint.run} could not be registered as {model} ({error}). The model is safe in "
            f"{kept}. When MLflow is back, `srgan models register {checkpoint.run}` finishes that "
            "and says how to have the version judged"
        ) from error


@task(**PATIENTLY, cache_policy=NO_CACHE)
def keep(model: str, lineage: Lineage) -> str:
    """Where what a version is made of lies, now that it does."""
    store = open_store(Settings())
    return store.uri(keep_registration(store, model, lineage))


@task(**PATIENTLY, cache_policy=NO_CACHE)
def publish_version(model: str, lineage: Lineage) -> ModelRef:
    """The version in MLflow, tried again while it does not answer."""
    settings = Settings()
    version = register_version(settings, open_store(settings), model, lineage)
    address = model_url(settings, version.name, version.version)
    get_run_logger().info("%s is registered: %s", version.uri, address)
    create_link_artifact(
        address,
        link_text=f"{version.name} version {version.version} in MLflow",
        key=artifact_key(model, "version"),
        description="The newest challenger: weights, lineage and figures",
    )
    return version


@task(**PATIENTLY, cache_policy=NO_CACHE)
def find_champion(model: str) -> ModelRef | None:
    """The champion by the promotion log; None before the first promotion.

    Where the alias in MLflow says otherwise it is put right: a promotion that was interrupted
    between the log and the alias ends here.
    """
    settings = Settings()
    log = PromotionLog(open_store(settings), model)
    registry = Registry(settings)
    champion = champion_of(registry, log, get_run_logger().warning)
    if champion is None and (gone := lost(registry, log)) is not None:
        get_run_logger().warning(
            "Champion version %d of %s is gone from the registry, or other weights have its "
            "number: challengers are held against bicubic",
            *(gone, model),
        )
    return champion


@task(**PATIENTLY, cache_policy=NO_CACHE)
def find_version(address: str) -> ModelRef:
    """The version that ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or ``NAME`` means."""
    settings = Settings()
    registry, store = Registry(settings), open_store(settings)
    return find(registry, store, address, get_run_logger().warning)
