"""Bicubic with one blur, Gaussian noise and one JPEG, each drawn from a range."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config import DegradationConfig
from srgan.degradation.chance import as_normal, sent, uniform
from srgan.degradation.jpeg import Jpeg
from srgan.precision import ieee_fp32
from srgan.resize.tensors import Degradation


@dataclass(frozen=True, slots=True)
class Draws:
    """Random values for a batch, drawn on the CPU so that every device gets the same."""

    blur_sigma: Tensor
    """(N,) in HR pixels."""
    noise: Tensor
    """(N, 3, h, w) in levels of the LR image."""
    jpeg_quality: Tensor
    """(N,) whole numbers."""

    def numbers(self) -> dict[str, NDArray[np.float32]]:
        """The arrays by name."""
        return {each.name: getattr(self, each.name).numpy() for each in fields(self)}


class RealDegradation(nn.Module):
    """Blur, then the bicubic `Degradation`, then noise, then JPEG, each if the config has it.

    Draws are a function of seed, step and place in the global batch, so a resumed run sees the
    same images, on any number of workers.
    """

    def __init__(self, scale: int, config: DegradationConfig, *, seed: int) -> None:
        super().__init__()
        self._bicubic = Degradation(scale)
        self._jpeg = Jpeg()
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
        (numbers,) = sent([draws.numbers()], lr.device)
        if self._config.blur_sigma:
            lr, _ = self._bicubic(self._blurred(windows, numbers["blur_sigma"]))
        levels = (lr * 255).round()
        if self._config.noise_sigma:
            levels = (levels + numbers["noise"]).round().clamp(0, 255)
        if self._config.jpeg_quality:
            levels = self._jpeg(levels, numbers["jpeg_quality"])
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


def draw(
    config: DegradationConfig, seed: int, step: int, places: range, shape: Sequence[int]
) -> Draws:
    """Random values for these places of the global batch; `shape` is (3, h, w) of LR."""
    rows = [uniform(seed, step, place, 3 + 2 * math.prod(shape)) for place in places]
    blur, noise, quality = (np.array([row[column] for row in rows]) for column in range(3))
    sigma = _between(noise, config.noise_sigma)
    least, most = config.jpeg_quality or (100, 100)
    normal = np.stack([as_normal(row[3:]).reshape(shape) for row in rows])
    return Draws(
        blur_sigma=torch.from_numpy(_between(blur, config.blur_sigma)).float(),
        noise=torch.from_numpy(sigma[:, None, None, None] * normal).float(),
        jpeg_quality=torch.from_numpy(np.floor(least + quality * (most - least + 1))).float(),
    )


def _between(chance: NDArray[np.float64], drawn: tuple[float, float] | None) -> NDArray[np.float64]:
    lowest, highest = drawn or (0.0, 0.0)
    return lowest + chance * (highest - lowest)
