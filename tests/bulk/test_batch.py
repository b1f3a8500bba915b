"""One batch: every key ends in a row, outputs are whole, and nothing is done twice."""

import threading
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from srgan.bulk import batch as module
from srgan.bulk.batch import Batch, MemoryBudget
from srgan.bulk.join import Item
from srgan.bulk.records import Record, from_parquet
from srgan.bulk.run import BulkRun, Place
from srgan.config import GeneratorConfig
from srgan.errors import ConfigError, StorageError
from srgan.images import Photo, decode, encode
from srgan.inference.engine import Engine
from srgan.inference.memory import PROCESS_BYTES
from srgan.models.build import build_generator
from srgan.models.interpolation import Nearest
from srgan.resize.arrays import resample
from srgan.services.s3 import S3Store
from srgan.storage import ObjectInfo
from tests.support.bulk_runs import CHAMPION, bulk_run
from tests.support.photos import DrawPhoto

ROWS = "up/_srgan/run/records/000000.parquet"


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.manual_seed(0)
    config = GeneratorConfig(kind="bicubic_resnet", scale=4, num_blocks=1, num_channels=8)
    return Engine(build_generator(config), tile=64)


class CountingEngine:
    """The real engine, which also remembers the sizes it was given."""

    def __init__(self, engine: Engine) -> None:
        self.scale = engine.scale
        self.seen: list[tuple[int, ...]] = []
        self._engine = engine
        self.held_bytes = engine.held_bytes

    def upscale_photo(self, photo: Photo) -> Photo:
        self.seen.append(photo.pixels.shape)
        return self._engine.upscale_photo(photo)


def png(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def put(store: S3Store, name: str, data: bytes) -> Item:
    token = store.put(f"photos/{name}", data)
    return Item(key=f"photos/{name}", token=token, size_bytes=len(data), output=f"up/{name}")


def upscale(
    store: S3Store, engine: object, items: list[Item], run: str = "run", **config: object
) -> list[Record]:
    batch = Batch(
        bulk_run(store, run, **config),
        engine,  # type: ignore[arg-type]  # tests pass their own engines
        decode,
    )
    return batch.run(0, items)


def test_an_upscaled_image_is_what_the_engine_makes_of_it(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    photo = draw_photo(1, 20, 33)
    (row,) = upscale(object_store, engine, [put(object_store, "ä/写真.png", png(photo))])
    written = decode(object_store.get("up/ä/写真.png"), max_pixels=10**6)
    np.testing.assert_array_equal(written.pixels, engine.upscale(photo))
    assert (row.outcome, row.width, row.height) == ("done", 132, 80)
    assert object_store.head("up/ä/写真.png") == ObjectInfo(
        "up/ä/写真.png", row.destination_token, row.destination_bytes
    )


def test_what_an_output_lost_is_in_its_row(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    photo = png(draw_photo(1, 40, 56), "JPEG")
    items = [put(object_store, "mpo.jpg", photo + photo), put(object_store, "cut.jpg", photo[:-99])]
    rows = upscale(object_store, engine, items, salvage=True)
    assert [(row.outcome, row.lost) for row in rows] == [
        ("done", "further images"),
        ("done", "end of the file"),
    ]
    assert [row.lost for row in upscale(object_store, engine, items, "again", salvage=True)] == [
        "",
        "",
    ], "what was skipped says nothing"


def test_what_is_no_output_of_the_source_is_never_written_over(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, f"{name}.png", png(draw_photo(1, 8, 8))) for name in "abc"]
    object_store.put("up/a.png", b"somebody's only copy")
    object_store.put("up/b.png", b"of another source", metadata={"srgan-source": "else/b.png"})
    object_store.put("up/c.png", b"by an older model", metadata={"srgan-source": "photos/c.png"})
    rows = upscale(object_store, engine, items)
    assert [(row.outcome, row.reason) for row in rows] == [
        ("failed", "occupied"),
        ("failed", "occupied"),
        ("done", ""),
    ]
    assert object_store.get("up/a.png") == b"somebody's only copy"
    assert object_store.get("up/b.png") == b"of another source"


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_a_result_too_large_for_the_memory_goes_over_the_disk_to_the_same_end(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, kind: str
) -> None:
    small = Engine(engine._generator, tile=64, memory_bytes=PROCESS_BYTES + 2**20)
    item = put(object_store, "a.image", png(draw_photo(1, 90, 200), kind, dpi=(72, 72)))
    (row,) = upscale(object_store, small, [item])
    assert row.outcome == "done", row.detail
    data = object_store.get("up/a.image")
    written = decode(data, max_pixels=10**6)
    source = decode(object_store.get("photos/a.image"), max_pixels=10**6)
    assert small.is_spooled(source)
    assert not engine.is_spooled(source)
    expected = decode(
        encode(engine.upscale_photo(source), format=source.format, jpeg_quality=92),
        max_pixels=10**6,
    )
    assert np.abs(written.pixels.astype(int) - expected.pixels).max() <= (
        3 if kind == "JPEG" else 0
    )
    assert (written.format, written.dpi) == (expected.format, expected.dpi)
    assert (row.width, row.height, row.destination_bytes) == (800, 360, len(data))


def test_an_output_says_in_ascii_what_it_was_made_from(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    item = put(object_store, "ä b.png", png(draw_photo(1, 16, 16)))
    upscale(object_store, engine, [item])
    assert object_store.metadata("up/ä b.png") == {
        "srgan-source": "photos/%C3%A4%20b.png",
        "srgan-source-token": item.token,
        "srgan-model": "m/1@abababababababab",
        "srgan-config": bulk_run(object_store).stamp.config_digest,
    }


def test_a_key_of_any_length_still_fits_into_the_metadata(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    name = "/".join(["写" * 60] * 5) + ".png"
    (row,) = upscale(object_store, engine, [put(object_store, name, png(draw_photo(1, 8, 8)))])
    assert row.outcome == "done", row.detail
    assert object_store.metadata(f"up/{name}")["srgan-source"].startswith("sha256:")


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


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_stay_16(object_store: S3Store, engine: Engine, kind: str) -> None:
    gray = np.arange(256, dtype=np.uint16).reshape(16, 16) * 255 + 3
    (row,) = upscale(object_store, engine, [put(object_store, "a", png(gray, kind))])
    assert row.outcome == "done", row.detail
    written = decode(object_store.get("up/a"), max_pixels=10**6)
    assert (written.format, written.bit_depth) == (kind.lower(), 16)
    expected = engine.upscale_photo(Photo(gray))
    np.testing.assert_array_equal(written.pixels, expected.pixels, strict=True)


def test_every_page_of_a_tiff_and_frame_of_a_webp_is_upscaled(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    frames = [draw_photo(number, 16, 24) for number in range(3)]
    rest = [Image.fromarray(frame) for frame in frames[1:]]
    several = {"save_all": True, "append_images": rest}
    items = [
        put(object_store, "a.tif", png(frames[0], "TIFF", **several)),
        put(object_store, "b.webp", png(frames[0], "WEBP", **several, duration=80, loop=4)),
    ]
    assert [row.outcome for row in upscale(object_store, engine, items)] == ["done", "done"]
    written = decode(object_store.get("up/a.tif"), max_pixels=10**6)
    for page, frame in zip((written, *written.pages), frames, strict=True):
        np.testing.assert_array_equal(page.pixels, engine.upscale(frame))
    moving = decode(object_store.get("up/b.webp"), max_pixels=10**6)
    assert [(page.pixels.shape, page.duration_ms) for page in (moving, *moving.pages)] == [
        ((64, 96, 3), 80)
    ] * 3
    assert moving.num_loops == 4


def test_a_source_deleted_after_planning_is_recorded(object_store: S3Store, engine: Engine) -> None:
    item = put(object_store, "gone.png", b"soon gone")
    object_store.delete(item.key)
    (row,) = upscale(object_store, engine, [item])
    assert (row.outcome, row.reason) == ("failed", "missing")


def test_alpha_that_the_chosen_format_cannot_hold_is_recorded(
    object_store: S3Store, engine: Engine
) -> None:
    item = put(object_store, "a.png", png(np.full((8, 8, 4), 128, np.uint8)))
    (row,) = upscale(object_store, engine, [item], output_format="jpeg")
    assert (row.outcome, row.reason) == ("failed", "unsupported")


def test_what_no_format_can_hold_is_refused_before_the_network_runs(
    object_store: S3Store, engine: Engine
) -> None:
    wide, clear = np.zeros((1, 4096, 3), np.uint8), np.zeros((8, 8, 4), np.uint8)
    counting = CountingEngine(engine)
    for name, data, format, reason in (
        ("wide.webp", png(wide, "WEBP"), "same", "too_large"),
        ("wide.png", png(np.zeros((16_376, 1, 3), np.uint8)), "jpeg", "too_large"),
        ("clear.png", png(clear), "jpeg", "unsupported"),
    ):
        item = put(object_store, name, data)
        (row,) = upscale(object_store, counting, [item], run=name, output_format=format)
        assert (row.outcome, row.reason) == ("failed", reason)
    assert counting.seen == []


@pytest.mark.parametrize("oversize", ["png", "tiff"])
def test_an_output_over_the_limit_of_its_format_is_rerouted_by_the_option(
    object_store: S3Store, oversize: str
) -> None:
    engine = CountingEngine(Engine(Nearest(4), tile=64))
    items = [
        put(object_store, "a.webp", png(np.zeros((2, 4096, 3), np.uint8), "WEBP")),
        put(object_store, "b.webp", png(np.zeros((2, 4095, 3), np.uint8), "WEBP")),
    ]
    rows = upscale(object_store, engine, items, oversize=oversize)
    suffix = {"png": ".png", "tiff": ".tif"}[oversize]
    assert [row.destination_key for row in rows] == [f"up/a.webp{suffix}", "up/b.webp"]
    assert [row.width for row in rows] == [16_384, 16_380]
    written = decode(object_store.get(rows[0].destination_key), max_pixels=10**6)
    assert written.format == oversize
    assert object_store.head("up/a.webp") is None
    again = upscale(object_store, engine, items, run="run2", oversize=oversize)
    assert [(row.outcome, row.destination_key) for row in again] == [
        ("skipped", row.destination_key) for row in rows
    ]
    assert len(engine.seen) == 2, "outputs of a run without records are recognised"


def test_what_cannot_be_written_in_its_own_format_is_a_png_or_an_animated_webp(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    frames = [Image.fromarray(draw_photo(number, 16, 24)) for number in range(2)]
    moving = {"save_all": True, "append_images": frames[1:], "duration": 50}
    frame = np.asarray(frames[0])
    items = [
        put(object_store, "a.gif", png(frame, "GIF")),
        put(object_store, "b.gif", png(frame, "GIF", **moving)),
        put(object_store, "c.png", png(frame, "PNG", **moving)),
        put(object_store, "d.avif", png(frame, "AVIF")),
    ]
    rows = upscale(object_store, engine, items)
    assert {row.destination_key: row.outcome for row in rows} == dict.fromkeys(
        ("up/a.gif.png", "up/b.gif.webp", "up/c.png.webp", "up/d.avif"), "done"
    )
    formats = [decode(object_store.get(r.destination_key), max_pixels=10**6).format for r in rows]
    assert formats == ["png", "webp", "webp", "avif"]
    again = upscale(object_store, engine, items, run="run2")
    assert {row.outcome for row in again} == {"skipped"}


def test_a_target_size_is_reached_and_one_out_of_reach_recorded(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    names = {8: "failed", 12: "done", 96: "done", 97: "failed"}
    items = [
        put(object_store, f"{width:03d}.png", png(draw_photo(1, 16, width))) for width in names
    ]
    rows = upscale(object_store, engine, items, size="96x")
    assert [row.outcome for row in rows] == list(names.values())
    assert [(row.width, row.height) for row in rows[1:3]] == [(96, 128), (96, 16)]
    assert {row.reason for row in rows} == {"", "target_size"}


def test_another_scale_than_the_models_is_resampled_from_its_result(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    photo = draw_photo(1, 20, 33)
    upscale(object_store, engine, [put(object_store, "a.png", png(photo))], scale=3)
    written = decode(object_store.get("up/a.png"), max_pixels=10**6)
    expected = resample(engine.upscale(photo), 60, 99)
    np.testing.assert_array_equal(written.pixels, expected)


def test_a_scale_that_the_model_is_not_used_for_ends_the_batch(
    object_store: S3Store, engine: Engine
) -> None:
    with pytest.raises(ConfigError, match="a model of scale 4 is used from 1 to 8"):
        upscale(object_store, engine, [], scale=9)


def test_the_chosen_format_is_written_whatever_came_in(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    item = put(object_store, "a.png", png(draw_photo(1, 16, 16), "JPEG"))
    upscale(object_store, engine, [item], output_format="webp")
    assert decode(object_store.get("up/a.png"), max_pixels=10**6).format == "webp"
    upscale(object_store, engine, [item.model_copy(update={"output": "up/b"})], run="run2")
    assert decode(object_store.get("up/b"), max_pixels=10**6).format == "jpeg"


def test_rows_are_published_once_in_key_order(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [
        put(object_store, f"{number:02d}.png", png(draw_photo(number, 8 + 8 * (number % 3), 8)))
        for number in range(12)
    ]
    rows = upscale(object_store, engine, items)
    assert [row.source_key for row in rows] == [item.key for item in items]
    assert from_parquet(object_store.get(ROWS), ROWS) == rows


def test_a_batch_whose_rows_are_published_does_nothing(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, "a.png", png(draw_photo(1, 8, 8)))]
    rows = upscale(object_store, engine, items)
    counting = CountingEngine(engine)
    assert upscale(object_store, counting, items) == rows
    assert counting.seen == []


class Killed(BaseException):
    """Ends a batch in the middle, as a signal would."""


def test_a_batch_killed_midway_does_only_the_rest_when_run_again(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, f"{n}.png", png(draw_photo(n, 8, 8 + n))) for n in range(6)]

    class Dying(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            if len(self.seen) == 3:
                raise Killed
            return super().upscale_photo(photo)

    with pytest.raises(Killed):
        upscale(object_store, Dying(engine), items)
    assert object_store.find(ROWS) is None, "rows must not be published before their outputs"
    whole = {info.key: info.token for info in object_store.list("up/")}
    counting = CountingEngine(engine)
    rows = upscale(object_store, counting, items)
    assert len(counting.seen) == 6 - len(whole)
    assert {r.destination_key for r in rows if r.outcome == "skipped"} == whole.keys()
    assert all(row.outcome != "failed" for row in rows)
    tokens = {info.key: info.token for info in object_store.list("up/")}
    assert tokens.items() >= whole.items(), "whole outputs stay untouched"


@pytest.mark.parametrize(
    "change",
    [{"model": CHAMPION.model_copy(update={"version": 2})}, {"jpeg_quality": 80}],
    ids=["model", "config"],
)
def test_an_output_of_another_model_or_config_is_replaced(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, change: dict[str, object]
) -> None:
    items = [put(object_store, "a.png", png(draw_photo(1, 8, 8)))]
    upscale(object_store, engine, items)
    (row,) = upscale(object_store, engine, items, run="run2", **change)
    assert row.outcome == "done"


def test_an_output_of_an_older_source_is_replaced(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    upscale(object_store, engine, [put(object_store, "a.png", png(draw_photo(1, 8, 8)))])
    newer = put(object_store, "a.png", png(draw_photo(2, 8, 8)))
    (row,) = upscale(object_store, engine, [newer], run="run2")
    assert row.outcome == "done"


def test_an_image_that_the_engine_fails_on_is_recorded(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    class Small(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            if photo.pixels.shape[1] > 8:
                raise RuntimeError("CUDA out of memory. Tried to allocate 80 GiB")
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


class Flaky:
    """A real store whose reads of one key fail the first few times."""

    def __init__(self, store: S3Store, key: str, failures: int) -> None:
        self._store = store
        self._key = key
        self._failures = failures
        self.bucket = store.bucket

    def find(self, key: str) -> bytes | None:
        if key == self._key and self._failures:
            self._failures -= 1
            raise StorageError(f"cannot read {key}: connection reset")
        return self._store.find(key)

    def __getattr__(self, name: str) -> Callable[..., object]:
        return getattr(self._store, name)  # type: ignore[no-any-return]  # passes through


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
    batch = Batch(reading(flaky, object_store), engine, decode)
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    rows = batch.run(0, items)
    assert slept == [], "the store answers: it is this key"
    assert [row.outcome for row in rows] == ["done", outcome, "done"]
    assert rows[1].reason == reason


def test_a_store_that_is_away_is_waited_for(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = put(object_store, "a.png", png(draw_photo(1, 8, 8)))

    class Away(Flaky):
        def head(self, key: str) -> ObjectInfo | None:
            if self._failures:
                raise StorageError(f"cannot look up {key}: connection refused")
            return self._store.head(key)

    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        away._failures -= 1

    monkeypatch.setattr(module.time, "sleep", sleep)
    away = Away(object_store, item.key, 3)
    (row,) = Batch(reading(away, object_store), engine, decode).run(0, [item])
    assert (row.outcome, slept) == ("done", [1.0])


def test_the_budget_bounds_what_is_taken_and_lets_giants_in_alone() -> None:
    budget = MemoryBudget(100)
    budget.take(60)
    entered = threading.Event()

    def giant() -> None:
        budget.take(1000)
        entered.set()

    thread = threading.Thread(target=giant)
    thread.start()
    assert not entered.wait(0.05), "there is no room beside the first"
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
