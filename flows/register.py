"""The registry as tasks: register a checkpoint, find versions and the champion."""

from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact
from prefect.cache_policies import NO_CACHE

from flows.artifact_keys import artifact_key
from flows.retries import PATIENTLY
from srgan.adapters.registry import CHAMPION, Registry
from srgan.adapters.s3 import open_store
from srgan.adapters.tracking import model_url
from srgan.config import Recipe
from srgan.evaluate.lineage import Lineage
from srgan.evaluate.promotions import PromotionLog
from srgan.refs import CheckpointRef, DatasetRef, EvaluationRef, ModelRef
from srgan.settings import Settings
from srgan.train.checkpoint import read_generator


@task(**PATIENTLY, cache_policy=NO_CACHE)
def register(
    model: str,
    checkpoint: CheckpointRef,
    evaluation: EvaluationRef,
    dataset: DatasetRef,
    pretrained: CheckpointRef | None = None,
    recipe: Recipe | None = None,
    reason: str | None = None,
    start: ModelRef | None = None,
) -> ModelRef:
    """Make the checkpoint a version of `model` with alias ``challenger``.

    A run that already has a version keeps it; no second one is made. `reason` says why it was
    trained, `start` is the version that it was fine-tuned from.
    """
    settings = Settings()
    lineage = Lineage(
        checkpoint=checkpoint,
        pretrained=pretrained,
        dataset=dataset,
        evaluation=evaluation,
        recipe=recipe,
        reason=reason,
        start=start,
    )
    weights = read_generator(open_store(settings), checkpoint)
    version = Registry(settings).register(model, weights, lineage)
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
    version = PromotionLog(open_store(settings), model).champion()
    if version is None:
        return None
    registry = Registry(settings)
    aliased = registry.find(model, CHAMPION)
    if aliased is None or aliased.version != version:
        registry.set_alias(model, CHAMPION, version)
        get_run_logger().warning("Alias %s of %s now follows the log: %d", CHAMPION, model, version)
    return registry.resolve(f"models:/{model}/{version}")


@task(**PATIENTLY, cache_policy=NO_CACHE)
def find_version(address: str) -> ModelRef:
    """The version that ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or ``NAME`` means."""
    return Registry(Settings()).resolve(address)
