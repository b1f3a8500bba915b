"""Statistics of photos: each one answers to what it is named after, and to little else."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from srgan.images import decode
from srgan.images.statistics import Statistics, statistics_of
from srgan.resize.arrays import imresize
from tests.support.photos import dead_leaves

Pixels = NDArray[np.uint8]


def leaves(seed: int = 0, height: int = 300, width: int = 400) -> Pixels:
    return decode(dead_leaves(seed, height, width), max_pixels=10**6).pixels


def measured(pixels: NDArray[np.generic], **options: int) -> Statistics:
    found = statistics_of(pixels, **options)
    assert found is not None
    return found


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))


def noisy(pixels: Pixels, sigma: float) -> Pixels:
    noise = np.random.default_rng(0).normal(0, sigma, pixels.shape[:2])
    return np.clip(pixels + noise[..., None] + 0.5, 0, 255).astype(np.uint8)


def test_blur_rises_with_every_step_of_blurring() -> None:
    photo = leaves()
    found = [measured(photo).blur, *(measured(blurred(photo, s)).blur for s in (0.7, 1.5, 3))]
    assert found == sorted(found), found
    assert found[0] < 0.3
    assert found[-1] > 0.7


@pytest.mark.parametrize("sigma", [2, 5, 10, 25])
def test_noise_is_the_deviation_that_was_added(sigma: float) -> None:
    calm = blurred(leaves() // 2 + 64, 2)  # without edges, far from black and white
    assert measured(calm).noise < 1
    assert measured(noisy(calm, sigma)).noise == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize("quality", [20, 50, 75, 90, 95])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_quality_of_a_jpeg_is_the_one_it_was_written_with(quality: int, mode: str) -> None:
    file = BytesIO()
    Image.fromarray(leaves()).convert(mode).save(file, "JPEG", quality=quality)
    found = statistics_of(leaves(), file=file.getvalue())
    assert found is not None
    assert found.jpeg_quality == pytest.approx(quality, abs=1.5)


@pytest.mark.parametrize("cut", [0, 2, 4, 30, 80])
def test_files_without_a_table_have_the_highest_quality(cut: int) -> None:
    file = BytesIO()
    Image.fromarray(leaves()).save(file, "JPEG", quality=30)
    beginning = file.getvalue()[:cut]
    assert statistics_of(leaves(), file=beginning).jpeg_quality == 100  # type: ignore[union-attr]
    assert statistics_of(leaves(), file=dead_leaves(0)).jpeg_quality == 100  # type: ignore[union-attr]


def test_brightness_contrast_and_colours_answer_to_their_change_alone() -> None:
    photo = leaves()
    plain, gray = measured(photo), measured(np.array(Image.fromarray(photo).convert("L")))
    dark = measured((photo * 0.5).astype(np.uint8))
    assert gray.colourfulness == 0
    assert gray.brightness == pytest.approx(plain.brightness, abs=1)
    assert dark.brightness == pytest.approx(plain.brightness / 2, abs=1)
    assert dark.contrast == pytest.approx(plain.contrast / 2, abs=1)
    assert dark.blur == pytest.approx(plain.blur, abs=0.02)
    assert plain.colourfulness > 50


def test_a_photo_reduced_by_a_scale_is_measured_like_its_small_copy() -> None:
    photo = leaves(3, 600, 800)
    small = imresize(photo, scale=1 / 4)
    found, expected = measured(photo, scale=4), measured(small)
    assert found.source_side == expected.source_side
    assert found.blur == pytest.approx(expected.blur, abs=0.02)
    assert found.noise == pytest.approx(expected.noise, rel=0.1)
    assert found.brightness == pytest.approx(expected.brightness, abs=1)
    assert measured(photo).blur != pytest.approx(expected.blur, abs=0.02)


def test_16_bits_are_measured_in_levels_of_255() -> None:
    photo = leaves()
    deep = photo.astype(np.uint16) * np.uint16(257)
    assert measured(deep) == measured(photo)


@pytest.mark.parametrize("shape", [(16, 16, 3), (16, 500), (70, 3000, 3), (128, 129)])
def test_any_shape_from_16_pixels_on_is_measured(shape: tuple[int, ...]) -> None:
    found = measured(np.full(shape, 77, np.uint8))
    assert (found.blur, found.noise, found.contrast) == (1, 0, 0), "a flat photo has no detail"
    assert (found.brightness, found.jpeg_quality) == (77, 100)
    assert found.source_side == pytest.approx((shape[0] * shape[1]) ** 0.5)


def test_smaller_photos_are_not_measured(draw_photo: Callable[..., Pixels]) -> None:
    assert statistics_of(draw_photo(1, 15, 400)) is None
    assert statistics_of(draw_photo(1, 60, 60), scale=4) is None
