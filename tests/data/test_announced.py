"""When a dataset has grown enough to say so."""

from srgan.config import GrowthConfig
from srgan.data.changes import PhotoChanges, growth_since_announced, mark_announced
from srgan.keys import announced_key
from srgan.services.s3 import S3Store
from tests.support.workshop import Prepare

HALF = GrowthConfig(min_changed_share=0.5)


def test_of_a_new_dataset_every_photo_is_new(prepare: Prepare, object_store: S3Store) -> None:
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
