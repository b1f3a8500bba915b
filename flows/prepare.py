"""Bring a dataset up to date with the photos below a prefix, and announce that it has grown."""

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.events import emit_event

from flows.support.artifacts import artifact_key
from flows.support.jobs import is_root_run, stop_jobs
from flows.support.preparing import have_prepared
from flows.support.tasks import io_task
from srgan.config import DataConfig, GrowthConfig, Name
from srgan.data.changes import growth_since_announced, mark_announced
from srgan.data.manifest import DatasetManifest, read_latest, read_manifest, read_sources
from srgan.data.prepare import count_reasons
from srgan.data.tables import SourceObject
from srgan.jobs.prepare import PhotoPairs, Photos
from srgan.readable import size
from srgan.refs import DatasetRef
from srgan.services.deployments import DATASET
from srgan.versions.services import open_services

GROWN = "srgan.dataset.grown"
"""The event of a dataset that has grown; automations and deployments may be triggered by it."""

_MAX_REJECTIONS_SHOWN = 50


@flow(name="prepare", flow_run_name="prepare {dataset}", on_cancellation=[stop_jobs])
def prepare(
    source: str,
    dataset: Name,
    data: DataConfig = DataConfig(),  # noqa: B008  # frozen
    growth: GrowthConfig = GrowthConfig(),  # noqa: B008  # frozen
    licence: str | None = None,
) -> DatasetRef:
    """Cut the photos below a prefix into HR crops: an immutable version of a dataset.

    Photos that have not changed since the last time are not read again; a Ray job reads the others.
    Run by itself, not within another flow, it emits the event ``srgan.dataset.grown`` when enough
    has changed.

    Args:
        source: S3 address of the photos, ``s3://BUCKET/raw/pets``.
        dataset: Name of the dataset, new or to be brought up to date.
        data: Size of the crops, share held out for evaluation, limits.
        growth: How many changed photos are enough.
        licence: Licence of the photos, such as ``CC BY 4.0``; without it the previous version's.
    """
    before = latest_version(dataset)
    ref = cut(Photos(source=source, dataset=dataset, config=data, licence=licence))
    show_dataset(ref, before)
    if is_root_run():
        announce_growth(ref, growth)
    return ref


@io_task
def latest_version(dataset: str) -> str | None:
    """Return the version that is there already."""
    manifest, _ = read_latest(open_services().store, dataset)
    return manifest.version if manifest else None


def cut(work: Photos | PhotoPairs) -> DatasetRef:
    """Return the version of the photos that are there now, which a job makes if it has to read."""
    found = find_changes(work)
    return found if isinstance(found, DatasetRef) else have_prepared(work, found, DatasetRef)


@io_task
def find_changes(work: Photos | PhotoPairs) -> DatasetRef | str:
    """Return a digest of the photos to be read; without any, publish and return the version."""
    services = open_services()
    listing = work.listing(services.settings, services.store)
    return listing.digest if listing.changed else listing.cut(licence=work.licence)


@io_task
def show_dataset(ref: DatasetRef, before: str | None) -> None:
    """Show in the log and as artifacts what the version holds and what was left out."""
    store = open_services().store
    manifest = read_manifest(store, ref.key)
    sources = read_sources(store, manifest)
    rejected = [source for source in sources if source.reason]
    get_run_logger().info(summary_line(ref, before, manifest, sources))
    create_markdown_artifact(
        summary_page(ref, manifest, sources),
        key=artifact_key(ref.dataset, "dataset"),
        description=f"Dataset {ref.dataset}, version {ref.version[:12]}",
    )
    if rejected:
        create_table_artifact(
            [
                {"object": each.key, "reason": each.reason, "detail": each.detail}
                for each in rejected[:_MAX_REJECTIONS_SHOWN]
            ],
            key=artifact_key(ref.dataset, "rejected"),
            description=f"Objects that cannot be used as photos: {len(rejected)}, "
            f"of which at most {_MAX_REJECTIONS_SHOWN} are shown",
        )


def summary_line(
    ref: DatasetRef, before: str | None, manifest: DatasetManifest, sources: list[SourceObject]
) -> str:
    """Say in one line of the log what was read and what is there now."""
    version = ref.version[:12]
    read = f"{ref.num_read} objects read, {len(sources) - ref.num_read} unchanged"
    if ref.version != before:
        what = f"new version {version}, {read}"
    elif ref.num_read:
        what = f"same content: version {version} reused, {read}"
    else:
        what = f"nothing changed: version {version} reused, 0 objects read"
    photos = f"{ref.num_train_photos} + {ref.num_eval_photos} photos (train + eval)"
    if ref.lr_source is not None:
        photos = f"{ref.num_train_photos} pairs"
    return (
        f"Dataset {ref.dataset}: {what}; {photos}, {manifest.num_duplicates} duplicates, "
        f"{_reasons(sources)}"
    )


def _reasons(sources: list[SourceObject]) -> str:
    reasons = count_reasons(sources)
    if not reasons:
        return "none rejected"
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return f"{sum(reasons.values())} rejected ({listed})"


def summary_page(ref: DatasetRef, manifest: DatasetManifest, sources: list[SourceObject]) -> str:
    """Make a Markdown page about a version."""
    num_bytes = sum(shard.size_bytes for shard in manifest.shards)
    crop_size = manifest.config.crop_size
    held_out = ("Photos held out", f"{ref.num_eval_photos} ({ref.num_eval_crops} crops)")
    if ref.lr_source is not None:
        held_out = ("LR photos", f"`{ref.lr_source}`")
    rows = [
        ("Photos to train on", f"{ref.num_train_photos} ({ref.num_train_crops} crops)"),
        held_out,
        ("Crops", f"{crop_size} × {crop_size}, {len(manifest.shards)} shards, {size(num_bytes)}"),
        ("Duplicates", str(manifest.num_duplicates)),
        ("Not usable", _reasons(sources)),
        ("Objects read this time", f"{ref.num_read} of {len(sources)}"),
        ("Version", f"`{ref.version}`"),
        ("DatasetManifest", f"`{ref.key}`"),
        ("SourceObject", f"`{ref.source}`"),
        ("Licence", ref.licence or "not stated"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"# Dataset {ref.dataset}\n\n|  |  |\n| --- | --- |\n{table}\n"


@io_task
def announce_growth(ref: DatasetRef, growth: GrowthConfig) -> None:
    """Emit `GROWN` if enough photos have changed since it was last emitted for this dataset.

    Its resource is ``srgan.dataset.<name>`` (a team's ``srgan.dataset.<team>~<name>``), its payload
    holds the version and the counts. It is marked after it was emitted: twice is better than never,
    because a retraining decides by itself.
    """
    services = open_services()
    store = services.store
    changes = growth_since_announced(store, ref)
    if not changes.enough(growth):
        get_run_logger().info(
            "Since dataset %s was last announced as grown: %s; it is announced again from %d "
            "photos and %g %% on",
            *(ref.dataset, changes, growth.min_changed_photos, 100 * growth.min_changed_share),
        )
        return
    emit_event(
        GROWN,
        resource={
            "prefect.resource.id": f"{DATASET}{services.settings.shared(ref.dataset)}",
            "prefect.resource.name": ref.dataset,
            "srgan.source": ref.source,
        },
        payload={
            "version": ref.version,
            "num_before": changes.num_before,
            "num_new": len(changes.new),
            "num_changed": len(changes.changed),
            "num_removed": len(changes.removed),
        },
    )
    mark_announced(store, ref)
    get_run_logger().info("Announced (event %s): dataset %s, %s", GROWN, ref.dataset, changes)
