"""The model registry as tasks: find versions and the champion, register a checkpoint."""

from prefect import get_run_logger
from prefect.artifacts import create_link_artifact

from flows.support.artifacts import artifact_key
from flows.support.tasks import io_task
from srgan.errors import RegistryError, SrganError
from srgan.promotion.lineage import Lineage, keep_registration
from srgan.refs import ModelRef
from srgan.services.mlflow_models import challenger_address
from srgan.services.mlflow_runs import model_url
from srgan.versions.champion import lost
from srgan.versions.register import register_version
from srgan.versions.services import open_services


@io_task
def find_version(address: str) -> ModelRef:
    """Return the version that ``NAME`` (its champion), ``NAME@ALIAS`` or ``NAME/VERSION`` means."""
    return open_services(get_run_logger().warning).version(address)


def find_challenger(model: str, version: int | None) -> ModelRef:
    """Return a version of a model; without a number, its newest challenger."""
    return find_version(f"models:/{model}/{version}" if version else challenger_address(model))


@io_task
def find_champion(model: str) -> ModelRef | None:
    """Return the champion by the promotion log; None before the first promotion.

    An alias in MLflow that says otherwise is corrected: a promotion that was interrupted between
    the log and the alias ends here.
    """
    logger = get_run_logger()
    services = open_services(logger.warning)
    champion = services.champion(model)
    if champion is None and (gone := lost(services.registry, services.log(model))) is not None:
        logger.warning(
            "Champion version %d of %s is gone from the registry, or other weights have its "
            "number: challengers are compared with bicubic",
            *(gone, model),
        )
    return champion


def register(model: str, lineage: Lineage) -> ModelRef:
    """Make the checkpoint of the lineage a version of `model` with alias ``challenger``.

    A run that already has a version keeps it; no second one is made. The bucket holds everything
    that the version is made of before MLflow is asked: where MLflow stays away, `RegistryError`
    names the command that finishes later.
    """
    kept = keep(model, lineage)
    try:
        return publish_version(model, lineage)
    except SrganError:
        raise
    except Exception as error:
        run = lineage.checkpoint.run
        raise RegistryError(
            f"{run} could not be registered as {model} ({error}). The model is safe in "
            f"{kept}. When MLflow is back, `srgan models register {run}` finishes that "
            "and says how to have the version judged"
        ) from error


@io_task
def keep(model: str, lineage: Lineage) -> str:
    """Write the registration to the bucket and return its address."""
    store = open_services().store
    return store.uri(keep_registration(store, model, lineage))


@io_task
def publish_version(model: str, lineage: Lineage) -> ModelRef:
    """Make the version in MLflow, and link it on the flow run's page."""
    services = open_services()
    version = register_version(services.settings, services.store, model, lineage)
    address = model_url(services.settings, version.name, version.version)
    get_run_logger().info("%s is registered: %s", version.uri, address)
    create_link_artifact(
        address,
        link_text=f"{version.name} version {version.version} in MLflow",
        key=artifact_key(model, "version"),
        description="The newest challenger: weights, lineage and figures",
    )
    return version
