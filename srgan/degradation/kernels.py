"""Blur kernels of Real-ESRGAN (Wang et al. 2021, sections 3.2 and 3.4), drawn and computed."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from srgan.config import KernelConfig
from srgan.config.degradation import KernelShape
from srgan.degradation.chance import Chance

_LONG_SINC = 13
"""From this side on sinc filters may cut more, as in the published code: a lower cutoff rings
wider, and only a long filter has room for it."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """Parameters of a kernel."""

    shape: KernelShape
    side: int
    sigma: tuple[float, float] = (1.0, 1.0)
    """Deviations along both axes in pixels."""
    angle: float = 0.0
    """Direction of the first axis, in radians."""
    beta: float = 1.0
    cutoff: float = math.pi
    """Highest frequency that a sinc filter lets through, in radians per pixel."""


def draw_kernel(config: KernelConfig, chance: Chance) -> Kernel:
    """One kernel of a round."""
    shape = chance.one_of(config.shapes)
    side = chance.whole(*config.sides, 2)
    if shape == "sinc":
        return draw_sinc(side, chance, least=5 if side >= _LONG_SINC else 3)
    first = chance.between(*config.sigma)
    round_ = shape.removeprefix("generalised_").removeprefix("plateau_") == "isotropic"
    second = first if round_ else chance.between(*config.sigma)
    angle = 0.0 if round_ else chance.between(-math.pi, math.pi)
    beta = 1.0
    if shape.startswith("generalised"):
        beta = _draw_beta(config.generalised_beta, chance)
    elif shape.startswith("plateau"):
        beta = _draw_beta(config.plateau_beta, chance)
    return Kernel(shape, side, (first, second), angle, beta)


def draw_sinc(side: int, chance: Chance, *, least: int = 3) -> Kernel:
    """A sinc filter whose cutoff lies between π / `least` and π."""
    return Kernel("sinc", side, cutoff=chance.between(math.pi / least, math.pi))


def kernel_weights(kernel: Kernel) -> Tensor:
    """Weights (side, side), float32 on the CPU, of sum 1; sinc filters have negative ones."""
    offset = torch.arange(kernel.side, dtype=torch.float64) - kernel.side // 2
    y, x = offset[:, None], offset[None, :]
    if kernel.shape == "sinc":
        weights = _sinc((x**2 + y**2).sqrt(), kernel.cutoff)
    else:
        along = (x * math.cos(kernel.angle) + y * math.sin(kernel.angle)) / kernel.sigma[0]
        across = (y * math.cos(kernel.angle) - x * math.sin(kernel.angle)) / kernel.sigma[1]
        distance = (along**2 + across**2) ** kernel.beta
        if kernel.shape.startswith("plateau"):
            weights = 1 / (1 + distance)
        else:
            weights = torch.exp(-distance / 2)
    return (weights / weights.sum()).float()


def _sinc(radius: Tensor, cutoff: float) -> Tensor:
    """Equation 6: an ideal round low-pass filter."""
    middle = radius == 0
    away = radius.masked_fill(middle, 1.0)
    weights: Tensor = cutoff * torch.special.bessel_j1(cutoff * away) / (2 * math.pi * away)
    return weights.masked_fill(middle, cutoff**2 / (4 * math.pi))


def _draw_beta(drawn: tuple[float, float], chance: Chance) -> float:
    """Up to 1 and from 1 on equally often, as in the published code, if the range holds 1.

    So half of all plateaus of the published range, 1 to 2, have exactly 1.
    """
    least, most = drawn
    if least <= 1 <= most:
        return chance.between(least, 1) if chance.happens(0.5) else chance.between(1, most)
    return chance.between(least, most)
