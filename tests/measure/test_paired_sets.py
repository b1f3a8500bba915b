"""Evaluation sets of pairs: LR photos that models enlarge, beside the photos to compare with."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.config import DegradationConfig, SetConfig
from srgan.errors import ConfigError, DataError, StorageError
from srgan.keys import set_photo_key
from srgan.measure.sets import (
    EvaluationSet,
    SetImages,
    newest_set,
    prepare_paired_set,
    prepare_set,
)
from srgan.resize.arrays import imresize
from srgan.services.s3 import S3Store
from tests.support.places import place

Pixels = NDArray[np.uint8]


class Shop:
    """HR photos of 160×192 below ``hr/`` and LR photos of 40×48 below ``lr/``, at scale 4."""

    def __init__(
        self, store: S3Store, draw: Callable[..., Pixels], encode: Callable[..., bytes]
    ) -> None:
        self.store, self.draw, self.encode = store, draw, encode

    def hr(self, seed: int) -> Pixels:
        return imresize(self.draw(seed, 40, 48), scale=4)  # without noise that LR cannot show

    def lr(self, seed: int) -> Pixels:
        """As no degradation of ours would make it: darker."""
        return (imresize(self.hr(seed), scale=1 / 4) * 0.8).astype(np.uint8)

    def upload(self, *seeds: int, lr: Pixels | None = None) -> None:
        for seed in seeds:
            self.store.put(f"hr/town/{seed}.png", self.encode(self.hr(seed)))
            small = self.lr(seed) if lr is None else lr
            self.store.put(f"lr/town/{seed}.bmp", self.encode(small, "BMP"))

    def prepare(self, scale: int = 4, **config: Any) -> EvaluationSet:
        folders = place(self.store, "hr"), place(self.store, "lr")
        return prepare_paired_set(*folders, scale, self.store, "phone", SetConfig(**config))


@pytest.fixture
def shop(
    object_store: S3Store, draw_photo: Callable[..., Pixels], encode_photo: Callable[..., bytes]
) -> Shop:
    return Shop(object_store, draw_photo, encode_photo)


def test_each_photo_has_its_own_lr_photo(shop: Shop) -> None:
    shop.upload(1, 2, 3)
    made = shop.prepare()
    assert (made.ref.num_photos, made.ref.num_images, made.scale) == (3, 3, 4)
    assert (made.source, made.lr_source) == (shop.store.uri("hr/"), shop.store.uri("lr/"))
    assert newest_set(shop.store, "phone") == made
    images = SetImages(shop.store, made, 4)
    for index, name in enumerate(images.names):
        seed = int(name.removeprefix("hr/town/").removesuffix(".png"))
        np.testing.assert_array_equal(images[index], shop.hr(seed))
        np.testing.assert_array_equal(images.lr(index), shop.lr(seed))


def test_crops_show_the_same_place_of_both(shop: Shop) -> None:
    shop.upload(1)
    images = SetImages(shop.store, shop.prepare(crop_size=64), 4)
    assert len(images) == 3 * 3
    places = [(top, left) for top in (0, 16, 24) for left in (0, 16, 32)]
    for index, (top, left) in enumerate(places):
        hr = shop.hr(1)[4 * top : 4 * top + 64, 4 * left : 4 * left + 64]
        np.testing.assert_array_equal(images[index], hr)
        lr = shop.lr(1)[top : top + 16, left : left + 16]
        np.testing.assert_array_equal(images.lr(index), lr)


def test_the_lr_photo_of_a_grayscale_photo_is_rgb_as_models_take_it(shop: Shop) -> None:
    shop.store.put("hr/gray.png", shop.encode(shop.hr(1)[..., 0]))
    shop.store.put("lr/gray.png", shop.encode(shop.lr(1)[..., 0]))
    images = SetImages(shop.store, shop.prepare(), 4)
    assert images[0].shape == (160, 192)
    np.testing.assert_array_equal(images.lr(0), np.repeat(shop.lr(1)[..., :1], 3, axis=2))


def test_pairs_that_do_not_fit_are_rejected_by_their_keys_with_the_reason(shop: Shop) -> None:
    shop.upload(1)
    shop.upload(2, lr=shop.lr(2)[:, :-1])
    shop.upload(3, lr=shop.lr(4))
    shop.upload(5, lr=np.roll(shop.lr(5), 1, axis=0))
    shop.upload(6, 7)
    shop.store.put("lr/town/6.bmp", b"text")
    shop.store.delete("lr/town/7.bmp")
    made = shop.prepare()
    assert [photo.name for photo in made.photos] == ["hr/town/1.png"]
    beginnings = {
        "hr/town/2.png": "missized: lr/town/2.bmp: HR has 192 × 160 pixels, 4 times the 47 × 40",
        "hr/town/3.png": "unlike: lr/town/3.bmp: the correlation with HR is ",
        "hr/town/5.png": "shifted: lr/town/5.bmp: LR lies 0.9 down and 0.0 right of HR",
        "hr/town/6.png": "not_an_image: lr/town/6.bmp: ",
        "hr/town/7.png": "no_partner: there is no LR photo below ",
    }
    assert made.rejected.keys() == beginnings.keys()
    for key, beginning in beginnings.items():
        assert made.rejected[key].startswith(beginning), made.rejected[key]


def test_photos_are_too_small_or_too_large_by_their_hr(shop: Shop) -> None:
    shop.upload(1)
    with pytest.raises(DataError, match=r"hr/town/1.png: tiny: 192 × 160, needs 164"):
        shop.prepare(crop_size=164)
    with pytest.raises(DataError, match=r"no pair among 1 HR .*1.png: large: .* set crop_size"):
        shop.prepare(max_whole_pixels=30_000)


def test_the_same_pairs_make_the_same_version_and_other_lr_photos_another(shop: Shop) -> None:
    shop.upload(1, 2)
    shop.store.put("hr/again.png", shop.store.get("hr/town/1.png"))
    shop.store.put("lr/again.png", shop.store.get("lr/town/1.bmp"))
    first = shop.prepare()
    assert (len(first.photos), first.num_duplicates) == (2, 1)
    assert shop.prepare() == first
    shop.upload(2, lr=imresize(shop.hr(2), scale=1 / 4))
    second = shop.prepare()
    assert [photo.pixels for photo in second.photos] == [photo.pixels for photo in first.photos]
    assert second.version != first.version
    shop.store.put("lr/again.png", shop.encode(imresize(shop.hr(1), scale=1 / 4)))
    assert len(shop.prepare().photos) == 3, "one photo may have several LR photos"
    plain = prepare_set(place(shop.store, "hr"), shop.store, "plain", SetConfig())
    assert {photo.pixels for photo in plain.photos} == {photo.pixels for photo in first.photos}
    assert plain.version != first.version


def test_a_config_that_does_not_fit_pairs_is_refused(shop: Shop) -> None:
    shop.upload(1)
    with pytest.raises(ConfigError, match=r"config\.degradation does not apply to pairs"):
        shop.prepare(degradation=DegradationConfig(noise_sigma=(1, 2)))
    with pytest.raises(ConfigError, match=r"config\.crop_size 66 is not divisible by scale 4"):
        shop.prepare(crop_size=66)
    folders = place(shop.store, "hr"), place(shop.store, "hr/town")
    with pytest.raises(ConfigError, match="lie in each other"):
        prepare_paired_set(*folders, 4, shop.store, "phone", SetConfig())


def test_pairs_are_measured_at_their_own_scale_only(shop: Shop) -> None:
    shop.upload(1)
    made = shop.prepare()
    expected = "evaluation set 'phone' holds pairs of scale 4, and it would be measured at scale 2"
    with pytest.raises(ConfigError, match=expected):
        SetImages(shop.store, made, 2)


def test_altered_lr_photos_are_refused(shop: Shop) -> None:
    shop.upload(1)
    made = shop.prepare()
    assert made.photos[0].lr_pixels is not None
    key = set_photo_key("phone", made.photos[0].lr_pixels)
    shop.store.put(key, shop.encode(shop.lr(2)))
    with pytest.raises(StorageError, match=f"{key} was altered"):
        SetImages(shop.store, made, 4).lr(0)
