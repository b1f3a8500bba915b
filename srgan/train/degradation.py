"""HR → LR for training: bicubic, or with the blur, noise and compression of real photographs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config import DegradationConfig
from srgan.precision import ieee_fp32
from srgan.resize.tensors import Degradation

# ITU-T T.81, tables K.1 and K.2.
_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def compress(images: Tensor, quality: Tensor) -> Tensor:
    """RGB float (N, 3, H, W) in 0–255 → the same after JPEG of `quality` (N,), whole levels.

    The grid of blocks begins at the upper left corner; edges are repeated to fill blocks.
    """
    height, width = images.shape[2:]
    padded = F.pad(images, (0, -width % 16, 0, -height % 16), mode="replicate")
    ycc = torch.einsum("cd,ndhw->nchw", images.new_tensor(_TO_YCC), padded).round()
    luma = _quantised(ycc[:, :1] - 128, _LUMA, quality) + 128
    colours = _quantised(F.avg_pool2d(ycc[:, 1:], 2), _CHROMA, quality)
    colours = F.interpolate(colours, scale_factor=2, mode="bilinear")
    rgb = torch.einsum(
        "cd,ndhw->nchw", images.new_tensor(_TO_RGB), torch.cat([luma, colours], dim=1)
    )
    return rgb[:, :, :height, :width].round().clamp(0, 255)


def _quantised(planes: Tensor, table: tuple[int, ...], quality: Tensor) -> Tensor:
    """Round the cosine coefficients of planes (N, C, H, W), sides divisible by 8, to the table."""
    N, C, H, W = planes.shape
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)  # libjpeg's scale
    steps = planes.new_tensor(table).view(1, 8, 8) * percent.view(-1, 1, 1)
    steps = ((steps + 50) / 100).floor().clamp(1, 255).view(N, 1, 1, 1, 8, 8)
    cosines = _cosines(planes)
    blocks = planes.reshape(N, C, H // 8, 8, W // 8, 8).transpose(3, 4)
    coefficients = (cosines @ blocks @ cosines.T / steps).round() * steps
    return (cosines.T @ coefficients @ cosines).transpose(3, 4).reshape(N, C, H, W)


def _cosines(like: Tensor) -> Tensor:
    """The orthonormal 8×8 matrix of the discrete cosine transform."""
    index = torch.arange(8, dtype=like.dtype, device=like.device)
    matrix = torch.cos((2 * index + 1) * index[:, None] * torch.pi / 16) / 2
    matrix[0] /= 2**0.5
    return matrix


@dataclass(frozen=True, slots=True)
class Draws:
    """Random values for a batch, drawn on the CPU so that every device gets the same."""

    blur_sigma: Tensor
    """(N,) in HR pixels."""
    noise: Tensor
    """(N, 3, h, w) in levels of the LR image."""
    jpeg_quality: Tensor
    """(N,) whole numbers."""


class RealDegradation(nn.Module):
    """Blur, then the bicubic `Degradation`, then noise, then JPEG, each if the config has it.

    Draws are a function of seed, step and place in the global batch, so a resumed run sees the
    same images, on any number of workers.
    """

    def __init__(self, scale: int, config: DegradationConfig, *, seed: int) -> None:
        super().__init__()
        self._bicubic = Degradation(scale)
        self._config = config
        self._seed = seed
        self._blur_margin = config.blur_margin(scale)
        self.margin = self._bicubic.margin + self._blur_margin
        """HR pixels that a window has on each side of its patch."""

    @ieee_fp32()
    def forward(self, windows: Tensor, *, step: int, first: int) -> tuple[Tensor, Tensor]:
        """uint8 (N, 3, P + 2m, P + 2m) → LR [0, 1] and HR [−1, 1], as `Degradation` does.

        LR keeps whole levels. `first` is the place of windows[0] in the global batch.
        """
        extra, sides = self._blur_margin, windows.shape[2:]
        inner = windows[:, :, extra : sides[0] - extra, extra : sides[1] - extra]
        lr, hr = self._bicubic(inner)
        draws = draw(self._config, self._seed, step, range(first, first + len(lr)), lr.shape[1:])
        if self._config.blur_sigma:
            lr, _ = self._bicubic(self._blurred(windows, draws.blur_sigma.to(lr.device)))
        levels = (lr * 255).round()
        if self._config.noise_sigma:
            levels = (levels + draws.noise.to(lr.device)).round().clamp(0, 255)
        if self._config.jpeg_quality:
            levels = compress(levels, draws.jpeg_quality.to(lr.device))
        return levels / 255, hr

    def _blurred(self, windows: Tensor, sigma: Tensor) -> Tensor:
        """Blur each uint8 window with its own Gaussian; the result has no blur margin."""
        N, C, H, W = windows.shape
        extra = self._blur_margin
        offset = torch.arange(-extra, extra + 1, device=windows.device)
        weights = torch.exp(-(offset**2) / (2 * sigma.clamp(min=1e-3)[:, None] ** 2))
        weights = (weights / weights.sum(dim=1, keepdim=True)).repeat_interleave(C, dim=0)
        image = windows.float().reshape(1, N * C, H, W)
        image = F.conv2d(image, weights[:, None, :, None], groups=N * C)
        image = F.conv2d(image, weights[:, None, None, :], groups=N * C)
        return image.reshape(N, C, *image.shape[2:]).round().clamp(0, 255).to(torch.uint8)


def build_degradation(
    scale: int, config: DegradationConfig, *, seed: int
) -> Degradation | RealDegradation:
    """Plain bicubic, unless the config asks for more."""
    if config == DegradationConfig():
        return Degradation(scale)
    return RealDegradation(scale, config, seed=seed)


def draw(
    config: DegradationConfig, seed: int, step: int, places: range, shape: Sequence[int]
) -> Draws:
    """Random values for these places of the global batch; `shape` is (3, h, w) of LR."""
    rows = [_uniform(seed, step, place, 3 + 2 * math.prod(shape)) for place in places]
    blur, noise, quality = (np.array([row[column] for row in rows]) for column in range(3))
    sigma = _between(noise, config.noise_sigma)
    least, most = config.jpeg_quality or (100, 100)
    normal = np.stack([_normal(row[3:]).reshape(shape) for row in rows])
    return Draws(
        blur_sigma=torch.from_numpy(_between(blur, config.blur_sigma)).float(),
        noise=torch.from_numpy(sigma[:, None, None, None] * normal).float(),
        jpeg_quality=torch.from_numpy(np.floor(least + quality * (most - least + 1))).float(),
    )


def _between(chance: NDArray[np.float64], drawn: tuple[float, float] | None) -> NDArray[np.float64]:
    lowest, highest = drawn or (0.0, 0.0)
    return lowest + chance * (highest - lowest)


def _uniform(seed: int, step: int, place: int, count: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) that belong to one place of one global batch."""
    # A separate stream for each place; stream 0 draws the patches.
    key, counter = np.array([seed % 2**64, step], np.uint64), np.array([0, place + 1, 0, 0])
    raw = np.random.Philox(key=key, counter=counter.astype(np.uint64)).random_raw(count)
    return np.asarray((raw >> np.uint64(11)) * 2.0**-53)


def _normal(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Box–Muller: two uniform numbers → one normal."""
    one, other = np.split(uniform, 2)
    return np.asarray(np.sqrt(-2 * np.log1p(-one)) * np.cos(2 * np.pi * other))
