"""The reference is MATLAB's definition in exact fractions, pixel by pixel."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.resize.arrays import imresize, resample
from tests.support.photos import noise


def cubic(x: Fraction) -> Fraction:
    x = abs(x)
    if x <= 1:
        return Fraction(3, 2) * x**3 - Fraction(5, 2) * x**2 + 1
    if x < 2:
        return Fraction(-1, 2) * x**3 + Fraction(5, 2) * x**2 - 4 * x + 2
    return Fraction(0)


def resized_line(line: list[int], scale: Fraction) -> list[int]:
    shrink = min(scale, Fraction(1))
    result = []
    for out in range(math.ceil(len(line) * scale)):
        centre = (out + Fraction(1, 2)) / scale - Fraction(1, 2)
        reach = range(math.floor(centre - 2 / shrink), math.ceil(centre + 2 / shrink) + 1)
        weights = [cubic(shrink * (centre - i)) for i in reach]
        mirrored = line + line[::-1]
        values = [mirrored[i % len(mirrored)] for i in reach]
        total = sum((w * v for w, v in zip(weights, values, strict=True)), Fraction(0))
        level = math.floor(total / sum(weights) + Fraction(1, 2))
        result.append(min(max(level, 0), 255))
    return result


def resized(image: NDArray[np.uint8], scale: Fraction) -> NDArray[np.uint8]:
    columns = [resized_line([int(v) for v in column], scale) for column in image.T]
    rows = [resized_line(list(row), scale) for row in zip(*columns, strict=True)]
    return np.array(rows, np.uint8)


SHRINK = [Fraction(1, 8), Fraction(1, 4), Fraction(1, 3), Fraction(1, 2)]
GROW = [Fraction(scale) for scale in (1, 2, 3, 4, 8)]


@pytest.mark.parametrize(
    ("scale", "size"),
    [(scale, size) for scale in SHRINK for size in ((24, 16), (13, 7))]
    + [(scale, size) for scale in GROW for size in ((7, 6), (1, 2))],
)
def test_imresize_is_matlabs_definition_with_8_bits_between_the_passes(
    scale: Fraction, size: tuple[int, int]
) -> None:
    image = noise(*size)[:, :, 0]
    expected = resized(image, scale)
    assert imresize(image, scale=float(scale)).tolist() == expected.tolist()


def test_imresize_of_colours_is_imresize_of_each_channel() -> None:
    image = noise(21, 17)
    each = [imresize(image[:, :, c], scale=1 / 4) for c in range(3)]
    assert np.array_equal(imresize(image, scale=1 / 4), np.dstack(each))
    assert each[0].shape == (6, 5), "sides are rounded up"


def test_imresize_works_in_blocks_of_rows_without_seams() -> None:
    ramp = np.arange(3000, dtype=np.uint32) * 200 // 3000 + 20
    image = np.broadcast_to(ramp[:, None], (3000, 1000)).astype(np.uint8)
    result = imresize(image, scale=1 / 2).astype(int)
    assert result.shape == (1500, 500)
    assert np.abs(result - image[::2, ::2]).max() <= 1


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4)), np.zeros(4, np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_imresize_names_what_it_got_instead_of_an_image(image: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="expected a uint8 image"):
        imresize(image, scale=2)


@pytest.mark.parametrize("scale", [0, -1, math.nan, math.inf])
def test_imresize_refuses_a_scale_that_is_not_a_positive_number(scale: float) -> None:
    with pytest.raises(ValueError, match="scale must be"):
        imresize(noise(4, 4), scale=scale)


def resampled_exactly(image: np.ndarray, height: int, width: int, most: int) -> NDArray[np.int64]:  # type: ignore[type-arg]
    """MATLAB's operator in exact fractions, rounded once."""

    def line(values: list[Fraction], length: int) -> list[Fraction]:
        scale = Fraction(length, len(values))
        shrink = min(scale, Fraction(1))
        result = []
        for out in range(length):
            centre = (out + Fraction(1, 2)) / scale - Fraction(1, 2)
            reach = range(math.floor(centre - 2 / shrink), math.ceil(centre + 2 / shrink) + 1)
            weights = [cubic(shrink * (centre - i)) for i in reach]
            mirrored = values + values[::-1]
            taps = [mirrored[i % len(mirrored)] for i in reach]
            result.append(sum(w * v for w, v in zip(weights, taps, strict=True)) / sum(weights))
        return result

    columns = [line([Fraction(int(v)) for v in column], height) for column in image.T]
    rows = [line(list(row), width) for row in zip(*columns, strict=True)]
    levels = [[math.floor(value + Fraction(1, 2)) for value in row] for row in rows]
    return np.clip(np.array(levels), 0, most)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(9, 15), (12, 20), (5, 7), (1, 1), (31, 3), (13, 29)])
def test_any_size_is_reached_by_the_same_operator_rounded_once(
    dtype: type, size: tuple[int, int]
) -> None:
    most = int(np.iinfo(dtype).max)
    image = np.random.default_rng(3).integers(0, most, (12, 20), dtype=dtype, endpoint=True)
    result = resample(image, *size)
    assert result.dtype == dtype
    exact = resampled_exactly(image, *size, most)
    off = np.abs(result.astype(np.int64) - exact)
    assert off.max() <= 1, "at a half, floats may round the other way"
    assert (off > 0).mean() <= 0.01


def test_blocks_of_rows_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise(40, 30)
    whole = resample(image, 27, 31)
    monkeypatch.setattr("srgan.resize.arrays._BLOCK_VALUES", 200)
    np.testing.assert_array_equal(resample(image, 27, 31), whole)
    for channel in range(3):
        one = resample(np.ascontiguousarray(image[:, :, channel]), 27, 31)
        np.testing.assert_array_equal(one, whole[:, :, channel])


@pytest.mark.parametrize(
    ("image", "size"),
    [(np.zeros((4, 4)), (2, 2)), (np.zeros((0, 4), np.uint8), (2, 2)), (noise(4, 4), (0, 2))],
)
def test_what_cannot_be_resampled_is_refused(image: np.ndarray, size: tuple[int, int]) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=r"expected a uint8 or uint16|must be at least 1"):
        resample(image, *size)
