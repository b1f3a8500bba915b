"""Plans: listings joined with the records of earlier runs tell what there is to do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from srgan.bulk.plan import BulkPlan, find_plan, make_plan, name_run, read_batch
from srgan.bulk.records import from_parquet
from srgan.bulk.run import BulkRun, stamp_of
from srgan.bulk.sources import KeyList
from srgan.config import UpscaleConfig
from srgan.errors import ConfigError, DataError
from srgan.services.folder import FolderStore
from srgan.services.s3 import S3Store
from srgan.storage import ObjectInfo, Place
from tests.support.bulk_runs import CHAMPION
from tests.support.plans import batches, finish, plan, put_photos, todo


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


def test_a_plan_says_which_outputs_may_be_there_whatever_was_appended_to_their_keys(
    object_store: S3Store,
) -> None:
    put_photos(object_store, "a.jpg", "b.jpg", "c.jpg", "d.gif")
    for key in ("a.jpg", "b.jpg.png", "c.jpg.orig", "d.gif.png"):
        object_store.put(f"up/{key}", b"an earlier output, or somebody's own")
    (items,) = batches(object_store, plan(object_store))
    assert [item.output_exists for item in items] == [True, True, False, True]


def test_one_deep_key_does_not_stop_planning(object_store: S3Store) -> None:
    deep = "a/" * 500 + "x.jpg"
    put_photos(object_store, deep)
    assert todo(object_store, plan(object_store)) == [f"photos/{deep}"]
    object_store.delete(f"photos/{deep}")


def test_batches_are_cut_by_source_bytes(object_store: S3Store) -> None:
    for name in "abcd":
        object_store.put(f"photos/{name}.png", b"x" * 700_000)
    made = plan(object_store, batch_bytes=1_400_000, max_workers=1)
    assert [len(items) for items in batches(object_store, made)] == [2, 2]


def test_batches_are_even_instead_of_leaving_a_rest(object_store: S3Store) -> None:
    for name in "abcdef":
        object_store.put(f"photos/{name}.png", b"x" * 500_000)
    made = plan(object_store, batch_bytes=2_500_000, max_workers=1)
    assert [len(items) for items in batches(object_store, made)] == [3, 3]


def test_empty_files_share_a_batch(object_store: S3Store) -> None:
    for name in "abc":
        object_store.put(f"photos/{name}.png", b"")
    assert [len(items) for items in batches(object_store, plan(object_store))] == [3]


def test_there_are_more_batches_than_workers_unless_they_would_be_tiny(
    object_store: S3Store,
) -> None:
    for name in "abcdefgh":
        object_store.put(f"photos/{name}.png", b"x" * 700_000)
    assert plan(object_store, max_workers=2).num_batches == 4
    assert plan(object_store, "run2", max_workers=50).num_batches == 8, "of a photo each"
    for name in "abcdefgh":
        object_store.put(f"photos/{name}.png", b"x" * 100_000)
    assert plan(object_store, "run3", max_workers=50).num_batches == 4, "of 256 KiB"


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


def test_a_flow_that_is_put_back_finds_its_own_plan(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg")
    destination = Place(object_store.uri("up"), object_store)
    assert find_plan(destination, "run1") is None
    made = plan(object_store)
    assert find_plan(destination, "run1") == made


@pytest.mark.parametrize("option", [{"context": 40}, {"self_ensemble": True}], ids=str)
def test_an_option_that_changes_pixels_counts_for_an_output_if_it_is_given(
    option: dict[str, object],
) -> None:
    plain, given = (
        stamp_of(CHAMPION, UpscaleConfig.model_validate(config)) for config in ({}, option)
    )
    assert plain != given
    assert plain == stamp_of(CHAMPION, UpscaleConfig(tile=200)), "a tile does not"


def test_what_this_system_wrote_into_its_bucket_is_no_source(
    object_store: S3Store, tmp_path: Path
) -> None:
    for key in ("mlflow/1/r/artifacts/comparison.png", "photos/mlflow/a.png", "sets/own/p.png"):
        object_store.put(key, b"a")

    def sources(own_prefix: str | None) -> list[str]:
        run = BulkRun(
            name=f"own prefix {own_prefix}",
            source=Place(f"s3://{object_store.bucket}", object_store, own_prefix),
            destination=Place(str(tmp_path), FolderStore(tmp_path)),
            model=CHAMPION,
            config=UpscaleConfig(),
        )
        (items,) = (read_batch(run, number) for number in range(make_plan(run).num_batches))
        return [item.key for item in items]

    assert sources("") == ["photos/mlflow/a.png"]
    assert len(sources(None)) == 3


def test_folders_of_s3_are_passed_over(object_store: S3Store) -> None:
    put_photos(object_store, "a.jpg")
    for key in ("photos/", "photos/sub/", "photos/sub/deep.jpg/"):
        object_store.put(key, b"")
    made = plan(object_store)
    assert todo(object_store, made) == ["photos/a.jpg"]
    passed = made.passed_over
    assert (made.num_covered, passed.num_passed_over) == (0, 2)
    assert passed.passed_over == ("photos/sub/", "photos/sub/deep.jpg/")


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
