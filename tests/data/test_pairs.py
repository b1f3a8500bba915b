"""From HR and LR photos to a dataset of pairs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.config import DataConfig
from srgan.data.crops import cut
from srgan.data.dataset import Crops, open_crops
from srgan.data.manifest import read_manifest, read_photos, read_sources
from srgan.data.pairs import prepare_pairs
from srgan.data.prepare import prepare_dataset
from srgan.data.shards import ShardCache
from srgan.errors import ConfigError, DataError
from srgan.images import Photo, decode, pixel_digest
from srgan.images.statistics import statistics_of
from srgan.refs import DatasetRef
from srgan.resize.arrays import imresize
from srgan.services.s3 import S3Store
from tests.support.places import place
from tests.support.workshop import Asked

Pixels = NDArray[np.uint8]
CONFIG = DataConfig(scale=2, crop_size=32, shard_bytes=5 * 3 * 32 * 40)


class Shop:
    """HR photos below ``hr/`` and LR photos below ``lr/`` of a bucket."""

    def __init__(
        self, store: S3Store, home: Path, draw: Callable[..., Pixels], encode: Callable[..., bytes]
    ) -> None:
        self.store, self.home, self.draw, self.encode = store, home, draw, encode

    def hr(self, seed: int) -> Pixels:
        return imresize(self.draw(seed, 48, 64), scale=2)  # without noise that LR cannot show

    def upload(self, *seeds: int, lr: Pixels | None = None) -> None:
        for seed in seeds:
            hr = self.hr(seed)
            small = imresize(hr, scale=0.5) if lr is None else lr
            self.store.put(f"hr/town/{seed}.png", self.encode(hr))
            self.store.put(f"lr/town/{seed}.bmp", self.encode(small, "BMP"))

    def prepare(self, source: object = None, **change: object) -> DatasetRef:
        store = source or self.store
        hr, lr = place(store, "hr"), place(store, "lr/")  # type: ignore[arg-type]  # quacks alike
        config = CONFIG.model_copy(update=change)
        return prepare_pairs(hr, lr, self.store, "real", config)

    def crops(self, ref: DatasetRef) -> Crops:
        return open_crops(self.store, ref, "train", ShardCache(self.store, self.home, 2**30))

    def reasons(self, ref: DatasetRef) -> dict[str, str | None]:
        sources = read_sources(self.store, read_manifest(self.store, ref.key))
        return {each.key: each.reason for each in sources if each.reason}


@pytest.fixture
def shop(
    object_store: S3Store,
    tmp_path: Path,
    draw_photo: Callable[..., Pixels],
    encode_photo: Callable[..., bytes],
) -> Shop:
    return Shop(object_store, tmp_path / "cache", draw_photo, encode_photo)


def test_pairs_are_matched_by_name_and_cut_at_the_same_places(shop: Shop) -> None:
    shop.upload(1, 2, 3)
    ref = shop.prepare()
    assert (ref.num_train_photos, ref.num_eval_photos, ref.num_read) == (3, 0, 3)
    assert ref.lr_source == shop.store.uri("lr/")
    crops = shop.crops(ref)
    assert len(crops) == ref.num_train_crops == 3 * 12
    for photo in range(3):
        mine = [i for i in range(len(crops)) if crops.photo_of[i] == photo]
        hr = shop.hr(int(crops.names[mine[0]].removeprefix("hr/town/")[:-4]))
        lr = imresize(hr, scale=0.5)
        np.testing.assert_array_equal([crops[i] for i in mine], list(cut(hr, 32)))
        np.testing.assert_array_equal([crops.lr(i) for i in mine], list(cut(lr, 16)))
        assert crops.pictures[photo] == pixel_digest(Photo(hr))


def test_the_statistics_of_a_pair_are_those_of_its_lr_photo_and_file(shop: Shop) -> None:
    shop.upload(1, 2)
    lr = shop.encode(imresize(shop.hr(1), scale=0.5), "JPEG", quality=50, subsampling=0)
    shop.store.put("lr/town/1.bmp", lr)
    ref = shop.prepare()
    sources = read_sources(shop.store, read_manifest(shop.store, ref.key))
    found = {each.key: each.statistics for each in sources}
    pixels = decode(lr, max_pixels=10**5).pixels
    assert found["hr/town/1.png"] == statistics_of(pixels, file=lr)
    qualities = [each.jpeg_quality for each in found.values() if each]
    assert qualities == [pytest.approx(50, abs=1), 100]


def test_a_name_is_the_same_in_either_form_of_unicode(shop: Shop) -> None:
    shop.upload(1, 2)
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    shop.store.put(f"hr/town/{decomposed}.png", shop.encode(shop.hr(3)))
    shop.store.put(f"lr/town/{composed}.png", shop.encode(imresize(shop.hr(3), scale=0.5)))
    ref = shop.prepare()
    assert shop.reasons(ref) == {}
    assert ref.num_train_photos == 3


def test_a_photo_without_its_partner_is_rejected_on_either_side(shop: Shop) -> None:
    shop.upload(1, 2, 3, 4)
    shop.store.delete("lr/town/1.bmp")
    shop.store.delete("hr/town/2.png")
    shop.store.put("lr/town/3.png", shop.store.get("lr/town/4.bmp"))
    ref = shop.prepare()
    assert shop.reasons(ref) == {
        "hr/town/1.png": "no_partner",
        "lr/town/2.bmp": "no_partner",
        "hr/town/3.png": "ambiguous",
        "lr/town/3.bmp": "ambiguous",
        "lr/town/3.png": "ambiguous",
    }
    assert (ref.num_train_photos, ref.num_rejected) == (1, 5)


def test_a_pair_that_does_not_fit_is_rejected_with_its_reason(shop: Shop) -> None:
    shop.upload(1)
    shop.upload(2, lr=shop.draw(2, 48, 60))
    shop.upload(3, lr=imresize(shop.hr(4), scale=0.5))
    shop.upload(5, lr=np.roll(imresize(shop.hr(5), scale=0.5), 1, axis=0))
    shop.upload(6)
    shop.store.put("lr/town/6.bmp", b"text")
    shop.store.put("hr/town/7.png", shop.encode(shop.draw(7, 24, 64)))
    shop.store.put("lr/town/7.bmp", shop.encode(shop.draw(7, 12, 32), "BMP"))
    ref = shop.prepare()
    assert shop.reasons(ref) == {
        "hr/town/2.png": "missized",
        "hr/town/3.png": "unlike",
        "hr/town/5.png": "shifted",
        "hr/town/6.png": "not_an_image",
        "hr/town/7.png": "tiny",
    }
    sources = read_sources(shop.store, read_manifest(shop.store, ref.key))
    details = {each.key: each.detail or "" for each in sources}
    assert details["hr/town/6.png"].startswith("lr/town/6.bmp: ")


def test_without_a_usable_pair_the_error_counts_the_reasons(shop: Shop) -> None:
    shop.upload(2, lr=shop.draw(2, 48, 60))
    with pytest.raises(DataError, match=r"no usable pair among 1 HR .*1 missized \(for example"):
        shop.prepare()
    with pytest.raises(DataError, match=r"nowhere/ holds no photos"):
        prepare_pairs(
            place(shop.store, "hr"), place(shop.store, "nowhere"), shop.store, "real", CONFIG
        )


def test_only_new_and_changed_pairs_are_read_again(shop: Shop) -> None:
    shop.upload(1, 2, 3)
    first = shop.prepare()
    source = Asked(shop.store)
    assert shop.prepare(source) == first.model_copy(update={"num_read": 0})
    assert source.read == []

    noisy = np.clip(imresize(shop.hr(2), scale=0.5).astype(int) + 3, 0, 255).astype(np.uint8)
    shop.upload(2, lr=noisy)
    second = shop.prepare(source)
    assert sorted(source.read) == ["hr/town/2.png", "lr/town/2.bmp"]
    assert second.version != first.version
    crops = shop.crops(second)
    mine = [i for i in range(len(crops)) if crops.names[i] == "hr/town/2.png"]
    np.testing.assert_array_equal([crops.lr(i) for i in mine], list(cut(noisy, 16)))


def test_one_hr_photo_may_have_several_lr_photos(shop: Shop) -> None:
    shop.upload(1)
    brighter = np.clip(imresize(shop.hr(1), scale=0.5).astype(int) + 9, 0, 255).astype(np.uint8)
    shop.store.put("hr/other.png", shop.encode(shop.hr(1)))
    shop.store.put("lr/other.png", shop.encode(brighter))
    ref = shop.prepare()
    photos = read_photos(shop.store, read_manifest(shop.store, ref.key))
    assert len(photos) == 2
    assert len({photo.picture for photo in photos}) == 1


def test_photos_and_pairs_are_not_mixed_under_one_name(shop: Shop) -> None:
    shop.upload(1, 2)
    shop.prepare()
    with pytest.raises(ConfigError, match="'real' holds pairs; give the photos without LR another"):
        prepare_dataset(place(shop.store, "hr"), shop.store, "real", CONFIG)
    prepare_dataset(place(shop.store, "hr"), shop.store, "plain", CONFIG)
    with pytest.raises(
        ConfigError, match="'plain' holds photos without LR; give the pairs another"
    ):
        prepare_pairs(place(shop.store, "hr"), place(shop.store, "lr"), shop.store, "plain", CONFIG)


def test_prefixes_that_lie_in_each_other_are_refused(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="lie in each other"):
        prepare_pairs(
            place(shop.store, "hr"), place(shop.store, "hr/lr"), shop.store, "real", CONFIG
        )
