"""Failures in a batch: of images and of the engine."""

import errno
import struct
from collections import Counter
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
import torch

from srgan.bulk import outputs as module
from srgan.bulk.attempt import BatchAttempt
from srgan.bulk.batch import BatchPipeline
from srgan.errors import ClusterError, DeviceError
from srgan.images import Photo, decode
from srgan.images.rows import encode_into
from srgan.inference.engine import Engine
from srgan.services.s3 import S3Store
from tests.support.batches import ROWS, CountingEngine, png, put, upscale
from tests.support.bulk_runs import bulk_run
from tests.support.gpus import pretend_gpu
from tests.support.photos import DrawPhoto


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
    rows = upscale(object_store, engine, items, attempt=BatchAttempt(3, is_last=True))
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
    rows = upscale(object_store, Broken(engine), items, attempt=BatchAttempt(3, is_last=True))
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
        upscale(object_store, Broken(engine), items, attempt=BatchAttempt(3, is_last=True))
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
    attempt = BatchAttempt(2, is_alone=True, killers=("photos/4.png",))
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
