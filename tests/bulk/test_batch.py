"""One batch: every key ends in a row, outputs are whole, and nothing is done twice."""

import numpy as np
import pytest

from srgan.bulk.records import from_parquet
from srgan.images import Photo, decode
from srgan.images.statistics import Statistics, statistics_of
from srgan.inference.engine import Engine
from srgan.services.s3 import S3Store
from srgan.storage import ObjectInfo
from tests.support.batches import ROWS, CountingEngine, png, put, upscale
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
