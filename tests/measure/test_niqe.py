"""NIQE: the fit that it stands on, and its order of changed photos."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.measure.niqe import (
    ENOUGH_BLOCKS,
    Naturalness,
    block_features,
    num_blocks,
    statistics_of,
)
from srgan.resize.arrays import imresize

Pixels = NDArray[np.uint8]


def niqe(image: Pixels) -> float:
    return Naturalness()(image, image, border=4)


@pytest.fixture(scope="module")
def photo() -> Pixels:
    """A photograph; NIQE says nothing of drawings."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.chelsea()[8:296, 80:368])


def grid(image: Pixels, levels: int) -> Pixels:
    rows, columns = np.indices(image.shape[:2])
    lines = np.where((rows % 4 == 0) | (columns % 4 == 0), levels, -levels)[..., None]
    return np.clip(image.astype(int) + lines, 0, 255).astype(np.uint8)


def test_a_photo_is_more_natural_than_bicubic_and_bicubic_than_nearest(photo: Pixels) -> None:
    lr = imresize(photo, scale=1 / 4)
    bicubic, nearest = imresize(lr, scale=4), lr.repeat(4, axis=0).repeat(4, axis=1)
    assert niqe(photo) < niqe(bicubic) < niqe(nearest)


def test_an_original_may_have_more_than_twice_the_niqe_of_bicubic_where_blocks_are_few() -> None:
    data = pytest.importorskip("skimage.data")
    coffee = np.ascontiguousarray(data.coffee()[52:244, :192])
    assert num_blocks(*coffee.shape[:2], border=4) == 1 < ENOUGH_BLOCKS
    bicubic = imresize(imresize(coffee, scale=1 / 4), scale=4)
    assert niqe(coffee) > 2 * niqe(bicubic)


def test_blocks_are_whole_ones_within_the_border() -> None:
    assert num_blocks(200, 296, border=4) == 2 * 3
    assert num_blocks(199, 295, border=4) == 1 * 2
    assert num_blocks(7, 7, border=4) == 0


def test_a_grid_and_a_blur_are_unnatural(photo: Pixels) -> None:
    blurred = imresize(imresize(photo, scale=1 / 2), scale=2)
    assert niqe(photo) < niqe(grid(photo, 2)) < niqe(grid(photo, 4))
    assert niqe(photo) < niqe(blurred)


def test_the_original_and_the_border_do_not_count(photo: Pixels) -> None:
    framed = photo.copy()
    framed[:4], framed[-4:], framed[:, :4], framed[:, -4:] = 0, 0, 0, 0
    judge = Naturalness()
    assert judge(photo, photo, border=4) == judge(np.zeros_like(photo), framed, border=4)


def test_colours_count_by_their_luma_and_gray_is_taken_as_it_is(photo: Pixels) -> None:
    gray = photo[:, :, 1]
    assert niqe(gray) == niqe(np.repeat(gray[:, :, None], 3, axis=2))


def test_products_of_neighbours_lean_to_the_right_in_stripes_only_along_them() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (192, 192)).astype(np.uint8)
    assert block_features(noise).shape == (4, 36)
    along, across = [3, 7]  # means of the products with the next column and with the next row
    assert np.abs(block_features(noise)[:, [along, across]]).max() < 0.2
    stripes = np.repeat(noise[:, :1], 192, axis=1)
    assert block_features(stripes)[:, along].min() > 0.5
    assert np.abs(block_features(stripes)[:, across]).max() < 0.5


def test_the_first_two_features_are_what_their_definition_gives(
    draw_photo: Callable[..., Pixels],
) -> None:
    """Equations 1 to 5 of the paper, written out for one block with scipy."""
    ndimage = pytest.importorskip("scipy.ndimage")
    gray = draw_photo(3, 96, 96)[:, :, 1]
    values = gray.astype(float)
    mean = ndimage.gaussian_filter(values, 7 / 6, mode="nearest", radius=3)
    squares = ndimage.gaussian_filter(values**2, 7 / 6, mode="nearest", radius=3)
    x = (values - mean) / (np.sqrt(np.abs(squares - mean**2)) + 1)
    left, right = (np.sqrt((side**2).mean()) for side in (x[x < 0], x[x > 0]))
    ratio = left / right
    wanted = np.abs(x).mean() ** 2 / (x**2).mean()
    wanted *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2

    def peak(shape: float) -> float:
        return math.gamma(2 / shape) ** 2 / (math.gamma(1 / shape) * math.gamma(3 / shape))

    shape = min(np.arange(0.2, 10, 0.001), key=lambda each: abs(peak(each) - wanted))
    scale = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))
    found = block_features(gray)[0, :2]
    assert found == pytest.approx([shape, (left + right) * scale / 2], rel=2e-3)


def test_one_block_and_flat_blocks_have_a_finite_figure() -> None:
    half = np.zeros((200, 104), np.uint8)
    half[100:] = np.random.default_rng(0).integers(0, 255, (100, 104))
    assert math.isfinite(niqe(half))
    assert math.isfinite(niqe(half[:104]))
    assert math.isfinite(niqe(np.full((104, 104), 7, np.uint8)))


def test_the_covariance_of_one_block_is_zero() -> None:
    mean, covariance = statistics_of(np.arange(36.0)[None])
    assert mean.tolist() == list(range(36))
    assert not covariance.any()


def test_only_sharp_blocks_teach(photo: Pixels) -> None:
    every, sharp = block_features(photo), block_features(photo, least_sharpness=0.9)
    assert 1 <= len(sharp) < len(every) == 9


def test_an_image_without_a_whole_block_is_refused() -> None:
    with pytest.raises(ValueError, match=r"96 pixels a side.*\(96, 95\)"):
        niqe(np.zeros((104, 103), np.uint8))
