"""Format, size and pixels of what a batch writes."""

import threading

import numpy as np
import pytest
from PIL import Image

from srgan.bulk.batch import BatchPipeline
from srgan.bulk.plan import make_plan, read_batch
from srgan.bulk.sizing import Sizing
from srgan.errors import ConfigError
from srgan.images import Photo, decode, encode
from srgan.inference.engine import Engine
from srgan.inference.memory import PROCESS_BYTES
from srgan.models.interpolation import Nearest
from srgan.resize.arrays import resample
from srgan.services.s3 import S3Store
from tests.support.batches import CountingEngine, png, put, upscale
from tests.support.bulk_runs import bulk_run
from tests.support.photos import DrawPhoto


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


def test_a_photo_whose_name_does_not_tell_its_format_is_not_new_for_ever(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    still = png(draw_photo(1, 16, 24), "GIF")
    for name in ("a.jpg", "b"):
        put(object_store, name, still)
    run = bulk_run(object_store, only_new=True)
    made = make_plan(run)
    rows = BatchPipeline(run, engine, decode).run(0, read_batch(run, 0))
    assert [row.destination_key for row in rows] == ["up/a.jpg.png", "up/b.png"]
    again = make_plan(bulk_run(object_store, "again", only_new=True))
    assert (made.num_todo, again.num_todo, again.is_nothing_new) == (2, 0, True)


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


def test_a_writer_resamples_while_the_device_goes_on_and_its_error_is_that_of_the_image(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    fitted = Sizing.fitted

    def watched(sizing: Sizing, result: Photo, original: Photo) -> Photo:
        threads.append(threading.current_thread().name)
        if original.pixels.shape[1] == 9:
            raise MemoryError
        return fitted(sizing, result, original)

    monkeypatch.setattr(Sizing, "fitted", watched)
    items = [put(object_store, f"{side}.png", png(draw_photo(1, 8, side))) for side in (8, 9)]
    rows = upscale(object_store, engine, items, scale=3)
    assert [(row.outcome, row.reason) for row in rows] == [
        ("done", ""),
        ("failed", "out_of_memory"),
    ]
    assert [name.partition("_")[0] for name in threads] == ["write", "write"]


@pytest.mark.parametrize(("scale", "shown"), [(3, []), (4, [(32, 32)]), (None, [(32, 32)])])
def test_samples_show_results_in_the_size_of_the_model_alone(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    scale: int | None,
    shown: list[tuple[int, int]],
) -> None:
    found: list[tuple[int, ...]] = []
    batch = BatchPipeline(
        bulk_run(object_store, scale=scale),
        engine,
        decode,
        sample=lambda item, before, after: found.append(after.pixels.shape[:2]),
    )
    batch.run(0, [put(object_store, "a.png", png(draw_photo(1, 8, 8)))])
    assert found == shown


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
