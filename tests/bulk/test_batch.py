"""One batch: every key ends in a row, outputs are whole, and nothing is done twice."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from botocore.awsrequest import AWSRequest
from PIL import Image

from srgan.bulk.batch import BatchPipeline
from srgan.bulk.records import from_parquet
from srgan.images import Photo, decode
from srgan.images.statistics import Statistics, statistics_of
from srgan.inference.engine import Engine
from srgan.services.folder import FolderStore
from srgan.services.s3 import S3Store
from srgan.storage import ObjectInfo, Place
from tests.support.batches import ROWS, CountingEngine, png, put, upscale
from tests.support.bulk_runs import CHAMPION, bulk_run
from tests.support.object_server import empty_bucket
from tests.support.photos import DrawPhoto


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


def test_statistics_of_the_source_are_in_its_row_also_if_its_output_cannot_be_written(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    photos = {
        "a.jpg": png(draw_photo(1, 20, 33), "JPEG", quality=80),
        "tiny.png": png(draw_photo(2, 8, 40)),
        "clear.png": png(np.dstack([draw_photo(3, 20, 20), draw_photo(3, 20, 20)[..., :1]])),
    }
    items = [put(object_store, name, data) for name, data in photos.items()]
    rows = upscale(object_store, engine, items, output_format="jpeg")
    assert [row.outcome for row in rows] == ["done", "done", "failed"]
    found = [
        Statistics(**{name: getattr(row, name) for name in Statistics.__slots__}) for row in rows
    ]
    pixels = [decode(data, max_pixels=10**4).pixels for data in photos.values()]
    assert found[0] == statistics_of(pixels[0], file=photos["a.jpg"])
    assert found[0].jpeg_quality == pytest.approx(80, abs=1)
    assert found[1] == Statistics(0, 0, 0, 0, 0, 0, 0), "too small to be measured"
    assert found[2] == statistics_of(pixels[2])


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


@pytest.mark.parametrize("kind", ["s3", "folder"])
@pytest.mark.parametrize(
    ("name", "suffix", "file_of"),
    [
        ("a.png", ".webp", lambda one, two: png(one, save_all=True, append_images=[two])),
        ("a.jpg", ".png", lambda one, two: png(one, "GIF")),
    ],
    ids=["animated PNG", "GIF called a.jpg"],
)
def test_of_two_sources_with_one_output_one_is_done_and_the_other_occupied(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    tmp_path: Path,
    kind: str,
    name: str,
    suffix: str,
    file_of: Callable[[Image.Image, Image.Image], bytes],
) -> None:
    one, two = (Image.fromarray(draw_photo(seed, 16, 24)) for seed in (1, 2))
    files = {name: file_of(one, two), name + suffix: png(two, suffix[1:].upper())}
    items = [put(object_store, *each) for each in files.items()]
    run, up = bulk_run(object_store), "up"
    if kind == "folder":
        up = str(tmp_path)
        run = replace(run, destination=Place(up, FolderStore(tmp_path)))
    # Neither is written before both have looked whether their output is there.
    both = threading.Barrier(2)

    class Meeting(CountingEngine):
        def held_bytes(self, photo: Photo) -> int:
            both.wait(20)
            return super().held_bytes(photo)

    items = [item.model_copy(update={"output": f"{up}/{item.key[7:]}"}) for item in items]
    rows = BatchPipeline(run, Meeting(engine), decode).run(0, items)
    assert sorted((row.outcome, row.reason) for row in rows) == [
        ("done", ""),
        ("failed", "occupied"),
    ]
    (done,) = (row for row in rows if row.outcome == "done")
    store = run.destination.store
    assert done.destination_key == f"{up}/{name}{suffix}"
    assert store.metadata(done.destination_key)["srgan-source"] == quote(done.source_key)
    found = store.head(done.destination_key)
    assert found is not None
    assert found.token == done.destination_token, "it was not written over"


def test_an_object_that_appears_while_its_output_is_computed_is_not_written_over(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, f"{name}.png", png(draw_photo(1, 8, 8))) for name in "ab"]
    upscale(object_store, engine, items[1:], "earlier")

    class Late(CountingEngine):
        def held_bytes(self, photo: Photo) -> int:
            for name in "ab":
                object_store.put(f"up/{name}.png", b"somebody's only copy")
            return super().held_bytes(photo)

    newer = CHAMPION.model_copy(update={"version": 2})
    rows = upscale(object_store, Late(engine), items, model=newer)
    assert [(row.outcome, row.reason) for row in rows] == [("failed", "occupied")] * 2
    assert {object_store.get(f"up/{name}.png") for name in "ab"} == {b"somebody's only copy"}


def test_an_output_that_another_driver_makes_at_the_same_time_is_skipped(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, "a.png", png(draw_photo(1, 8, 8)))]

    class Overtaken(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            upscale(object_store, engine, items, "other")
            return super().upscale_photo(photo)

    (row,) = upscale(object_store, Overtaken(engine), items)
    assert (row.outcome, row.reason) == ("skipped", "")
    assert object_store.head("up/a.png") == ObjectInfo(
        "up/a.png", row.destination_token, row.destination_bytes
    )


def test_an_output_that_another_model_makes_at_the_same_time_is_made_again(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, "a.png", png(draw_photo(1, 8, 8)))]
    newer = CHAMPION.model_copy(update={"version": 2})

    class Overtaken(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            upscale(object_store, engine, items, "other", model=newer)
            return super().upscale_photo(photo)

    (row,) = upscale(object_store, Overtaken(engine), items)
    assert (row.outcome, row.model) == ("done", "m/1@abababababababab")
    assert object_store.metadata("up/a.png")["srgan-model"] == row.model


def test_a_new_image_costs_one_look_one_read_and_one_write(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, "a.png", png(draw_photo(1, 8, 8)))]
    asked: list[str] = []

    def note(request: AWSRequest, event_name: str, **_: object) -> None:
        if "_srgan" not in str(request.url):
            asked.append(event_name.rpartition(".")[2])

    events = object_store._client.meta.events
    events.register("before-send.s3", note)
    try:
        upscale(object_store, engine, items)
    finally:
        events.unregister("before-send.s3", note)
    assert asked == ["HeadObject", "GetObject", "PutObject"]


def test_sources_of_one_key_in_two_buckets_do_not_replace_each_others_output(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    other = S3Store(object_store._client, f"{object_store.bucket}-2")
    other.ensure_bucket()
    run = bulk_run(object_store)
    elsewhere = replace(run, name="other", source=Place(other.uri("photos"), other))
    try:
        items = [put(store, "a.png", png(draw_photo(1, 8, 8))) for store in (object_store, other)]
        done = BatchPipeline(run, engine, decode).run(0, items[:1])
        again = BatchPipeline(elsewhere, engine, decode).run(0, items[1:])
        newer = put(other, "a.png", png(draw_photo(2, 8, 8)))
        changed = BatchPipeline(replace(elsewhere, name="third"), engine, decode).run(0, [newer])
    finally:
        empty_bucket(other)
    assert [(row.outcome, row.reason) for row in (*done, *again, *changed)] == [
        ("done", ""),
        ("failed", "occupied"),
        ("failed", "occupied"),
    ]
    found = object_store.head("up/a.png")
    assert found is not None
    assert found.token == done[0].destination_token


def test_an_output_of_a_release_that_did_not_name_buckets_is_recognised(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, f"{name}.png", png(draw_photo(1, 8, 8))) for name in "ab"]
    upscale(object_store, engine, items)
    for name in "ab":
        kept = object_store.metadata(f"up/{name}.png")
        del kept["srgan-source-bucket"]
        object_store.put(f"up/{name}.png", object_store.get(f"up/{name}.png"), metadata=kept)
    items[1] = put(object_store, "b.png", png(draw_photo(2, 8, 8)))
    rows = upscale(object_store, engine, items, "again")
    assert [row.outcome for row in rows] == ["skipped", "done"]
    assert object_store.metadata("up/b.png")["srgan-source-bucket"] == object_store.bucket


def test_an_output_says_in_ascii_what_it_was_made_from(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    item = put(object_store, "ä b.png", png(draw_photo(1, 16, 16)))
    upscale(object_store, engine, [item])
    assert object_store.metadata("up/ä b.png") == {
        "srgan-source-bucket": object_store.bucket,
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
