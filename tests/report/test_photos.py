"""Which photos differ between two versions of a dataset, on a real object store."""

from collections.abc import Callable

from srgan.adapters.s3 import S3Store
from srgan.config import DataConfig
from srgan.data.prepare import prepare_dataset
from srgan.data.tables import Source
from srgan.report.photos import PhotoLists, compare_sources, photos_since


def sources(**pixels: str) -> list[Source]:
    return [Source(key=key, token="t", pixels=value) for key, value in pixels.items()]


def test_new_changed_and_removed_photos_are_told_apart() -> None:
    found = compare_sources(sources(a="1", b="2", c="3"), sources(a="1", b="4", d="5"))
    assert found == PhotoLists(new=["d"], changed=["b"], removed=["c"])


def test_renames_copies_and_rejected_files_are_no_change() -> None:
    before = [*sources(a="1"), Source(key="x", token="t", reason="tiny")]
    now = [*sources(b="1", c="1"), Source(key="y", token="t", reason="tiny")]
    assert not compare_sources(before, now)


def test_two_versions_in_the_bucket_are_compared_and_one_that_is_gone_is_not(
    object_store: S3Store, draw_photo: Callable[..., object], encode_photo: Callable[..., bytes]
) -> None:
    def prepare() -> str:
        config = DataConfig(scale=2, crop_size=32, eval_share=0.3)
        return prepare_dataset(object_store, "raw", object_store, "drawn", config).key

    for seed in range(4):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed, 64, 64)))
    before = prepare()
    object_store.put("raw/9.png", encode_photo(draw_photo(9, 64, 64)))
    object_store.delete("raw/0.png")
    now = prepare()
    found = photos_since(object_store, before, now)
    assert found == PhotoLists(new=["raw/9.png"], changed=[], removed=["raw/0.png"])
    object_store.delete(before)
    assert photos_since(object_store, before, now) is None
