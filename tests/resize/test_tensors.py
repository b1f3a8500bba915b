"""MATLAB's bicubic on tensors: as on arrays, within a level, for tiles, windows and gradients."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.export import Dim, export

from srgan.resize.arrays import imresize
from srgan.resize.tensors import Degradation, upsample
from tests.support.photos import noise


def tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None]


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(48, 40), (37, 11), (3, 2)])
def test_upsample_agrees_with_imresize_within_one_level(scale: int, size: tuple[int, int]) -> None:
    image = (noise(*size) // 4 + 96).astype(np.uint8)  # far from 0 and 255, where imresize clamps
    result = upsample(tensor(image).double(), scale)[0].permute(1, 2, 0).numpy()
    expected = imresize(image, scale=scale)
    assert result.shape == expected.shape
    assert np.abs(np.floor(result + 0.5) - expected).max() <= 1


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_a_degraded_window_is_the_part_of_the_degraded_photo(scale: int) -> None:
    degradation = Degradation(scale)
    margin, patch = degradation.margin, 6 * scale
    assert margin % scale == 0
    image = noise(20 * scale, 18 * scale)
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
    lr, windows = torch.rand(1, 3, 12, 12), tensor(noise(40, 40))
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
