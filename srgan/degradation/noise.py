"""Noise of cameras: Gaussian, or Poisson, which grows with the light; in colour or gray."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from srgan.config import NoiseConfig
from srgan.degradation.chance import Chance, as_normal

_LUMA = (0.299, 0.587, 0.114)
_MOST_COUNTS = 400  # at a rate of 255 even 340 has a probability below 1e-6
_PLACES = 4096


@dataclass(frozen=True, slots=True)
class Noise:
    """Parameters of noise; random numbers come on top."""

    kind: Literal["gaussian", "poisson"]
    strength: float
    """Deviation in levels of 255, or the factor on Poisson noise."""
    gray: bool
    """All channels get the same noise."""


def draw_noise(config: NoiseConfig, chance: Chance) -> Noise:
    gray = chance.happens(config.gray)
    if chance.happens(config.gaussian):
        return Noise("gaussian", chance.between(*config.sigma), gray)
    return Noise("poisson", chance.between(*config.poisson_scale), gray)


def draw_grain(noise: Noise, size: tuple[int, int], chance: Chance) -> NDArray[np.float32]:
    """Numbers (1, 1 or 3, H, W) of each pixel: normal, or places in Poisson's quantiles."""
    shape = (1, 1 if noise.gray else 3, *size)
    count = math.prod(shape)
    if noise.kind == "gaussian":
        drawn = as_normal(chance.numbers(2 * count))
    else:
        drawn = np.floor(chance.numbers(count) * _PLACES)
    return drawn.astype(np.float32).reshape(shape)


class CameraNoise(nn.Module):
    """Adds noise. Its tables are buffers: they go to a GPU once."""

    _luma: Tensor
    _counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        luma = torch.tensor(_LUMA).view(1, 3, 1, 1)
        self.register_buffer("_luma", luma, persistent=False)
        self.register_buffer("_counts", torch.from_numpy(_quantiles()), persistent=False)

    def forward(self, levels: Tensor, noise: Noise, grain: Tensor) -> Tensor:
        """Float32 (1, 3, H, W) in 0–255 → the same with noise, clamped but not rounded.

        `grain` is drawn by `draw_grain` for this noise and size.
        """
        added = grain
        if noise.kind == "poisson":
            light = levels
            if noise.gray:
                light = (levels * self._luma).sum(dim=1, keepdim=True)
            light = light.round()
            added = self._poisson(light, grain) - light
        return (levels + noise.strength * added).clamp(0, 255)

    def _poisson(self, rates: Tensor, places: Tensor) -> Tensor:
        """Counts of these whole `rates` (0–255) at equally likely `places` (0–4095); one shape.

        By inversion: one look into a table for each pixel.
        """
        return self._counts[rates.long() * _PLACES + places.long()].float()


@cache
def _quantiles() -> NDArray[np.int16]:
    """(256 · 4096,) counts: the quantiles of each rate, one rate after the other."""
    places = (np.arange(_PLACES) + 0.5) / _PLACES
    counts = np.arange(1, _MOST_COUNTS)
    tables = []
    for rate in range(256):
        # p(k) = p(k − 1) · rate / k
        logarithms = np.cumsum(np.log(max(rate, 1e-300) / counts)) - rate
        function = np.cumsum([np.exp(-rate), *np.exp(logarithms)])
        tables.append(np.searchsorted(function, places, side="right"))
    return np.concatenate(tables).astype(np.int16)
