"""Plan a bulk run: find sources that no earlier record covers, and cut them into batches.

Everything lies below ``<destination>/_srgan/<run>/``: ``plan/<batch>.json`` with the keys of a
batch; ``plan.json`` with what the batches have in common, written last; ``records/<batch>.parquet``
with what became of the keys; ``summary.json`` at the end. A flow that is put back finds its own
plan and follows it, so that its batches keep their numbers and its model stays the same.
"""

import re
import time
from collections.abc import Callable, Iterator
from itertools import count, islice

from pydantic import TypeAdapter

from srgan.bulk.forecast import Forecast, Throughput, free_bytes, spread
from srgan.bulk.join import Item, Join
from srgan.bulk.names import check_prefixes, reroute_suffix
from srgan.bulk.records import (
    MAX_NAMED,
    Record,
    Tally,
    covering,
    tally,
    throughput,
    to_parquet,
)
from srgan.bulk.run import BulkRun, Stamp, stamp_of
from srgan.bulk.sources import KeyList, list_sources
from srgan.config import UpscaleConfig
from srgan.errors import ImageError
from srgan.images.entries import largest_bytes
from srgan.keys import batch_key, is_ours, plan_key, refused_key, summary_key, unfinished_folder
from srgan.refs import ModelRef, Ref, to_json
from srgan.storage import ObjectInfo, Place, find_document, is_folder

_MIN_BATCH_BYTES = 2**18
_UNFINISHED_S = 86_400.0
"""Age at which nobody writes to an unfinished file any more."""
_BATCH_S = 600.0
_LEAST_MEASURED_S = 10.0
"""Less is mostly the first image, for which kernels are compiled."""
_UNMEASURED_BATCH_BYTES = 8 * 2**20
"""About ten minutes of photos as JPEG (2 bits a pixel) at 0.8 output megapixels per second, ×4."""
_BATCHES_PER_WORKER = 2
_MAX_BATCH_KEYS = 5000
"""Bounds a batch of tiny images: its records, its time, and the cost of a killed worker."""
_ITEMS = TypeAdapter(tuple[Item, ...])

Sample = Callable[[Iterator[Item]], Throughput]
"""Judges the outputs of a few sources where an earlier run cannot."""


class BulkPlan(Ref):
    """The plan of one bulk run; small however many keys the run has."""

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
    """Sources whose output is proven by an earlier run's record."""
    refused: Tally
    """Sources whose names cannot be read or written; recorded as failed, never read."""
    passed_over: Tally = Tally()
    """Keys that are not photos by their name, or by their first bytes in an earlier run."""
    forecast_text: str = ""
    """The numbers of the plan in words, for the log."""

    @property
    def stamp(self) -> Stamp:
        """The stamp of all outputs of the run."""
        return stamp_of(self.model, self.config)

    @property
    def is_nothing_new(self) -> bool:
        """True if the run is for new photos only and there is none."""
        return self.config.only_new and not self.num_todo and not self.refused.num_failed


def find_plan(destination: Place, run: str) -> BulkPlan | None:
    """Find the plan that an earlier attempt of this run wrote.

    `StorageError` if another release wrote it.
    """
    key = plan_key(destination.address, run)
    return find_document(destination.store, key, BulkPlan, mend="start a new run")


def name_run(destination: Place, run: str) -> str:
    """Return `run`, followed by a number if runs of that name have ended.

    Prefect's *Retry* keeps the id of a flow run: with the old plan, it would find all batches done
    and repeat the failures of its last attempt.
    """
    names = (run if attempt == 0 else f"{run}-{attempt}" for attempt in count())
    return next(
        name
        for name in names
        if destination.store.head(summary_key(destination.address, name)) is None
    )


def make_plan(
    run: BulkRun, key_list: KeyList | None = None, sample: Sample | None = None
) -> BulkPlan:
    """Join the listings of source and destination with earlier records; write the batches down.

    `ConfigError` before anything is written: a destination inside the source, two sources with
    one output, an output inside the source, a disk that is too small. `DataError` if there is
    nothing below the source, or a manifest cannot be read. A run for new photos only may find
    nothing, and then writes nothing.
    """
    store, destination = run.destination.store, run.destination.address
    _sweep(run.destination)
    with Join(reroute_suffix(run.config.oversize)) as join:
        forecast = _survey(join, run, key_list, sample)
        num_batches = 0
        weight = forecast.todo_bytes + forecast.num_todo
        for items in _batches(join.todo(), weight, forecast.num_batches):
            store.put(batch_key(destination, run.name, num_batches), _ITEMS.dump_json(items))
            num_batches += 1
        refused = _record_refused(join, run)
        num_others, others = join.passed_over(MAX_NAMED)
    plan = BulkPlan(
        run=run.name,
        source=run.source.address,
        destination=destination,
        model=run.model,
        config=run.config,
        created_at=time.time(),
        num_batches=num_batches,
        num_todo=forecast.num_todo,
        todo_bytes=forecast.todo_bytes,
        num_covered=forecast.num_covered,
        refused=refused,
        passed_over=Tally(num_passed_over=num_others, passed_over=others),
        forecast_text=forecast.text,
    )
    if not plan.is_nothing_new:
        store.put(plan_key(destination, run.name), to_json(plan), content_type="application/json")
    return plan


def preview(
    run: BulkRun, key_list: KeyList | None = None, sample: Sample | None = None
) -> Forecast:
    """Find what `make_plan` would find, and refuse the same, without writing anything."""
    with Join(reroute_suffix(run.config.oversize)) as join:
        return _survey(join, run, key_list, sample)


def read_batch(run: BulkRun, batch: int) -> tuple[Item, ...]:
    """Read the sources of one batch, in the order of keys."""
    key = batch_key(run.destination.address, run.name, batch)
    return _ITEMS.validate_json(run.destination.store.get(key))


def _sweep(destination: Place) -> None:
    """Delete what killed workers left unfinished in a folder; other runs are writing there too."""
    if not is_folder(destination.address):
        return
    store = destination.store
    for info in store.list(f"{unfinished_folder(destination.prefix)}/"):
        if info.written_at < time.time() - _UNFINISHED_S:
            store.delete(info.key)


def _survey(join: Join, run: BulkRun, key_list: KeyList | None, sample: Sample | None) -> Forecast:
    """Fill the join, and make a forecast from it."""
    check_prefixes(run.source.address, run.destination.address)
    list_sources(join, run, key_list)
    measured = _list_outputs(join, run)
    total, num_todo, todo_bytes = join.count()
    num_refused = join.count_refused()
    num_others, _ = join.passed_over(0)
    num_failed_before = join.count_failed_before() if run.config.only_new else 0
    if sample is not None and num_todo and not measured.source_bytes:
        measured = sample(spread(join.todo(), num_todo))
    forecast = Forecast(
        num_todo=num_todo,
        todo_bytes=todo_bytes,
        num_covered=total - num_todo - num_refused - num_others - num_failed_before,
        num_refused=num_refused,
        num_others=num_others,
        num_failed_before=num_failed_before,
        num_batches=_num_batches(run.config, todo_bytes, measured) if num_todo else 0,
        free_bytes=free_bytes(run.destination.address),
    ).projected(
        measured,
        max_workers=run.config.max_workers,
        unread_bytes=join.bytes_above(largest_bytes(run.config.max_pixels)),
    )
    forecast.check_space(run.destination.address)
    return forecast


def _list_outputs(join: Join, run: BulkRun) -> Throughput:
    """Add outputs and records; return what earlier runs took, with the same stamp if any had it."""
    store, stamp, own = run.destination.store, run.stamp, plan_key.below(run.destination.address)
    limits = run.limits if run.config.only_new else None
    # Parts of refused sources tell only what failed.
    number = r"(refused-)?\d+" if run.config.only_new else r"\d+"
    part = re.compile(re.escape(own) + rf"[^/]+/records/{number}\.parquet")
    same = Throughput(measured_on="earlier runs with this model and these settings")
    others = Throughput(measured_on="earlier runs with other models or settings")
    for info in store.list(run.destination.prefix):
        if not is_ours(info.key):
            join.add_output(info)
        elif part.fullmatch(info.key):
            data, uri = store.get(info.key), store.uri(info.key)
            join.add_records(covering(data, uri, stamp, failed_within=limits))
            same += throughput(data, uri, stamp)
            others += throughput(data, uri)
    return same if same.source_bytes else others


def _num_batches(config: UpscaleConfig, todo_bytes: int, measured: Throughput) -> int:
    """Choose batches of about ten minutes of work at most, and more of them than workers.

    More, so that the last ones end at about the same time; but not so small that its records cost
    more than its work.
    """
    most = min(config.batch_bytes, _UNMEASURED_BATCH_BYTES)
    if measured.megapixels_per_s and measured.upscale_s >= _LEAST_MEASURED_S:
        seconds_per_byte = measured.megapixels / measured.megapixels_per_s / measured.source_bytes
        most = min(config.batch_bytes, max(1, int(_BATCH_S / seconds_per_byte)))
    share = max(-(-todo_bytes // (_BATCHES_PER_WORKER * config.max_workers)), _MIN_BATCH_BYTES)
    return max(1, -(-todo_bytes // min(most, share)))


def _batches(items: Iterator[Item], weight: int, num_batches: int) -> Iterator[tuple[Item, ...]]:
    """Cut at most `num_batches` of about equal weight, or more if there are many tiny keys.

    A key weighs its bytes and one more, so that empty files have a weight too.
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


def _record_refused(join: Join, run: BulkRun) -> Tally:
    total = Tally()
    rows = (_refusal(info, problem, run) for info, problem in join.refused())
    number = 0
    while part := list(islice(rows, _MAX_BATCH_KEYS)):
        key = refused_key(run.destination.address, run.name, number)
        run.destination.store.put(key, to_parquet(part))
        total += tally(part)
        number += 1
    return total


def _refusal(info: ObjectInfo, problem: str, run: BulkRun) -> Record:
    stamp = run.stamp
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
        limits=run.limits,
    )
