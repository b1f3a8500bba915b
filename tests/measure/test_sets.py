"""Evaluation sets: fixed, versioned, whole photos or crops, on a real object store."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from srgan.config import DegradationConfig, SecondOrderConfig, SetConfig
from srgan.errors import DataError, StorageError
from srgan.keys import set_photo_key
from srgan.measure.sets import EvaluationSet, SetImages, newest_set, prepare_set, read_set
from srgan.resize.arrays import imresize
from srgan.services.s3 import S3Store
from tests.support.places import place

Pixels = NDArray[np.uint8]


@pytest.fixture
def draw(draw_photo: Callable[..., Pixels]) -> Callable[..., Pixels]:
    return draw_photo


@pytest.fixture
def upload(
    object_store: S3Store, draw: Callable[..., Pixels], encode_photo: Callable[..., bytes]
) -> Callable[..., None]:
    """`upload(1, 2)`: photos of 70×94 below ``raw/own``, named by their seeds."""

    def put(*seeds: int, height: int = 70, width: int = 94) -> None:
        for seed in seeds:
            object_store.put(f"raw/own/{seed}.png", encode_photo(draw(seed, height, width)))

    return put


def make(store: S3Store, **config: Any) -> EvaluationSet:
    return prepare_set(place(store, "raw/own"), store, "own", SetConfig(**config))


def test_whole_photos_lose_only_what_the_scale_does_not_divide(
    object_store: S3Store, upload: Callable[..., None], draw: Callable[..., Pixels]
) -> None:
    upload(1, 2, 3)
    made = make(object_store)
    assert (made.ref.num_photos, made.ref.num_images) == (3, 3)
    images = SetImages(object_store, made, 4)
    for index, name in enumerate(images.names):
        expected = draw(int(name.removeprefix("raw/own/").removesuffix(".png")), 70, 94)
        np.testing.assert_array_equal(images[index], expected[:68, :92])
    assert SetImages(object_store, made, 3)[0].shape == (69, 93, 3), "a set has no scale"


def test_crops_cover_the_photos(object_store: S3Store, upload: Callable[..., None]) -> None:
    upload(1, 2)
    made = make(object_store, crop_size=40)
    images = SetImages(object_store, made, 4)
    assert made.ref.num_images == len(images) == len(images.names) == 2 * 2 * 3
    assert {images[index].shape for index in range(len(images))} == {(40, 40, 3)}


def test_a_grayscale_photo_stays_grayscale(
    object_store: S3Store, draw: Callable[..., Pixels], encode_photo: Callable[..., bytes]
) -> None:
    gray = draw(1, 40, 44)[..., 0]
    object_store.put("raw/own/gray.png", encode_photo(gray))
    np.testing.assert_array_equal(SetImages(object_store, make(object_store), 4)[0], gray)


def test_a_photo_of_16_bits_is_measured_in_8_as_training_sees_it(object_store: S3Store) -> None:
    levels = np.arange(40 * 44, dtype=np.uint16).reshape(40, 44) * 37
    buffer = BytesIO()
    Image.fromarray(levels).save(buffer, "PNG")
    object_store.put("raw/own/deep.png", buffer.getvalue())
    image = SetImages(object_store, make(object_store), 4)[0]
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, np.rint(levels / 257))


def test_the_same_photos_make_the_same_version_and_other_photos_another(
    object_store: S3Store, upload: Callable[..., None]
) -> None:
    upload(1, 2)
    first = make(object_store)
    assert make(object_store) == first
    upload(3)
    second = make(object_store)
    assert second.version != first.version
    assert make(object_store, crop_size=40).version not in (first.version, second.version)
    assert newest_set(object_store, "own").config.crop_size == 40
    assert read_set(object_store, first.ref.key) == first, "versions stay"


def test_a_degraded_set_has_the_same_images_at_every_evaluation_and_keeps_its_originals(
    object_store: S3Store, upload: Callable[..., None], draw: Callable[..., Pixels]
) -> None:
    upload(1, 2)
    plain = make(object_store)
    assert SetImages(object_store, plain, 4).lr(0) is None
    real = DegradationConfig(second_order=SecondOrderConfig())
    made = make(object_store, degradation=real)
    assert made.version != plain.version
    assert made.version != make(object_store, degradation=DegradationConfig(noise_sigma=(1, 2)))
    images, again = (SetImages(object_store, made, 4) for _ in range(2))
    for index in (1, 0):
        found = images.lr(index)
        np.testing.assert_array_equal(found, again.lr(index))
        assert found is not None
        assert (found.shape, found.dtype) == ((17, 23, 3), np.uint8)
        bicubic = imresize(images[index], scale=1 / 4)
        assert np.abs(found.astype(int) - bicubic).mean() > 1
        np.testing.assert_array_equal(
            images[index], SetImages(object_store, plain, 4)[index], "the original"
        )


def test_images_of_a_degraded_set_do_not_depend_on_the_other_photos(
    object_store: S3Store, upload: Callable[..., None]
) -> None:
    noisy = {"crop_size": 40, "degradation": DegradationConfig(noise_sigma=(5, 9))}
    upload(1)
    alone = SetImages(object_store, make(object_store, **noisy), 4)
    upload(2, 3)
    among = SetImages(object_store, make(object_store, **noisy), 4)
    first = among.names.index("raw/own/1.png")
    for at in range(len(alone)):
        np.testing.assert_array_equal(alone.lr(at), among.lr(first + at))
    crops = [alone.lr(at) for at in range(2)]
    assert crops[0] is not None
    assert crops[1] is not None
    noise = [crop - imresize(alone[i], scale=1 / 4).astype(float) for i, crop in enumerate(crops)]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.3, "drawn again"


def test_a_version_outlives_the_photos_that_it_was_made_of(
    object_store: S3Store, upload: Callable[..., None]
) -> None:
    upload(1)
    made = make(object_store)
    before = SetImages(object_store, made, 4)[0]
    object_store.delete("raw/own/1.png")
    np.testing.assert_array_equal(SetImages(object_store, made, 4)[0], before)


def test_a_duplicate_counts_once_and_rejected_objects_are_named(
    object_store: S3Store, upload: Callable[..., None], encode_photo: Callable[..., bytes]
) -> None:
    upload(1)
    object_store.put("raw/own/again.png", object_store.get("raw/own/1.png"))
    object_store.put("raw/own/notes.txt", b"no photo")
    object_store.put("raw/own/tiny.png", encode_photo(np.zeros((8, 90, 3), np.uint8)))
    made = make(object_store)
    assert (len(made.photos), made.num_duplicates) == (1, 1)
    assert made.rejected["raw/own/notes.txt"].startswith("not_an_image")
    assert made.rejected["raw/own/tiny.png"] == "tiny: 90 × 8, needs 32"


def test_a_whole_photo_that_is_too_large_says_to_set_crop_size(
    object_store: S3Store, upload: Callable[..., None]
) -> None:
    upload(1)
    upload(2, height=40, width=40)
    made = make(object_store, max_whole_pixels=2000)
    assert len(made.photos) == 1
    assert "set crop_size to measure crops" in made.rejected["raw/own/1.png"]
    assert len(make(object_store, max_whole_pixels=2000, crop_size=40).photos) == 2


def test_a_set_without_any_usable_photo_is_an_error_with_an_example(object_store: S3Store) -> None:
    object_store.put("raw/own/notes.txt", b"no photo")
    with pytest.raises(DataError, match=r"no photo among 1 objects .* for example raw/own/notes"):
        make(object_store)
    with pytest.raises(DataError, match="no evaluation set 'own'; make it with the flow"):
        newest_set(object_store, "own")


def test_altered_photos_are_refused(
    object_store: S3Store, upload: Callable[..., None], encode_photo: Callable[..., bytes]
) -> None:
    upload(1)
    made = make(object_store)
    key = set_photo_key("own", made.photos[0].pixels)
    object_store.put(key, encode_photo(np.zeros((70, 94, 3), np.uint8)))
    with pytest.raises(StorageError, match=f"{key} was altered"):
        SetImages(object_store, made, 4)[0]
