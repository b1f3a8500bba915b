"""Failures in a batch: of images, storage, the engine and memory."""

import errno
import struct
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import pyvips
import torch

from srgan.bulk import batch as module
from srgan.bulk.attempt import Attempt
from srgan.bulk.batch import BatchPipeline, MemoryBudget
from srgan.bulk.progress import BatchProgress
from srgan.bulk.records import Record
from srgan.bulk.run import BulkRun
from srgan.errors import ClusterError, DeviceError, StorageError
from srgan.images import Photo, decode
from srgan.images.rows import encode_into
from srgan.inference.engine import Engine
from srgan.services.s3 import S3Store
from srgan.storage import ObjectInfo, Place
from tests.support.batches import ROWS, CountingEngine, png, put, upscale
from tests.support.bulk_runs import bulk_run
from tests.support.gpus import pretend_gpu
from tests.support.photos import DrawPhoto
from tests.support.stores import Around


def test_bad_images_are_recorded_with_their_reason(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    whole = png(draw_photo(1, 24, 24))
    items = [
        put(object_store, "1-good.png", whole),
        put(object_store, "2-cut.png", whole[: len(whole) // 2]),
        put(object_store, "3-text.png", b"not a picture at all"),
        put(object_store, "4-empty.png", b""),
        put(object_store, "5-float.tif", png(np.ones((4, 4), np.float32), "TIFF")),
        put(object_store, "6-large.png", png(draw_photo(1, 64, 64))),
        put(object_store, "7-good.png", whole),
    ]
    rows = upscale(object_store, engine, items, max_pixels=2000)
    assert [(row.outcome, row.error, row.reason) for row in rows] == [
        ("done", "", ""),
        ("failed", "ImageError", "truncated"),
        ("failed", "ImageError", "not_an_image"),
        ("failed", "ImageError", "empty"),
        ("failed", "ImageError", "unsupported"),
        ("failed", "ImageError", "too_large"),
        ("done", "", ""),
    ]
    written = {info.key for info in object_store.list("up/") if "_srgan" not in info.key}
    assert written == {"up/1-good.png", "up/7-good.png"}


def test_a_file_larger_than_any_image_within_the_limit_is_not_read(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = put(object_store, "a.png", png(draw_photo(1, 24, 24)))
    reads: list[str] = []
    monkeypatch.setattr(
        S3Store, "find", lambda store, key: reads.append(key) if "photos/" in key else None
    )
    most = 8 * 2000 + 64 * 2**20
    items = [item.model_copy(update={"key": f"photos/{n}", "size_bytes": n + most}) for n in (0, 1)]
    rows = upscale(object_store, engine, items, max_pixels=2000)
    assert [row.reason for row in rows] == ["missing", "too_large"]
    assert rows[1].detail.startswith(
        "the file has 67.1 MB, but an image of max_pixels 2000 has at most"
    )
    assert reads == ["photos/0"]


def test_a_source_deleted_after_planning_is_recorded(object_store: S3Store, engine: Engine) -> None:
    item = put(object_store, "gone.png", b"soon gone")
    object_store.delete(item.key)
    (row,) = upscale(object_store, engine, [item])
    assert (row.outcome, row.reason) == ("failed", "missing")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB"),
        torch.AcceleratorError("CUDA error: out of memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_image_that_the_engine_has_no_memory_for_is_recorded(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, error: RuntimeError
) -> None:
    class Small(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            if photo.pixels.shape[1] > 8:
                raise error
            return super().upscale_photo(photo)

    items = [put(object_store, f"{n}.png", png(draw_photo(1, 8, 8 * n))) for n in (1, 2)]
    rows = upscale(object_store, Small(engine), items)
    assert [(row.outcome, row.reason) for row in rows] == [
        ("done", ""),
        ("failed", "out_of_memory"),
    ]


def test_a_bug_ends_the_batch_instead_of_blaming_the_images(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    class Broken(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            raise AttributeError("no such thing")

    items = [put(object_store, f"{n}.png", png(draw_photo(n, 64, 64))) for n in range(8)]
    with pytest.raises(AttributeError):
        upscale(object_store, Broken(engine), items)
    assert object_store.find(ROWS) is None


def test_what_no_image_should_cause_costs_only_its_image_at_the_last_attempt(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [put(object_store, f"{n:02}.png", png(draw_photo(n, 8, 8))) for n in range(60)]
    items[10] = put(object_store, "10.png", png(draw_photo(10, 8, 12)))

    def encoded(file: BytesIO, photo: Photo, **options: object) -> tuple[str, ...]:
        if photo.pixels.shape[1] == 12 * engine.scale:
            raise struct.error("argument out of range")
        return encode_into(file, photo, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "encode_into", encoded)
    for _ in range(2):
        with pytest.raises(struct.error):
            upscale(object_store, engine, items)
    rows = upscale(object_store, engine, items, attempt=Attempt(3, is_last=True))
    assert Counter(row.outcome in ("done", "skipped") for row in rows) == {True: 59, False: 1}
    assert (rows[10].source_key, rows[10].outcome) == ("photos/10.png", "failed")
    assert (rows[10].error, rows[10].reason, rows[10].detail) == (
        "error",
        "crashed",
        "argument out of range",
    )


@pytest.mark.parametrize("where", ["in one go", "by itself"])
def test_at_the_last_attempt_a_bug_in_the_network_costs_only_the_images_it_meets(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, where: str
) -> None:
    class Broken(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            if photo.pixels.shape[1] == 12 and where == "by itself":
                raise AttributeError("no such thing")
            return super().upscale_photo(photo)

        def upscale_photos(self, photos: Sequence[Photo]) -> list[Photo]:
            raise AttributeError("no such thing")

    items = [put(object_store, f"{n}.png", png(draw_photo(n, 8, 8 + n % 3 * 2))) for n in range(6)]
    rows = upscale(object_store, Broken(engine), items, attempt=Attempt(3, is_last=True))
    failed = [row.source_key for row in rows if row.outcome == "failed"]
    assert failed == ([] if where == "in one go" else ["photos/2.png", "photos/5.png"])


@pytest.mark.parametrize("error", [DeviceError("the GPU is gone"), ClusterError("no decoder")])
def test_what_a_node_is_to_blame_for_ends_also_the_last_attempt(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, error: Exception
) -> None:
    class Broken(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            raise error

    items = [put(object_store, f"{n}.png", png(draw_photo(n, 8, 8))) for n in range(3)]
    with pytest.raises(type(error)):
        upscale(object_store, Broken(engine), items, attempt=Attempt(3, is_last=True))
    assert object_store.find(ROWS) is None


def test_images_that_go_alone_are_named_before_they_are_read_and_killers_are_left_out(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, f"{n}.png", png(draw_photo(n, 8, 8))) for n in range(8)]
    upscale(object_store, engine, items[:2], run="earlier")
    told = list[str]()

    class Alone(CountingEngine):
        """Notes what is named while an image is computed."""

        def upscale_photo(self, photo: Photo) -> Photo:
            self.seen.append((len(told),))
            return self._engine.upscale_photo(photo)

    alone = Alone(engine)
    attempt = Attempt(2, is_alone=True, killers=("photos/4.png",))
    rows = upscale(object_store, alone, items, num_cpus=2, attempt=attempt, in_work=told.append)
    outcomes = [row.outcome for row in rows]
    assert outcomes == ["skipped", "skipped", "done", "done", "failed", "done", "done", "done"]
    assert (rows[4].reason, rows[4].detail) == (
        "crashed",
        "the worker's process ended with only this image in work",
    )
    assert sorted(told) == [f"photos/{n}.png" for n in (2, 3, 5, 6, 7)]
    assert alone.seen == [(1,), (2,), (3,), (4,), (5,)], "the next is named when one is stored"


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
    ids=lambda error: str(error)[:20],
)
def test_a_pretended_gpu_that_breaks_ends_the_batch_and_another_process_does_the_rest(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    monkeypatch: pytest.MonkeyPatch,
    error: RuntimeError,
) -> None:
    pretend_gpu(monkeypatch, broken=True)

    class Broken(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            if self.seen:  # as of a CUDA context: nothing works any more
                raise error
            return super().upscale_photo(photo)

    items = [put(object_store, f"{n}.png", png(draw_photo(n, 8, 8))) for n in range(4)]
    with pytest.raises(DeviceError, match=r"the GPU failed.*(CUDA|cuDNN) error"):
        upscale(object_store, Broken(engine), items)
    assert object_store.find(ROWS) is None, "no image is to blame"
    assert {row.outcome for row in upscale(object_store, engine, items)} <= {"done", "skipped"}


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: invalid configuration argument"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
        RuntimeError("cuDNN Frontend error: [cudnn_frontend] Error: No valid engine configs"),
    ],
    ids=lambda error: str(error)[:20],
)
def test_what_a_pretended_gpu_refuses_and_works_on_costs_one_image(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    monkeypatch: pytest.MonkeyPatch,
    error: RuntimeError,
) -> None:
    pretend_gpu(monkeypatch, broken=False)

    class Refuses(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            if photo.pixels.shape[1] == 16:
                raise error
            return super().upscale_photo(photo)

    items = [put(object_store, f"{n}.png", png(draw_photo(1, 8, 8 * n))) for n in (1, 2, 3)]
    rows = upscale(object_store, Refuses(engine), items)
    assert [(row.outcome, row.reason) for row in rows] == [
        ("done", ""),
        ("failed", "gpu"),
        ("done", ""),
    ]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EAGAIN, "system"),
        (errno.EMFILE, "system"),
        (errno.ENOSPC, "no_space"),
        (errno.EDQUOT, "no_space"),
    ],
)
def test_what_the_system_refuses_is_not_taken_for_a_failure_of_the_network(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, code: int, reason: str
) -> None:
    class Full(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            raise OSError(code, errno.errorcode[code])

    items = [put(object_store, "a.png", png(draw_photo(1, 8, 8)))]
    (row,) = upscale(object_store, Full(engine), items)
    assert (row.outcome, row.reason) == ("failed", reason)


def test_a_photo_that_the_contact_sheet_cannot_show_is_done_all_the_same(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError("no room for a caption")

    batch = BatchPipeline(bulk_run(object_store), engine, decode, sample=refuse)
    (row,) = batch.run(0, [put(object_store, "a.png", png(draw_photo(1, 8, 8)))])
    assert (row.outcome, row.reason) == ("done", "")
    assert "photos/a.png is not on the contact sheet: no room for a caption" in caplog.text


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


def test_the_budget_bounds_what_is_taken_and_lets_giants_in_alone() -> None:
    budget = MemoryBudget(100)
    budget.take(60)
    entered = threading.Event()

    def giant() -> None:
        budget.take(1000)
        entered.set()

    thread = threading.Thread(target=giant)
    thread.start()
    assert not entered.wait(0.05), "a second one entered beside the first"
    budget.give_back(60)
    assert entered.wait(5), "alone it is let in although it exceeds the budget"
    thread.join()


def test_a_closed_budget_wakes_those_who_wait() -> None:
    budget = MemoryBudget(1)
    budget.take(1)
    errors: list[RuntimeError] = []

    def late() -> None:
        try:
            budget.take(1)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=late)
    thread.start()
    budget.close()
    thread.join(5)
    assert len(errors) == 1


class PhoneEngine(CountingEngine):
    """Takes each photo for one of 12 megapixels, and says when it has upscaled two."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.second = threading.Event()

    def held_bytes(self, photo: Photo) -> int:
        return 36_000_000 + 2 * 576_000_000

    def upscale_photo(self, photo: Photo) -> Photo:
        made = super().upscale_photo(photo)
        if len(self.seen) == 2:
            self.second.set()
        return made


@pytest.mark.parametrize(("num_cpus", "overlap"), [(1, False), (2, True)])
def test_each_cpu_holds_one_photo_of_a_phone(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    monkeypatch: pytest.MonkeyPatch,
    num_cpus: int,
    overlap: bool,
) -> None:
    phone = PhoneEngine(engine)
    items = [put(object_store, f"{name}.png", png(draw_photo(1, 8, 8))) for name in "ab"]
    met = list[bool]()

    def encoded(*args: object, **options: object) -> tuple[str, ...]:
        met.append(phone.second.wait(10 if overlap else 0.5))
        return encode_into(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "encode_into", encoded)
    rows = upscale(object_store, phone, items, num_cpus=num_cpus)
    assert [row.outcome for row in rows] == ["done", "done"]
    assert met[0] is overlap


def test_each_image_is_encoded_by_one_thread_because_others_are_encoded_beside_it(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def encoded(*args: object, **options: object) -> tuple[str, ...]:
        threads.append(pyvips.concurrency_get())
        return encode_into(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "encode_into", encoded)
    pyvips.concurrency_set(7)
    upscale(object_store, engine, [put(object_store, "a.png", png(draw_photo(1, 8, 8)))])
    assert threads == [1]
