"""A plan leaves out all that the records of earlier runs cover."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srgan.bulk.batch import BatchPipeline
from srgan.bulk.plan import make_plan, read_batch
from srgan.bulk.records import Record, from_parquet, to_parquet
from srgan.errors import DataError
from srgan.images import decode
from srgan.inference.engine import Engine
from srgan.keys import records_key
from srgan.services.s3 import S3Store
from tests.support.batches import put
from tests.support.bulk_runs import CHAMPION, bulk_run
from tests.support.image_files import file
from tests.support.photos import DrawPhoto
from tests.support.plans import batches, finish, plan, put_photos, row, todo
from tests.support.released import fill


def test_a_second_run_has_nothing_to_do(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg", "a.k.jpg", "a/b.jpg")
    finish(object_store, plan(object_store, output_format="png"))
    again = plan(object_store, "run2", output_format="png")
    assert (again.num_todo, again.num_batches, again.num_covered) == (0, 0, 3)


def test_records_of_several_earlier_runs_cover_together(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg")
    finish(object_store, plan(object_store, "run1"))
    put_photos(object_store, "b.jpg")
    finish(object_store, plan(object_store, "run2"))
    put_photos(object_store, "c.jpg")
    assert todo(object_store, plan(object_store, "run3")) == ["photos/c.jpg"]


def test_a_run_that_was_killed_leaves_only_its_unfinished_batches(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg", "b.jpg", "c.jpg")
    killed = plan(object_store, batch_bytes=1)
    assert killed.num_batches == 3
    finish(object_store, killed, only=1)
    assert todo(object_store, plan(object_store, "run2")) == ["photos/a.jpg", "photos/c.jpg"]


def test_a_changed_source_is_done_again(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg", "b.jpg")
    finish(object_store, plan(object_store))
    object_store.put("photos/a.jpg", b"another picture")
    assert todo(object_store, plan(object_store, "run2")) == ["photos/a.jpg"]


def test_an_output_that_somebody_replaced_is_done_again(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg", "b.jpg")
    finish(object_store, plan(object_store))
    object_store.put("up/b.jpg", b"not ours")
    assert todo(object_store, plan(object_store, "run2")) == ["photos/b.jpg"]


def test_another_model_version_quality_or_precision_covers_nothing(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg")
    finish(object_store, plan(object_store))
    newer = CHAMPION.model_copy(update={"version": 2})
    assert plan(object_store, "run2", model=newer).num_todo == 1
    assert plan(object_store, "run3", jpeg_quality=80).num_todo == 1
    assert plan(object_store, "run5", precision="fp32").num_todo == 1
    for change in ({"scale": 3}, {"size": "4096x"}, {"jpeg_subsampling": "4:2:0"}):
        assert plan(object_store, "run6", **change).num_todo == 1, change
    assert plan(object_store, "run4", tile=64, max_workers=7).num_todo == 0


def test_a_failed_key_is_tried_again_by_the_next_run(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg")
    first = plan(object_store)
    (items,) = batches(object_store, first)
    failed = Record(**{**_as_dict(row(items[0], first, "")), "outcome": "failed"})
    object_store.put(records_key(first.destination, first.run, 0), to_parquet([failed]))
    assert todo(object_store, plan(object_store, "run2")) == ["photos/a.jpg"]


def test_a_run_for_new_photos_leaves_out_what_failed_until_it_changes(
    object_store: S3Store,
) -> None:
    put_photos(object_store, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "bad\x07bell.jpg")
    first = plan(object_store)
    (items,) = batches(object_store, first)
    reasons = ("truncated", "storage", "engine", "")
    rows = [
        replace(row(item, first, ""), outcome="failed" if reason else "done", reason=reason)
        for item, reason in zip(items, reasons, strict=True)
    ]
    rows[3] = row(items[3], first, object_store.put(items[3].output, b"upscaled"))
    object_store.put(records_key(first.destination, first.run, 0), to_parquet(rows))
    again = plan(object_store, "run2", only_new=True)
    assert todo(object_store, again) == ["photos/b.jpg"], "the store may be well again"
    assert (again.num_covered, again.refused.num_failed) == (1, 0)
    assert "1 done by earlier runs, 0 refused, 3 left out that failed before" in again.forecast_text
    object_store.put("photos/a.jpg", b"another picture")
    assert plan(object_store, "run3", only_new=True).num_todo == 2
    newer = CHAMPION.model_copy(update={"version": 2})
    assert plan(object_store, "run4", model=newer, only_new=True).num_todo == 4
    assert plan(object_store, "run5").num_todo == 3, "without the option failed ones are tried too"


@pytest.mark.parametrize("reason", ["timed_out", "crashed", "out_of_memory", "gpu", "system"])
def test_what_a_busy_node_may_have_failed_on_is_left_out_after_three_runs(
    object_store: S3Store, reason: str
) -> None:
    put_photos(object_store, "a.jpg")
    for number in range(3):
        tried = plan(object_store, f"run{number}", only_new=True)
        (items,) = batches(object_store, tried)
        failed = replace(row(items[0], tried, ""), outcome="failed", reason=reason)
        object_store.put(records_key(tried.destination, tried.run, 0), to_parquet([failed]))
    assert plan(object_store, "run3", only_new=True).is_nothing_new
    put_photos(object_store, "b.jpg")
    assert todo(object_store, plan(object_store, "run4", only_new=True)) == ["photos/b.jpg"]
    object_store.put("photos/a.jpg", b"another picture")
    assert plan(object_store, "run5", only_new=True).num_todo == 2, "a changed photo is a new one"


@pytest.mark.parametrize(
    "change",
    [{"salvage": True}, {"max_pixels": 2 * 10**8}, {"oversize": "png"}, {"memory_bytes": "4GiB"}],
    ids=str,
)
def test_what_a_changed_setting_may_cure_is_tried_again_once(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, change: dict[str, Any]
) -> None:
    whole = file(draw_photo(1, 16, 24), "JPEG")
    put(object_store, "cut.jpg", whole[:-99])
    put(object_store, "text.png", b"not a picture at all")

    def upscale(name: str, **config: Any) -> tuple[int, list[str]]:
        run = bulk_run(object_store, name, only_new=True, **config)
        made = make_plan(run)
        work = BatchPipeline(run, engine, decode)
        rows = [
            row
            for number in range(made.num_batches)
            for row in work.run(number, read_batch(run, number))
        ]
        return made.num_todo, [row.outcome for row in rows]

    assert upscale("run1") == (2, ["failed", "failed"])
    assert upscale("run2") == (0, [])
    cured = "done" if "salvage" in change else "failed"
    assert upscale("run3", **change) == (2, [cured, "failed"])
    assert upscale("run4", **change) == (0, [])
    assert upscale("run5", tile=64) == (0, []), "other settings cure nothing"


def test_a_name_that_was_too_long_for_a_suffix_is_tried_again_without_it(
    object_store: S3Store,
) -> None:
    put_photos(object_store, "/".join(["n" * 200] * 5) + ".jpg")
    to: dict[str, Any] = {"destination": "upscaled/photos", "only_new": True}
    first = plan(object_store, oversize="png", **to)
    assert (first.num_todo, first.refused.reasons) == (0, {"name_too_long": 1})
    assert plan(object_store, "run2", oversize="png", **to).is_nothing_new
    assert plan(object_store, "run3", **to).num_todo == 1


def test_failures_that_the_previous_release_recorded_count_as_those_of_the_defaults(
    object_store: S3Store,
) -> None:
    fill(object_store)
    assert todo(object_store, plan(object_store, "new", only_new=True)) == ["photos/3.png"]
    key = "up/_srgan/f-1/records/000000.parquet"
    table = pq.read_table(BytesIO(object_store.get(key)))
    assert "limits" not in table.column_names
    for name, value in (("outcome", "failed"), ("reason", "truncated")):
        at = table.column_names.index(name)
        table = table.set_column(at, table.field(at), pa.array([value] * table.num_rows))
    part = BytesIO()
    pq.write_table(table, part)
    object_store.put(key, part.getvalue())
    assert [row.limits for row in from_parquet(part.getvalue(), key)] == ["", ""]
    assert todo(object_store, plan(object_store, "later", only_new=True)) == ["photos/3.png"]
    assert plan(object_store, "salvaged", only_new=True, salvage=True).num_todo == 3


def test_a_run_for_new_photos_that_finds_none_writes_nothing(object_store: S3Store) -> None:
    assert plan(object_store, only_new=True).is_nothing_new, "there is not a photo yet"
    put_photos(object_store, "a.jpg")
    finish(object_store, plan(object_store, "run2", only_new=True))
    before = {info.key for info in object_store.list("up/")}
    assert plan(object_store, "run3", only_new=True).is_nothing_new
    assert {info.key for info in object_store.list("up/")} == before
    assert not plan(object_store, "run4").is_nothing_new, "other runs say what they did"


def _as_dict(record: Record) -> dict[str, object]:
    return {name: getattr(record, name) for name in Record.__slots__}


def test_a_batch_is_about_ten_minutes_of_what_earlier_runs_took(object_store: S3Store) -> None:
    for number in range(4):
        object_store.put(f"photos/{number}.png", b"x" * 1000)
    first = plan(object_store)
    assert first.num_batches == 1
    (items,) = batches(object_store, first)
    # 16 output megapixels from each kB, at 0.1 megapixels per second: 160 s each.
    rows = [replace(row(i, first, ""), width=4000, height=4000, upscale_s=160.0) for i in items]
    object_store.put(records_key(first.destination, first.run, 0), to_parquet(rows))
    for number in range(4, 8):
        object_store.put(f"photos/{number}.png", b"x" * 1000)
    assert [len(items) for items in batches(object_store, plan(object_store, "run2"))] == [3, 3, 2]


def test_an_output_of_another_format_than_its_source_covers_it(object_store: S3Store) -> None:
    put_photos(object_store, "a.gif", "b.nef", "c.jpg", "d", "e.png")
    made = plan(object_store)
    (items,) = batches(object_store, made)
    ends = (".webp", ".png", ".png", ".png", ".tif")
    rows = []
    for item, end in zip(items, ends, strict=True):
        moved = item.model_copy(update={"output": item.output + end})
        rows.append(row(moved, made, object_store.put(moved.output, b"x")))
    object_store.put(records_key(made.destination, made.run, 0), to_parquet(rows))
    again = plan(object_store, "run2")
    assert todo(object_store, again) == ["photos/e.png"], "nothing becomes a TIFF by itself"


@pytest.mark.parametrize(
    ("first", "suffix", "then", "num_todo"),
    [
        ("png", ".png", "png", 0),
        ("png", ".png", "tiff", 0),
        ("png", ".png", "refuse", 0),
        ("tiff", ".tif", "tiff", 0),
        ("tiff", ".tif", "refuse", 1),
    ],
)
def test_a_png_covers_its_source_with_any_option_and_a_tiff_as_long_as_it_would_go_there(
    object_store: S3Store, first: str, suffix: str, then: str, num_todo: int
) -> None:
    put_photos(object_store, "a.webp", "b.webp")
    made = plan(object_store, oversize=first)
    ((a, b),) = batches(object_store, made)
    rerouted = a.model_copy(update={"output": a.output + suffix})
    rows = [row(item, made, object_store.put(item.output, b"x")) for item in (rerouted, b)]
    object_store.put(records_key(made.destination, made.run, 0), to_parquet(rows))
    again = plan(object_store, "run2", oversize=then)
    assert (again.num_todo, again.num_covered) == (num_todo, 2 - num_todo)


def test_a_damaged_record_part_is_named(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg")
    object_store.put("up/_srgan/old/records/000000.parquet", b"no parquet")
    with pytest.raises(DataError, match=r"up/_srgan/old/records/000000\.parquet"):
        plan(object_store)
