"""A batch while its store fails, is away or takes nothing."""

from collections import Counter
from dataclasses import replace

import pytest

from srgan.bulk import batch as module
from srgan.bulk.batch import BatchPipeline
from srgan.bulk.progress import BatchProgress
from srgan.bulk.records import Record
from srgan.bulk.run import BulkRun
from srgan.errors import StorageError
from srgan.images import decode
from srgan.inference.engine import Engine
from srgan.services.s3 import S3Store
from srgan.storage import ObjectInfo, Place
from tests.support.batches import CountingEngine, png, put
from tests.support.bulk_runs import bulk_run
from tests.support.photos import DrawPhoto
from tests.support.stores import Around


class Flaky(Around):
    """A real store whose reads of one key fail the first few times."""

    def __init__(self, store: S3Store, key: str, failures: int) -> None:
        super().__init__(store)
        self._key = key
        self._failures = failures

    def find(self, key: str) -> bytes | None:
        if key == self._key and self._failures:
            self._failures -= 1
            raise StorageError(f"cannot read {key}: connection reset")
        return self.store.find(key)


def reading(source: Flaky, store: S3Store) -> BulkRun:
    """A run that reads from `source` and writes to `store`."""
    place = Place(store.uri("photos"), source)  # type: ignore[arg-type]  # passes through
    return replace(bulk_run(store), source=place)


@pytest.mark.parametrize(
    ("failures", "outcome", "reason"), [(1, "done", ""), (3, "done", ""), (9, "failed", "storage")]
)
def test_a_key_that_storage_failed_on_gets_further_chances(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    monkeypatch: pytest.MonkeyPatch,
    failures: int,
    outcome: str,
    reason: str,
) -> None:
    items = [put(object_store, f"{n}.png", png(draw_photo(n, 8, 8))) for n in range(3)]
    flaky = Flaky(object_store, items[1].key, failures)
    batch = BatchPipeline(reading(flaky, object_store), engine, decode)
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    rows = batch.run(0, items)
    assert slept == [], "the store answers: it is this key"
    assert [row.outcome for row in rows] == ["done", outcome, "done"]
    assert rows[1].reason == reason


@pytest.mark.parametrize(("failures", "outcome"), [(2, "done"), (99, "failed")])
def test_a_key_that_storage_failed_on_counts_once_when_it_is_done_or_given_up(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    caplog: pytest.LogCaptureFixture,
    failures: int,
    outcome: str,
) -> None:
    items = [put(object_store, f"{n}.png", png(draw_photo(n, 8, 8))) for n in range(3)]
    run = reading(Flaky(object_store, items[1].key, failures), object_store)
    progress, told = BatchProgress(run, 0, items), list[Record]()

    def finished(row: Record) -> None:
        told.append(row)
        progress(row)

    with caplog.at_level("INFO", "srgan.bulk.progress"):
        BatchPipeline(run, engine, decode, progress=finished).run(0, items)
    assert sorted(row.source_key for row in told) == [item.key for item in items]
    assert told[-1].outcome == outcome
    assert caplog.messages[-1].startswith("batch 0: 3 of 3 images")


def test_a_store_that_is_away_is_waited_for(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = put(object_store, "a.png", png(draw_photo(1, 8, 8)))

    class Away(Flaky):
        def head(self, key: str) -> ObjectInfo | None:
            if self._failures:
                raise StorageError(f"cannot look up {key}: connection refused")
            return self.store.head(key)

    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        away._failures -= 1

    monkeypatch.setattr(module.time, "sleep", sleep)
    away = Away(object_store, item.key, 3)
    (row,) = BatchPipeline(reading(away, object_store), engine, decode).run(0, [item])
    assert (row.outcome, slept) == ("done", [1.0, 5.0])


class TakesNoOutputs(Around):
    """A destination that takes only objects of the run itself; `takes` more of others, then all."""

    def __init__(self, store: S3Store, *, refuses: int, all_keys: bool = False) -> None:
        super().__init__(store)
        self.refuses = refuses
        self.all_keys = all_keys

    def put(self, key: str, body: object, **options: object) -> str:
        if self.refuses and (self.all_keys or "_srgan/" not in key):
            raise StorageError(f"cannot write {key}: no space left")
        return str(self.store.put(key, body, **options))  # type: ignore[arg-type]  # passes through


@pytest.mark.parametrize(
    ("pauses", "all_keys", "outcomes", "computed"),
    [
        (0, False, {"done"}, [1, 1, 1, 1]),
        (2, False, {"done"}, [2, 2, 2, 3]),
        (99, False, {"failed"}, [2, 2, 2, 2]),
        (2, True, {"done"}, [2, 2, 2, 2]),
    ],
    ids=["never", "outputs for a while", "outputs for good", "anything for a while"],
)
def test_a_store_that_takes_no_outputs_is_waited_for_and_not_computed_for(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    monkeypatch: pytest.MonkeyPatch,
    pauses: int,
    all_keys: bool,
    outcomes: set[str],
    computed: list[int],
) -> None:
    items = [put(object_store, f"{n}.png", png(draw_photo(n, 8, 8 + n))) for n in range(4)]
    store = TakesNoOutputs(object_store, refuses=pauses, all_keys=all_keys)
    counting, slept = CountingEngine(engine), list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        store.refuses -= 1

    monkeypatch.setattr(module.time, "sleep", sleep)
    place = Place(object_store.uri("up"), store)  # type: ignore[arg-type]  # passes through
    run = replace(bulk_run(object_store), destination=place)
    rows = BatchPipeline(run, counting, decode).run(0, items)
    assert {row.outcome for row in rows} == outcomes
    assert slept == [1.0, 5.0, 15.0, 30.0][:pauses]
    assert sorted(Counter(counting.seen).values()) == computed
