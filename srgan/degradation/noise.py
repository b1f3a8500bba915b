"""Noise of cameras: Gaussian, or Poisson, which grows with the light; in colour or gray."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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


def add_noise(levels: Tensor, noise: Noise, chance: Chance) -> Tensor:
    """Float (1, 3, H, W) in 0–255 → the same with noise, clamped but not rounded."""
    height, width = levels.shape[2:]
    channels = 1 if noise.gray else 3
    count = channels * height * width
    if noise.kind == "gaussian":
        drawn = torch.from_numpy(as_normal(chance.numbers(2 * count)))
        added = drawn.to(levels).view(1, channels, height, width)
    else:
        light = levels
        if noise.gray:
            light = (levels * levels.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        light = light.round()
        numbers = torch.from_numpy(chance.numbers(count)).view(1, channels, height, width)
        added = poisson(light, numbers.to(levels.device)) - light
    return (levels + noise.strength * added).clamp(0, 255)


def poisson(rates: Tensor, numbers: Tensor) -> Tensor:
    """Counts of these whole `rates` (0–255), by uniform `numbers` in [0, 1); one shape.

    By inversion at one of 4,096 equally likely places: one look into a table for each pixel.
    """
    table = torch.from_numpy(_quantiles()).to(rates.device)
    places = (numbers * _PLACES).long()
    return table[rates.long() * _PLACES + places].to(rates)


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
