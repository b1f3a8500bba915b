"""Plans: listings joined with the records of earlier runs tell what there is to do."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from srgan.bulk.join import Item, Join
from srgan.bulk.names import check_prefixes, is_source, output_key, output_name
from srgan.bulk.plan import BulkPlan, find_plan, make_plan, name_run, read_batch
from srgan.bulk.records import Record, from_parquet, to_parquet
from srgan.bulk.run import BulkRun, Place, stamp_of
from srgan.bulk.sources import KeyList
from srgan.config import UpscaleConfig
from srgan.errors import ConfigError, DataError, ImageError
from srgan.keys import records_key
from srgan.services.folder import FolderStore
from srgan.services.s3 import S3Store
from srgan.storage import ObjectInfo, ObjectStore, prefix_of
from tests.support.bulk_runs import CHAMPION, bulk_run, run_of


def plan(
    store: S3Store, run: str = "run1", *, key_list: KeyList | None = None, **options: Any
) -> BulkPlan:
    """Plan from ``photos/`` to ``up/``; `options` are those of `bulk_run`."""
    return make_plan(bulk_run(store, run, **options), key_list)


def batches(store: ObjectStore, made: BulkPlan) -> list[tuple[Item, ...]]:
    run = run_of(made, store)
    return [read_batch(run, number) for number in range(made.num_batches)]


def todo(store: S3Store, made: BulkPlan) -> list[str]:
    return [item.key for items in batches(store, made) for item in items]


def finish(store: ObjectStore, made: BulkPlan, *, only: int | None = None) -> None:
    """Pretend that the run's batches did their work, or only one of them."""
    for number, items in enumerate(batches(store, made)):
        if only in (None, number):
            rows = [row(item, made, store.put(item.output, b"upscaled")) for item in items]
            store.put(records_key(made.destination, made.run, number), to_parquet(rows))


def row(item: Item, made: BulkPlan, token: str) -> Record:
    return Record(
        source_key=item.key,
        source_token=item.token,
        source_bytes=item.size_bytes,
        model=made.stamp.model,
        config_digest=made.stamp.config_digest,
        outcome="done",
        destination_key=item.output,
        destination_token=token,
    )


def put_photos(store: S3Store, *names: str) -> None:
    for name in names:
        store.put(f"photos/{name}", f"bytes of {name}".encode())


def test_a_first_run_has_everything_to_do_in_key_order(object_store: S3Store) -> None:
    put_photos(object_store, "b.jpg", "a/z.jpg", "a-b.png", "ä/ß 1.webp")
    made = plan(object_store)
    keys = ["photos/a-b.png", "photos/a/z.jpg", "photos/b.jpg", "photos/ä/ß 1.webp"]
    assert todo(object_store, made) == keys
    assert (made.num_todo, made.num_covered, made.refused.num_failed) == (4, 0, 0)


def test_a_plan_is_in_the_order_of_keys_whatever_the_order_of_the_listing(
    object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_photos(object_store, "2024/a.jpg", "2024.jpg", "2025.jpg", "2025.jpg/b.jpg")
    keys = todo(object_store, plan(object_store))
    assert keys == sorted(keys)
    listed = S3Store.list

    def backwards(store: S3Store, prefix: str) -> Iterator[ObjectInfo]:
        return reversed(list(listed(store, prefix)))

    monkeypatch.setattr(S3Store, "list", backwards)
    assert todo(object_store, plan(object_store, "run2")) == keys


def test_one_deep_key_does_not_stop_planning(object_store: S3Store) -> None:
    deep = "a/" * 500 + "x.jpg"
    put_photos(object_store, deep)
    assert todo(object_store, plan(object_store)) == [f"photos/{deep}"]
    object_store.delete(f"photos/{deep}")


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
    assert plan(object_store, "run4", tile=64, max_jobs=7).num_todo == 0


def test_a_failed_key_is_tried_again_by_the_next_run(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg")
    first = plan(object_store)
    (items,) = batches(object_store, first)
    failed = Record(**{**_as_dict(row(items[0], first, "")), "outcome": "failed"})
    object_store.put(records_key(first.destination, first.run, 0), to_parquet([failed]))
    assert todo(object_store, plan(object_store, "run2")) == ["photos/a.jpg"]


def _as_dict(record: Record) -> dict[str, object]:
    return {name: getattr(record, name) for name in Record.__slots__}


def test_batches_are_cut_by_source_bytes(object_store: S3Store) -> None:
    for name in "abcd":
        object_store.put(f"photos/{name}.png", b"x" * 700_000)
    made = plan(object_store, batch_bytes=1_400_000, max_jobs=1)
    assert [len(items) for items in batches(object_store, made)] == [2, 2]


def test_batches_are_even_instead_of_leaving_a_rest(object_store: S3Store) -> None:
    for name in "abcdef":
        object_store.put(f"photos/{name}.png", b"x" * 500_000)
    made = plan(object_store, batch_bytes=2_500_000, max_jobs=1)
    assert [len(items) for items in batches(object_store, made)] == [3, 3]


def test_empty_files_share_a_batch(object_store: S3Store) -> None:
    for name in "abc":
        object_store.put(f"photos/{name}.png", b"")
    assert [len(items) for items in batches(object_store, plan(object_store))] == [3]


def test_there_are_more_batches_than_jobs_unless_they_would_be_tiny(object_store: S3Store) -> None:
    for name in "abcdefgh":
        object_store.put(f"photos/{name}.png", b"x" * 700_000)
    assert plan(object_store, max_jobs=2).num_batches == 4
    assert plan(object_store, "run2", max_jobs=50).num_batches == 6, "of a MB or a photo each"


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


def test_two_sources_with_one_output_are_refused_before_anything_is_written(
    object_store: S3Store,
) -> None:
    put_photos(object_store, "a.jpg", "a.k.jpg", "a.png")
    with pytest.raises(ConfigError, match=r"photos/a\.jpg.*photos/a\.png.*up/a\.png"):
        plan(object_store, output_format="png")
    assert list(object_store.list("up/")) == []
    assert plan(object_store).num_todo == 3, "each in its own format they do not meet"


def test_two_sources_that_meet_once_one_is_rerouted_are_refused_too(
    object_store: S3Store,
) -> None:
    put_photos(object_store, "a.webp", "a.webp.png", "b.webp", "b.png")
    with pytest.raises(ConfigError, match=r"a\.webp'.*too large.*a\.webp\.png'.*up/a\.webp\.png"):
        plan(object_store, oversize="png")
    assert list(object_store.list("up/")) == []
    assert plan(object_store, oversize="tiff").num_todo == 4
    assert plan(object_store).num_todo == 4, "nothing is rerouted"


def test_two_sources_that_meet_once_one_cannot_keep_its_format_are_refused_too(
    object_store: S3Store,
) -> None:
    put_photos(object_store, "a.gif", "a.gif.png", "b.jpg", "b.jpg.png", "NAME", "NAME.png")
    with pytest.raises(ConfigError, match=r"a\.gif'.*cannot be written.*up/a\.gif\.png"):
        plan(object_store)
    object_store.delete("photos/a.gif")
    assert plan(object_store).num_todo == 5


def test_an_output_of_another_format_than_its_source_covers_it(object_store: S3Store) -> None:
    put_photos(object_store, "a.gif", "b.nef", "c.jpg")
    made = plan(object_store)
    (items,) = batches(object_store, made)
    ends = (".webp", ".png", ".png")
    rows = []
    for item, end in zip(items, ends, strict=True):
        moved = item.model_copy(update={"output": item.output + end})
        rows.append(row(moved, made, object_store.put(moved.output, b"x")))
    object_store.put(records_key(made.destination, made.run, 0), to_parquet(rows))
    assert plan(object_store, "run2").num_todo == 1, "a JPEG keeps its format"


@pytest.mark.parametrize(
    ("oversize", "num_todo"), [("png", 0), ("tiff", 1), ("refuse", 1)], ids=str
)
def test_a_rerouted_output_covers_its_source_as_long_as_it_would_go_there(
    object_store: S3Store, oversize: str, num_todo: int
) -> None:
    put_photos(object_store, "a.webp", "b.webp")
    made = plan(object_store, oversize="png")
    ((a, b),) = batches(object_store, made)
    rerouted = a.model_copy(update={"output": a.output + ".png"})
    rows = [row(item, made, object_store.put(item.output, b"x")) for item in (rerouted, b)]
    object_store.put(records_key(made.destination, made.run, 0), to_parquet(rows))
    again = plan(object_store, "run2", oversize=oversize)
    assert (again.num_todo, again.num_covered) == (num_todo, 2 - num_todo)


@pytest.mark.parametrize("destination", ["photos", "photos/", "photos/up", "photos/a/../b"])
def test_a_destination_inside_the_source_is_refused(
    object_store: S3Store, destination: str
) -> None:
    put_photos(object_store, "a.jpg")
    with pytest.raises(ConfigError, match="inside it"):
        plan(object_store, destination=destination)


def test_a_destination_beside_the_source_with_its_name_as_a_start_is_fine(
    object_store: S3Store,
) -> None:
    put_photos(object_store, "a.jpg")
    assert plan(object_store, destination="photos2").num_todo == 1


@pytest.mark.parametrize("source", ["up/_srgan", "up/_srgan/run1/records"])
def test_records_are_never_a_source(object_store: S3Store, source: str) -> None:
    with pytest.raises(ConfigError, match="records of upscaling runs"):
        plan(object_store, source=source, destination="elsewhere")


def test_outputs_of_one_run_can_be_the_source_of_another(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg")
    finish(object_store, plan(object_store))
    twice = plan(object_store, "run2", source="up", destination="up-twice")
    assert todo(object_store, twice) == ["up/a.jpg"], "and their records are passed over"


def test_an_output_that_would_overwrite_a_source_is_refused(object_store: S3Store) -> None:
    object_store.put("up/photos/photos/a.jpg", b"a")
    with pytest.raises(ConfigError, match="inside the source"):
        plan(object_store, source="up/photos", destination="up")


def test_a_source_without_objects_is_an_error(object_store: S3Store) -> None:
    with pytest.raises(DataError, match=r"s3://.*/photos is empty"):
        plan(object_store)


def test_a_name_that_cannot_be_written_is_recorded_as_failed(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg", "bad\x07bell.jpg")
    made = plan(object_store)
    assert todo(object_store, made) == ["photos/a.jpg"]
    assert made.refused.reasons == {"unsafe_name": 1}
    key = "up/_srgan/run1/records/refused-000000.parquet"
    (record,) = from_parquet(object_store.get(key), key)
    assert (record.source_key, record.outcome) == ("photos/bad\x07bell.jpg", "failed")
    assert "control characters" in record.detail


def test_of_a_manifest_only_what_it_names_is_done_and_what_is_not_there_is_recorded(
    object_store: S3Store, tmp_path: Path
) -> None:
    put_photos(object_store, "a.jpg", "b.jpg", "sub/c.jpg", "sub/d.jpg")
    list_ = tmp_path / "list.csv"
    list_.write_text("key\nsub/d.jpg\nb.jpg\nsub/d.jpg\nnowhere.jpg\n../x.jpg\n")
    made = plan(object_store, key_list=KeyList(list_, "list.csv"))
    assert todo(object_store, made) == ["photos/b.jpg", "photos/sub/d.jpg"]
    assert made.refused.reasons == {"missing": 2}
    assert "list.csv names it" in made.refused.failures["photos/nowhere.jpg"]
    finish(object_store, made)
    object_store.put("photos/b.jpg", b"changed")
    again = plan(object_store, "run2", key_list=KeyList(list_, "list.csv"))
    assert todo(object_store, again) == ["photos/b.jpg"], "the other is covered"


def test_a_manifest_without_names_is_an_error(object_store: S3Store, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("key\n")
    with pytest.raises(DataError, match=r"list\.csv names no images"):
        plan(object_store, key_list=KeyList(tmp_path / "empty.csv", "list.csv"))


def test_a_folder_is_planned_like_a_prefix(tmp_path: Path) -> None:
    store, up = FolderStore(tmp_path), FolderStore(tmp_path / "up")
    for name in ("a.jpg", "a.k.jpg", "sub/Ünï.png"):
        store.put(f"{tmp_path}/photos/{name}", name.encode())

    def made(run: str) -> BulkPlan:
        source, destination = Place(f"{tmp_path}/photos", store), Place(f"{tmp_path}/up/", up)
        return make_plan(BulkRun(run, source, destination, CHAMPION, UpscaleConfig()))

    first = made("run1")
    (items,) = batches(up, first)
    assert [item.output for item in items] == [
        f"{tmp_path}/up/{name}" for name in ("a.jpg", "a.k.jpg", "sub/Ünï.png")
    ]
    finish(up, first)
    assert made("run2").num_covered == 3


@pytest.mark.parametrize(
    ("source", "destination"), [("photos", "photos/up"), ("photos", "link"), ("link", "photos/up")]
)
def test_a_destination_that_a_link_leads_into_the_source_is_refused(
    tmp_path: Path, source: str, destination: str
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to("photos")
    with pytest.raises(ConfigError, match="inside it"):
        check_prefixes(f"{tmp_path}/{source}", f"{tmp_path}/{destination}")


@pytest.mark.parametrize("address", ["photos", "./photos", "file:///photos", "http://x/y", ""])
def test_an_address_that_is_neither_s3_nor_a_whole_path_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="neither s3://BUCKET/PREFIX nor the absolute path"):
        prefix_of(address)


def test_the_prefix_of_a_folder_is_its_whole_path() -> None:
    assert prefix_of("/a//b/../c/") == prefix_of("//a/c") == ("", "/a/c/")
    assert prefix_of("/") == ("", "/")


def test_a_flow_that_is_put_back_finds_its_own_plan(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg")
    destination = Place(object_store.uri("up"), object_store)
    assert find_plan(destination, "run1") is None
    made = plan(object_store)
    assert find_plan(destination, "run1") == made


def test_a_damaged_record_part_is_named(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg")
    object_store.put("up/_srgan/old/records/000000.parquet", b"no parquet")
    with pytest.raises(DataError, match=r"up/_srgan/old/records/000000\.parquet"):
        plan(object_store)


@pytest.mark.parametrize(
    "name",
    ["../a.jpg", "a/../../b.jpg", "/etc/a.jpg", "a//b.jpg", "./a.jpg", "a\\b.jpg", "C:/a.jpg"],
)
def test_names_that_could_leave_the_destination_are_unsafe(name: str) -> None:
    with pytest.raises(ImageError) as caught:
        output_name(name, "same")
    assert caught.value.reason == "unsafe_name"


@pytest.mark.parametrize("letter", ["\x00", "\n", "\x1b", "\x7f", "\x85"])
def test_names_with_control_characters_are_unsafe(letter: str) -> None:
    with pytest.raises(ImageError, match="control characters"):
        output_name(f"a{letter}.jpg", "png")


@pytest.mark.parametrize(
    ("name", "output_format", "expected"),
    [
        ("Ünïcode/写真 1.JPG", "png", "Ünïcode/写真 1.png"),
        ("a.tiff", "jpeg", "a.jpg"),
        ("a.jpg", "tiff", "a.tif"),
        ("a.b.c.png", "webp", "a.b.c.webp"),
        ("IMG_2024.05", "png", "IMG_2024.05.png"),
        ("no-extension", "png", "no-extension.png"),
        (".png", "jpeg", ".png.jpg"),
        ("a.jpg", "same", "a.jpg"),
    ],
)
def test_output_names_keep_everything_but_the_extension(
    name: str, output_format: str, expected: str
) -> None:
    assert output_name(name, output_format) == expected  # type: ignore[arg-type]  # parametrized


def test_a_context_counts_for_an_output_if_it_is_given() -> None:
    plain, given = (
        stamp_of(CHAMPION, UpscaleConfig.model_validate(config)) for config in ({}, {"context": 40})
    )
    assert plain != given
    assert plain == stamp_of(CHAMPION, UpscaleConfig(tile=200)), "a tile does not"


def test_an_output_key_too_long_for_s3_is_refused() -> None:
    with pytest.raises(ImageError, match="name_too_long"):
        output_key("up/", "é" * 510 + ".jpg", "same")
    assert len(output_key("up/", "a" * 1017 + ".jpg", "same")) == 1024
    with pytest.raises(ImageError, match="name_too_long"):
        output_key("up/", "a" * 1017 + ".jpg", "same", "png")


def test_an_output_name_too_long_for_a_disk_is_refused() -> None:
    assert output_key("/up/", "a" * 251 + ".jpg", "same") == "/up/" + "a" * 251 + ".jpg"
    for name, format, oversize in (
        ("a" * 252 + ".jpg", "same", "refuse"),
        ("a" * 251 + ".jpg", "same", "png"),
        ("a" * 254, "png", "refuse"),
        ("ä" * 128 + "/b.jpg", "same", "refuse"),
    ):
        with pytest.raises(ImageError, match="name longer than a disk's 255 bytes"):
            output_key("/up/", name, format, oversize)  # type: ignore[arg-type]  # strings


def test_what_this_system_wrote_into_its_bucket_is_no_source(
    object_store: S3Store, tmp_path: Path
) -> None:
    for key in ("mlflow/1/r/artifacts/comparison.png", "photos/mlflow/a.png", "sets/own/p.png"):
        object_store.put(key, b"a")

    def sources(*, is_own_bucket: bool) -> list[str]:
        run = BulkRun(
            name=f"own bucket {is_own_bucket}",
            source=Place(f"s3://{object_store.bucket}", object_store, is_own_bucket),
            destination=Place(str(tmp_path), FolderStore(tmp_path)),
            model=CHAMPION,
            config=UpscaleConfig(),
        )
        (items,) = (read_batch(run, number) for number in range(make_plan(run).num_batches))
        return [item.key for item in items]

    assert sources(is_own_bucket=True) == ["photos/mlflow/a.png"]
    assert len(sources(is_own_bucket=False)) == 3


def test_the_marker_of_the_prefix_and_records_are_no_sources() -> None:
    names = ["a.jpg", "", "_srgan/run/plan.json", "deep/_srgan/x.parquet"]
    assert [name for name in names if is_source(name)] == ["a.jpg"]


def test_folders_of_s3_are_passed_over(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg")
    for key in ("photos/", "photos/sub/", "photos/sub/deep.jpg/"):
        object_store.put(key, b"")
    made = plan(object_store)
    assert todo(object_store, made) == ["photos/a.jpg"]
    passed = made.passed_over
    assert (made.num_covered, passed.num_passed_over) == (0, 2)
    assert passed.passed_over == ("photos/sub/", "photos/sub/deep.jpg/")


def test_planning_holds_flat_memory() -> None:
    def join_keys(num_keys: int) -> int:
        tracemalloc.start()
        with Join() as join:
            for number in range(num_keys):
                key = f"photos/{number:07d}.jpg"
                join.add_source(ObjectInfo(key, "token", 1000), f"up/{number:07d}.png")
                join.add_output(ObjectInfo(f"up/{number:07d}.png", "made", 16_000))
            join.add_records(_records(num_keys))
            assert join.count() == (num_keys, num_keys // 2, num_keys // 2 * 1000)
            assert sum(1 for _ in join.todo()) == num_keys // 2
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    # The keys alone would be 1.4 MB, were they held. Threads of other tests count here too.
    assert join_keys(20_000) < 1_000_000


def _records(num_keys: int) -> Iterator[tuple[str, str, str]]:
    return ((f"photos/{number:07d}.jpg", "token", "made") for number in range(0, num_keys, 2))


def test_a_run_that_has_ended_is_planned_again_and_one_that_has_not_goes_on(
    object_store: S3Store,
) -> None:
    destination = Place("s3://b/up", object_store)
    assert name_run(destination, "run") == "run"
    object_store.put("up/_srgan/run/plan.json", b"{}")
    assert name_run(destination, "run") == "run"
    object_store.put("up/_srgan/run/summary.json", b"{}")
    assert name_run(destination, "run") == "run-1"
    object_store.put("up/_srgan/run-1/summary.json", b"{}")
    assert name_run(destination, "run") == "run-2"
