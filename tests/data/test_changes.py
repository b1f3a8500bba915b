"""Differences between two versions of a dataset, and growth that is worth announcing."""

import pytest

from srgan.config import GrowthConfig
from srgan.data.changes import (
    PhotoChanges,
    changes_since,
    compare_photos,
    growth_since_announced,
    mark_announced,
)
from srgan.data.manifest import read_manifest
from srgan.keys import announced_key, table_key
from srgan.services.s3 import S3Store
from tests.support.workshop import Prepare


def test_equal_photos_have_not_changed() -> None:
    photos = {"a": "1", "b": "2"}
    assert compare_photos(photos, photos).num_total == 0


def test_a_file_with_another_picture_is_one_change() -> None:
    changes = compare_photos({"a": "1", "b": "2"}, {"a": "3", "b": "2"})
    assert changes == PhotoChanges(num_before=2, changed=("a",))


def test_renamed_and_copied_files_are_not_a_change() -> None:
    assert compare_photos({"a": "1", "b": "2"}, {"c": "1", "b": "2", "d": "2"}).num_total == 0


def test_two_files_that_swap_their_pictures_are_not_a_change() -> None:
    assert compare_photos({"a": "1", "b": "2"}, {"a": "2", "b": "1"}).num_total == 0


def test_new_changed_and_removed_photos_are_told_apart() -> None:
    before = {"a": "1", "b": "2", "c": "3", "copy of c": "3"}
    changes = compare_photos(before, {"a": "9", "b": "2", "d": "4", "e": "5"})
    assert changes.new == ("d", "e")
    assert changes.changed == ("a",)
    assert changes.removed == ("c",), "of copies the first"
    assert str(changes) == "photos: 2 new, 1 changed, 1 removed, 133.3 % of 3"


def test_any_number_is_enough_if_there_were_no_photos_before() -> None:
    changes = compare_photos({}, {"a": "1"})
    assert changes.share == 1.0
    assert changes.enough(GrowthConfig())
    assert not compare_photos({}, {}).enough(GrowthConfig())


def test_versions_in_the_bucket_are_compared_by_their_photos(
    prepare: Prepare, object_store: S3Store
) -> None:
    before, now = prepare(1, 2, 3), prepare(2, 3, 4, 5)
    assert changes_since(object_store, before.key, now.key) == PhotoChanges(
        num_before=3, new=("raw/4.png", "raw/5.png"), removed=("raw/1.png",)
    )


@pytest.mark.parametrize("cut", [{"crop_size": 64}, {"shrunk": (0.5,)}, {"least_detail": 5.0}])
def test_other_crops_of_the_same_photos_are_said(
    prepare: Prepare, object_store: S3Store, cut: dict[str, object]
) -> None:
    before, now = prepare(1, 2), prepare(1, 2, **cut)
    changes = changes_since(object_store, before.key, now.key)
    assert changes is not None
    assert (changes.num_total, changes.recut) == (0, True)


def test_nobody_can_count_against_a_version_that_is_gone_or_unreadable(
    prepare: Prepare, object_store: S3Store
) -> None:
    before, now = prepare(1, 2), prepare(1, 2, 3)
    table = table_key("pets", read_manifest(object_store, before.key).sources_table)
    manifest = object_store.get(before.key)
    object_store.put(before.key, b"{}")
    assert changes_since(object_store, before.key, now.key) is None
    object_store.delete(before.key)
    assert changes_since(object_store, before.key, now.key) is None
    object_store.put(before.key, manifest)
    assert changes_since(object_store, before.key, now.key) is not None
    object_store.delete(table)
    assert changes_since(object_store, before.key, now.key) is None


HALF = GrowthConfig(min_changed_share=0.5)


def test_every_photo_of_a_new_dataset_is_new(prepare: Prepare, object_store: S3Store) -> None:
    assert growth_since_announced(object_store, prepare(1, 2, 3)) == PhotoChanges(
        num_before=0, new=("raw/1.png", "raw/2.png", "raw/3.png")
    )


def test_small_steps_add_up_until_they_are_announced(
    prepare: Prepare, object_store: S3Store
) -> None:
    mark_announced(object_store, prepare(1, 2, 3, 4))
    assert not growth_since_announced(object_store, prepare(1, 2, 3, 4, 5)).enough(HALF)
    now = prepare(1, 2, 3, 4, 5, 6)
    assert growth_since_announced(object_store, now).enough(HALF)
    mark_announced(object_store, now)
    assert growth_since_announced(object_store, now).num_total == 0


def test_where_the_announced_version_is_gone_every_photo_is_new(
    prepare: Prepare, object_store: S3Store
) -> None:
    before = prepare(1, 2)
    mark_announced(object_store, before)
    now = prepare(1, 2, 3)
    object_store.delete(before.key)
    assert growth_since_announced(object_store, now).num_total == 3
    assert object_store.head(announced_key("pets")) is not None
