"""The reference is MATLAB's definition in exact fractions, pixel by pixel."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.export import Dim, export

from srgan.resize.arrays import imresize, resample
from srgan.resize.tensors import Degradation, upsample


def photo(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None]


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
    image = photo(*size)[:, :, 0]
    expected = resized(image, scale)
    assert imresize(image, scale=float(scale)).tolist() == expected.tolist()


def test_imresize_of_colours_is_imresize_of_each_channel() -> None:
    image = photo(21, 17)
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
        imresize(photo(4, 4), scale=scale)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(48, 40), (37, 11), (3, 2)])
def test_upsample_agrees_with_imresize_within_one_level(scale: int, size: tuple[int, int]) -> None:
    image = (photo(*size) // 4 + 96).astype(np.uint8)  # far from 0 and 255, where imresize clamps
    result = upsample(tensor(image).double(), scale)[0].permute(1, 2, 0).numpy()
    expected = imresize(image, scale=scale)
    assert result.shape == expected.shape
    assert np.abs(np.floor(result + 0.5) - expected).max() <= 1


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_a_degraded_window_is_the_part_of_the_degraded_photo(scale: int) -> None:
    degradation = Degradation(scale)
    margin, patch = degradation.margin, 6 * scale
    assert margin % scale == 0
    image = photo(20 * scale, 18 * scale)
    whole = imresize(image, scale=1 / scale)
    top, left = 5 * scale, 3 * scale
    window = image[top - margin : top + patch + margin, left - margin : left + patch + margin]
    lr, hr = degradation(tensor(window))
    levels = (lr[0] * 255).permute(1, 2, 0).numpy()
    expected = whole[top // scale :, left // scale :][:6, :6]
    np.testing.assert_allclose(levels, expected, atol=1e-4)
    pixels = ((hr[0] + 1) * 127.5).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(pixels, image[top : top + patch, left : left + patch], atol=1e-4)


def test_degradation_gives_the_papers_ranges() -> None:
    windows = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 40, 40)
    lr, hr = Degradation(4)(windows)
    assert lr.shape == (2, 3, 6, 6)
    assert hr.shape == (2, 3, 24, 24)
    assert lr.dtype == hr.dtype == torch.float32
    assert lr[0].unique().tolist() == [0]
    assert lr[1].unique().tolist() == [1]
    assert hr[0].unique().tolist() == [-1]
    assert hr[1].unique().tolist() == [1]


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (torch.zeros(1, 3, 40, 40), "uint8 tensor"),
        (torch.zeros(1, 1, 40, 40, dtype=torch.uint8), "uint8 tensor"),
        (torch.zeros(1, 3, 42, 40, dtype=torch.uint8), "42×40"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "16×16"),
    ],
)
def test_degradation_names_what_it_got_instead_of_windows(
    windows: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Degradation(4)(windows)


@pytest.mark.parametrize(
    "image", [torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 8)]
)
def test_upsample_refuses_levels_and_a_missing_batch(image: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="float tensor"):
        upsample(image, 4)


def test_upsampling_a_tile_gives_exactly_the_floats_of_the_whole() -> None:
    lr = torch.rand(1, 3, 61, 53)
    tile = upsample(lr[:, :, 10:41, 7:30], 4)[:, :, 8:-8, 8:-8]
    assert torch.equal(tile, upsample(lr, 4)[:, :, 48:156, 36:112])


def test_autocast_does_not_lower_the_precision() -> None:
    lr, windows = torch.rand(1, 3, 12, 12), tensor(photo(40, 40))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        enlarged, pair = upsample(lr, 4), Degradation(4)(windows)
    assert torch.equal(enlarged, upsample(lr, 4))
    assert torch.equal(pair[0], Degradation(4)(windows)[0])


def test_gradients_flow_even_after_a_call_under_inference_mode() -> None:
    image = torch.rand(1, 1, 5, 4, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():
        upsample(image, 2)
    assert torch.autograd.gradcheck(lambda x: upsample(x, 2), image)


@pytest.mark.slow(group="parts")
def test_upsample_exports_with_dynamic_sides() -> None:
    class Enlarge(torch.nn.Module):
        def forward(self, lr: torch.Tensor) -> torch.Tensor:
            return upsample(lr, 4)

    sides = {2: Dim("height", min=2, max=4096), 3: Dim("width", min=2, max=4096)}
    program = export(Enlarge(), (torch.rand(1, 3, 9, 8),), dynamic_shapes=(sides,))
    other = torch.rand(1, 3, 5, 14)
    assert torch.equal(program.module()(other), upsample(other, 4))


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
    image = photo(40, 30)
    whole = resample(image, 27, 31)
    monkeypatch.setattr("srgan.resize.arrays._BLOCK_VALUES", 200)
    np.testing.assert_array_equal(resample(image, 27, 31), whole)
    for channel in range(3):
        one = resample(np.ascontiguousarray(image[:, :, channel]), 27, 31)
        np.testing.assert_array_equal(one, whole[:, :, channel])


@pytest.mark.parametrize(
    ("image", "size"),
    [(np.zeros((4, 4)), (2, 2)), (np.zeros((0, 4), np.uint8), (2, 2)), (photo(4, 4), (0, 2))],
)
def test_what_cannot_be_resampled_is_refused(image: np.ndarray, size: tuple[int, int]) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=r"expected a uint8 or uint16|must be at least 1"):
        resample(image, *size)
