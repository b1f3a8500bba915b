"""Make an evaluation set of the photos or pairs below prefixes, or bring it up to date."""

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows.support.artifacts import artifact_key
from flows.support.jobs import stop_jobs
from flows.support.preparing import have_prepared
from flows.support.tasks import io_task
from srgan.config import DegradationConfig, Name, Scale, SetConfig
from srgan.jobs.prepare import SetPairs, SetPhotos
from srgan.measure.sets import read_set
from srgan.refs import SetRef
from srgan.versions.services import open_services

_MAX_REJECTIONS_SHOWN = 50


@flow(name="prepare-eval", flow_run_name="prepare-eval {name}", on_cancellation=[stop_jobs])
def prepare_eval(
    source: str,
    name: Name,
    config: SetConfig = SetConfig(),  # noqa: B008  # frozen
    lr: str | None = None,
    scale: Scale = 4,
) -> SetRef:
    """Copy the photos below a prefix into a fixed, versioned set that models are measured on.

    A Ray job reads them. A recipe names its sets in ``gate.sets``. The same photos make the same
    version; a version keeps its photos, whatever becomes of the prefix. With `lr` it is a set of
    pairs: models enlarge the LR photos and are compared with the photos of the same names. Pairs
    that do not fit are left out and shown with the reason.

    Args:
        source: S3 address of the photos, ``s3://BUCKET/raw/set5``.
        name: Name of the set, new or to be brought up to date.
        config: Whole photos (the default) or crops, limits, and a degradation besides bicubic.
        lr: S3 address of their LR photos; without one, LR images are made from the photos.
        scale: How many times as large as their LR photos the photos are; without `lr` a set has no
            scale.
    """
    work = (
        SetPhotos(source=source, name=name, config=config)
        if lr is None
        else SetPairs(hr=source, lr=lr, scale=scale, name=name, config=config)
    )
    ref = have_prepared(work, look_through(work), SetRef)
    show_set(ref)
    return ref


@io_task
def look_through(work: SetPhotos | SetPairs) -> str:
    """Return a digest of the photos that are there; `DataError` if there are none."""
    services = open_services()
    return work.digest(services.settings, services.store)


@io_task
def show_set(ref: SetRef) -> None:
    """Show in the log and as an artifact what the set holds and what was left out."""
    made = read_set(open_services().store, ref.key)
    how = f"crops of {made.config.crop_size} pixels"
    images = f"{ref.num_images} {how if made.config.crop_size else 'whole photos'}"
    if made.config.degradation != DegradationConfig():
        images += ", degraded"
    if made.lr_source:
        images += f", LR photos of {made.lr_source}"
    get_run_logger().info(
        "Evaluation set %s: version %s, %d photos, %s, %d duplicates, %d not usable",
        ref.name,
        ref.version[:12],
        ref.num_photos,
        images,
        made.num_duplicates,
        len(made.rejected),
    )
    rejected = list(made.rejected.items())[:_MAX_REJECTIONS_SHOWN]
    listed = "\n".join(f"- `{key}`: {reason}" for key, reason in rejected)
    create_markdown_artifact(
        f"# Evaluation set {ref.name}\n\n{ref.num_photos} photos of `{made.source}`, {images}. "
        f"Version `{ref.version}`, `{ref.key}`.\n\n"
        + (f"Not usable, {len(made.rejected)} in all:\n\n{listed}\n" if listed else ""),
        key=artifact_key(ref.name, "set"),
        description=f"Evaluation set {ref.name}, version {ref.version[:12]}",
    )
