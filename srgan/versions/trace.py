"""Trace an image or a model version to everything that it was made of, and to what used it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import unquote

from srgan.bulk.plan import BulkPlan
from srgan.bulk.records import Record, from_parquet
from srgan.bulk.run import BulkUse
from srgan.data.manifest import read_manifest, read_sources
from srgan.errors import CheckpointError, ConfigError, DataError, RegistryError, StorageError
from srgan.keys import (
    OWN,
    batch_of,
    batches_prefix,
    plan_key,
    records_key,
    spec_key,
)
from srgan.measure.figures import TITLES, figure_name, figure_text, in_order
from srgan.refs import BlendSource, DatasetRef, ModelRef
from srgan.report.chain import Link
from srgan.services.mlflow_models import parse_address
from srgan.services.mlflow_runs import find_run, model_url, run_url
from srgan.services.s3 import open_store
from srgan.storage import ObjectStore, is_folder, read_document, split_uri
from srgan.train.checkpoint import CheckpointManifest, newest_manifest
from srgan.versions.services import Services

_SHOWN_KEYS = 5
_MODEL = "srgan-model"


def trace(services: Services, address: str) -> Link:
    """Return the chain of an upscaled image (``s3://BUCKET/KEY``) or of a model version.

    `StorageError` if there is no such object, `DataError` if it was not upscaled by this project,
    `RegistryError` if the version does not exist (any more).
    """
    check_address(address)
    if address.startswith("s3://"):
        return _image(services, address)
    version = services.version(address)
    return _version(services, version, uses=_uses(services.store, version))


def check_address(address: str) -> None:
    """Raise `ConfigError` unless this addresses an image or a version."""
    if address.startswith("s3://"):
        split_uri(address)
        return
    try:
        parse_address(address)
    except ConfigError as error:
        raise ConfigError(f"{error}, or s3://BUCKET/KEY of an upscaled image") from error


def trace_version(services: Services, version: ModelRef) -> Link:
    """Return the chain of what a model version was made of, without what used it."""
    return _version(services, version, uses=())


def source_keys(services: Services, address: str) -> list[str]:
    """Return the addresses of all photos that a version, or an image's model, was trained on.

    The LR photos of pairs are left out; they have the names of the HR photos.
    """
    if address.startswith("s3://"):
        version, _ = _made_with(services, *split_uri(address))
    else:
        version = services.version(address)
    pairs = services.registry.record(version).pairs
    keys = []
    for dataset in (services.registry.dataset_of(version), *([pairs] if pairs else [])):
        bucket = split_uri(dataset.source)[0]
        sources = read_sources(services.store, read_manifest(services.store, dataset.key))
        keys += [f"s3://{bucket}/{source.key}" for source in sources if source.pixels]
    return keys


def _image(services: Services, uri: str) -> Link:
    bucket, key = split_uri(uri)
    version, metadata = _made_with(services, bucket, key)
    facts = {
        "source": unquote(metadata["srgan-source"]),
        "its token": metadata["srgan-source-token"],
        "settings": metadata["srgan-config"],
    }
    if found := _bulk_run(open_store(services.settings, bucket), key, metadata):
        plan, record = found
        facts |= {
            "source": record.source_key
            if is_folder(plan.source)
            else f"s3://{split_uri(plan.source)[0]}/{record.source_key}",
            "bulk run": plan.run,
            "planned": _time(plan.created_at),
            "format": f"{plan.config.output_format}, precision {plan.config.precision}",
        }
    return Link("upscaled image", uri, facts, (_version(services, version, uses=()),))


def _made_with(services: Services, bucket: str, key: str) -> tuple[ModelRef, dict[str, str]]:
    """Return the version that made an object, and the metadata that says so."""
    store = open_store(services.settings, bucket)
    metadata = store.metadata(key)
    stamp = metadata.get(_MODEL)
    if stamp is None:
        raise DataError(
            f"{store.uri(key)} was not upscaled by this project: its object metadata has no "
            f"{_MODEL}. Copies lose it unless they are told to keep it; name the object that the "
            "flow upscale wrote"
        )
    address, _, digest = stamp.rpartition("@")
    try:
        version = services.registry.resolve(f"models:/{address}")
    except (ConfigError, RegistryError) as error:
        raise RegistryError(
            f"{store.uri(key)} was made with models:/{address}, weights {digest}…, and {error}"
        ) from error
    if not version.weights_digest.startswith(digest):
        raise RegistryError(
            f"{store.uri(key)} was made with weights {digest}… of models:/{address}, which now "
            f"holds {version.weights_digest[:16]}…: another registry, or one that was set up again"
        )
    return version, metadata


def _bulk_run(
    store: ObjectStore, key: str, metadata: Mapping[str, str]
) -> tuple[BulkPlan, Record] | None:
    """Return the run that wrote an object, by the records above it; None if they are gone."""
    folders = key.split("/")[:-1]
    for depth in range(len(folders), -1, -1):
        keys = sorted(info.key for info in store.list("/".join([*folders[:depth], OWN, ""])))
        for key_of_plan, run in ((each, at) for each in keys if (at := plan_key.names(each))):
            plan = read_document(store, key_of_plan, BulkPlan)
            stamp = {_MODEL: plan.stamp.model, "srgan-config": plan.stamp.config_digest}
            if not stamp.items() <= metadata.items():
                continue
            parts = [(each, names) for each in keys if (names := records_key.names(each))]
            for part in (each for each, names in parts if run.items() <= names.items()):
                for record in from_parquet(store.get(part), store.uri(part)):
                    if record.destination_key == key and record.outcome != "failed":
                        return plan, record
    return None


def _version(services: Services, version: ModelRef, *, uses: tuple[Link, ...]) -> Link:
    store, record = services.store, services.registry.record(version)
    facts = {
        "aliases": ", ".join(record.aliases or ()) or "none",
        "registered": _time(record.created.timestamp()),
        "weights": version.weights_digest,
        "trained": record.reason,
        "start": record.start,
        "recipe": record.recipe_name,
        "code": record.numerics_version,
        "release": record.release_version,
        "decision": record.decision,
        **{
            f"of {TITLES[who]}": _figures(version.metrics[who])
            for who in TITLES
            if who in version.metrics
        },
        "evaluation": store.uri(record.evaluation) if record.evaluation else "",
        "report": record.report,
        "imported": record.source_file,
        "blended": str(record.blend or ""),
        "page": model_url(services.settings, version.name, version.version),
    }
    stages = [run for run in (version.run, version.pretrained_run) if run]
    origins = [] if record.is_imported else [_stages(services, stages)]
    if record.dataset is not None:
        origins.append(_dataset(store, record.dataset))
    if record.pairs is not None:
        origins.append(_dataset(store, record.pairs))
    if record.blend is not None:
        origins += [_source(services, source) for source in record.blend.sources]
    return Link("model version", version.uri, _filled(facts), (*origins, *uses))


def _source(services: Services, source: BlendSource) -> Link:
    """Return the chain of one of the two generators of a blend, as far as it is known."""
    name, _, number = parse_address(source.model) if source.runs else ("", None, None)
    version = services.registry.version(name, number) if number else None
    if version is None:
        facts = {"weights": source.weights, "runs": ", ".join(source.runs)}
        return Link("blended from", source.model, _filled(facts))
    return replace(_version(services, version, uses=()), kind="blended from version")


def _stages(services: Services, runs: list[str], kind: str = "trained by run") -> Link:
    """Return the node of a training stage, and below it the stage that it started from."""
    run, *earlier = runs
    settings, store = services.settings, services.store
    checkpoint = _checkpoint(store, run)
    mlflow_run = find_run(settings, run)
    facts = {"page": run_url(settings, mlflow_run) if mlflow_run else ""}
    if checkpoint is None:
        facts["checkpoint"] = "gone; the version holds the weights"
    else:
        facts |= {
            "stage": f"{checkpoint.stage}, {checkpoint.step} steps, {checkpoint.num_ranks} workers",
            "handed on": checkpoint.chosen or "",
            "config": json.dumps(checkpoint.config, sort_keys=True),
            "figures": _figures(checkpoint.metrics),
            "code": checkpoint.numerics_version,
            "release": checkpoint.release_version,
            "dataset": checkpoint.dataset_version,
            "pairs": checkpoint.pairs_version or "",
            "checkpoint": store.uri(checkpoint.key),
        }
    below = (_stages(services, earlier, "started from run"),) if earlier else ()
    return Link(kind, run, _filled(facts), below)


def _checkpoint(store: ObjectStore, run: str) -> CheckpointManifest | None:
    try:
        return newest_manifest(store, run)
    except CheckpointError:
        return None


def _dataset(store: ObjectStore, dataset: DatasetRef) -> Link:
    facts = {
        "source": dataset.source,
        "lr": dataset.lr_source or "",
        "licence": dataset.licence or "not stated",
        "photos": f"{dataset.num_train_photos} to train on, {dataset.num_eval_photos} held out",
        "manifest": store.uri(dataset.key),
    }
    try:
        sources = read_sources(store, read_manifest(store, dataset.key))
    except StorageError:
        facts["sources"] = "gone with the dataset version"
    else:
        keys = [source.key for source in sources if source.pixels]
        more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
        facts["sources"] = ", ".join(keys[:_SHOWN_KEYS]) + more
    kind = "trained on dataset" if dataset.lr_source is None else "trained on pairs"
    return Link(kind, f"{dataset.dataset}, version {dataset.version}", _filled(facts))


def _uses(store: ObjectStore, version: ModelRef) -> tuple[Link, ...]:
    """Return the bulk runs that used a version, by their specs."""
    return tuple(
        Link(
            "used by bulk run",
            use.run,
            {"source": use.source, "destination": use.destination},
        )
        for use in _bulk_uses(store)
        if (use.model.name, use.model.version) == (version.name, version.version)
    )


def _bulk_uses(store: ObjectStore) -> Iterator[BulkUse]:
    # Earlier releases wrote a spec for each batch instead of one for the run.
    for key in sorted(info.key for info in store.list(batches_prefix())):
        if (names := spec_key.names(key)) and batch_of(names["run"]) in (None, 0):
            yield read_document(store, key, BulkUse)


def _figures(figures: Mapping[str, float]) -> str:
    return ", ".join(
        f"{figure_name(each)} {figure_text(each, figures[each])}" for each in in_order(figures)
    )


def _filled(facts: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
