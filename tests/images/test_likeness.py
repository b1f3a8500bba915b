"""Near-duplicates have nearly the same hash; different photos do not."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from srgan.images.likeness import NEAR, bits_apart, look_of, turns_of

Pixels = NDArray[np.uint8]


def resized(photo: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.BICUBIC))


def jpeg(photo: Pixels, quality: int) -> Pixels:
    data = BytesIO()
    Image.fromarray(photo).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


COPIES: dict[str, Callable[[Pixels], Pixels]] = {
    "half": lambda photo: resized(photo, 96, 80),
    "larger": lambda photo: resized(photo, 300, 250),
    "another aspect": lambda photo: resized(photo, 170, 160),
    "JPEG 30": lambda photo: jpeg(photo, 30),
    "a small JPEG": lambda photo: jpeg(resized(photo, 64, 53), 50),
    "gray": lambda photo: np.asarray(Image.fromarray(photo).convert("L")),
    "an edge cut away": lambda photo: photo[2:-2, 2:-2],
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_looks_like_the_photo(copy: str, draw_photo: Callable[..., Pixels]) -> None:
    for seed in range(8):
        photo = draw_photo(seed, 160, 192)
        apart = int(bits_apart([look_of(photo)], [look_of(COPIES[copy](photo))])[0, 0])
        assert apart <= NEAR, f"photo {seed}: {apart} bits"


def test_the_looks_of_flips_and_turns_follow_from_the_photos_own(
    draw_photo: Callable[..., Pixels],
) -> None:
    photo = draw_photo(1, 160, 192)
    turns = turns_of(look_of(photo))
    assert turns[0] == look_of(photo)
    assert len(set(turns)) == 8
    every = [
        turned[::down, ::right]
        for turned in (photo, photo.swapaxes(0, 1))
        for down in (1, -1)
        for right in (1, -1)
    ]
    for look, pixels in zip(turns, every, strict=True):
        # A transposition lacks the sign of one frequency, whose partner is not among the 64.
        assert bits_apart([look], [look_of(pixels)])[0, 0] <= 1


def test_different_photos_look_different(draw_photo: Callable[..., Pixels]) -> None:
    looks = [look_of(draw_photo(seed, 160, 192)) for seed in range(60)]
    apart = bits_apart(looks, looks)[np.triu_indices(len(looks), 1)]
    assert apart.min() > NEAR


def test_a_photo_looks_the_same_every_time(draw_photo: Callable[..., Pixels]) -> None:
    look = look_of(draw_photo(1, 160, 192))
    assert (len(look), look) == (16, look_of(draw_photo(1, 160, 192)))
    assert bits_apart([look], [look]).tolist() == [[0]]
    assert bits_apart(["0" * 16], ["f" * 16]).tolist() == [[64]]


def test_a_photo_that_shows_nothing_has_no_look() -> None:
    assert look_of(np.full((40, 50, 3), 200, np.uint8)) == ""
    assert look_of(np.zeros((20, 9), np.uint8)) == ""


def test_photos_smaller_than_the_hash_have_a_look(draw_photo: Callable[..., Pixels]) -> None:
    assert len(look_of(draw_photo(1, 20, 24))) == 16
