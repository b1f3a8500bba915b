"""What a bulk run has to do: sources that no earlier record covers, cut into batches.

Everything lies below ``<destination>/_srgan/<run>/``: ``plan/<batch>.json`` the keys of a batch,
``plan.json`` what the batches have in common, written last, ``records/<batch>.parquet`` what
became of them, ``summary.json`` the end. A flow that is put back finds its own plan and follows
it, so that its batches keep their numbers and its model stays the one that it began with.
"""

import time
from collections.abc import Iterator
from itertools import count, islice

from pydantic import TypeAdapter

from srgan.config import UpscaleConfig
from srgan.errors import ImageError
from srgan.keys import batch_key, plan_key, refused_key, summary_key
from srgan.refs import ModelRef, Ref, config_digest, to_json
from srgan.storage import ObjectInfo, ObjectStore
from srgan.upscale.forecast import Forecast
from srgan.upscale.join import Item, Join
from srgan.upscale.manifest import Manifest
from srgan.upscale.names import reroute_suffix
from srgan.upscale.records import Record, Stamp, Tally, tally, to_parquet
from srgan.upscale.survey import Sample, survey

_MAX_BATCH_KEYS = 5000
"""Bounds a batch of tiny images: its records, its time, and what a killed job costs."""
_ITEMS = TypeAdapter(tuple[Item, ...])


class Plan(Ref):
    """One bulk run; small however many keys it has."""

    run: str
    source: str
    destination: str
    model: ModelRef
    config: UpscaleConfig
    created_at: float
    """Seconds since the epoch."""
    num_batches: int
    num_todo: int
    todo_bytes: int
    num_covered: int
    """Sources whose output an earlier run's record proves."""
    refused: Tally
    """Sources that cannot be read or written by their name; recorded as failed, never read."""
    forecast_text: str = ""
    """The numbers of the plan in words, for the log."""

    @property
    def stamp(self) -> Stamp:
        """What this run's outputs depend on besides their sources."""
        return stamp_of(self.model, self.config)


def stamp_of(model: ModelRef, config: UpscaleConfig) -> Stamp:
    """Only what decides the bytes of an output: other tiles or batches make the same ones.

    `oversize` decides where the bytes go; outputs that fit are the same with any.
    """
    return Stamp(
        model=f"{model.name}/{model.version}@{model.weights_digest[:16]}",
        config_digest=config_digest(
            config.output_format,
            config.jpeg_quality,
            config.jpeg_subsampling,
            config.precision,
            config.scale,
            config.size,
        ),
    )


def find_plan(store: ObjectStore, destination: str, run: str) -> Plan | None:
    """The plan that an earlier life of this run wrote, or None."""
    data = store.find(plan_key(destination, run))
    return None if data is None else Plan.model_validate_json(data)


def name_run(store: ObjectStore, destination: str, run: str) -> str:
    """`run`, with a number behind it where runs of that name have ended.

    Prefect's *Retry* keeps the id of a flow run: with the old plan it would find all batches done
    and repeat the failures of its last life.
    """
    names = (run if life == 0 else f"{run}-{life}" for life in count())
    return next(name for name in names if store.head(summary_key(destination, name)) is None)


def make_plan(
    source_store: ObjectStore,
    store: ObjectStore,
    *,
    source: str,
    destination: str,
    run: str,
    model: ModelRef,
    config: UpscaleConfig,
    manifest: Manifest | None = None,
    sample: Sample | None = None,
    own_bucket: str | None = None,
) -> Plan:
    """Join the listings of source and destination with earlier records; write the batches down.

    `ConfigError` before anything is written: a destination inside the source, two sources with
    one output, an output inside the source, a disk that is too small. `DataError` when there is
    nothing below the source, or when a manifest cannot be read. In `own_bucket`, what this system
    wrote is not a source.
    """
    stamp = stamp_of(model, config)
    with Join(reroute_suffix(config.oversize)) as join:
        forecast = survey(
            *(join, source_store, store, source, destination, stamp, config, manifest, sample),
            own_bucket=own_bucket,
        )
        forecast.check_space(destination)
        num_batches = 0
        weight = forecast.todo_bytes + forecast.num_todo
        for items in _batches(join.todo(), weight, forecast.num_batches):
            key = batch_key(destination, run, num_batches)
            store.put(key, _ITEMS.dump_json(items))
            num_batches += 1
        refused = _record_refused(join, store, destination, run, stamp)
    plan = Plan(
        run=run,
        source=source,
        destination=destination,
        model=model,
        config=config,
        created_at=time.time(),
        num_batches=num_batches,
        num_todo=forecast.num_todo,
        todo_bytes=forecast.todo_bytes,
        num_covered=forecast.num_covered,
        refused=refused,
        forecast_text=forecast.text,
    )
    store.put(plan_key(destination, run), to_json(plan), content_type="application/json")
    return plan


def preview(
    source_store: ObjectStore,
    store: ObjectStore,
    *,
    source: str,
    destination: str,
    model: ModelRef,
    config: UpscaleConfig,
    manifest: Manifest | None = None,
    sample: Sample | None = None,
    own_bucket: str | None = None,
) -> Forecast:
    """What `make_plan` would find, without writing anything; refuses what it refuses."""
    stamp = stamp_of(model, config)
    with Join(reroute_suffix(config.oversize)) as join:
        forecast = survey(
            *(join, source_store, store, source, destination, stamp, config, manifest, sample),
            own_bucket=own_bucket,
        )
    forecast.check_space(destination)
    return forecast


def read_batch(store: ObjectStore, destination: str, run: str, batch: int) -> tuple[Item, ...]:
    """The sources of one batch, in the order of keys."""
    return _ITEMS.validate_json(store.get(batch_key(destination, run, batch)))


def _batches(items: Iterator[Item], weight: int, num_batches: int) -> Iterator[tuple[Item, ...]]:
    """At most `num_batches` of about equal weight, or more where there are many tiny keys.

    A key weighs its bytes and one more, so that empty files do not weigh nothing.
    """
    batch: list[Item] = []
    seen = 0
    num_cut = 0
    for item in items:
        batch.append(item)
        seen += item.size_bytes + 1
        if seen * num_batches >= weight * (num_cut + 1) or len(batch) == _MAX_BATCH_KEYS:
            yield tuple(batch)
            batch = []
            num_cut = seen * num_batches // weight
    if batch:
        yield tuple(batch)


def _record_refused(
    join: Join, store: ObjectStore, destination: str, run: str, stamp: Stamp
) -> Tally:
    total = Tally()
    rows = (_refusal(info, problem, stamp) for info, problem in join.refused())
    number = 0
    while part := list(islice(rows, _MAX_BATCH_KEYS)):
        key = refused_key(destination, run, number)
        store.put(key, to_parquet(part))
        total += tally(part)
        number += 1
    return total


def _refusal(info: ObjectInfo, problem: str, stamp: Stamp) -> Record:
    reason, _, detail = problem.partition(": ")
    return Record(
        source_key=info.key,
        source_token=info.token,
        source_bytes=info.size_bytes,
        model=stamp.model,
        config_digest=stamp.config_digest,
        outcome="failed",
        error=ImageError.__name__,
        reason=reason,
        detail=detail,
    )
