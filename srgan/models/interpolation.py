"""Nearest, bilinear and bicubic as generators, the baselines of every comparison."""

import torch
import torch.nn.functional as F
from torch import Tensor

from srgan.models.base import Generator
from srgan.resize.tensors import upsample


def upsample_bicubic(lr: Tensor, scale: int) -> Tensor:
    """LR (N, 3, h, w) in [0, 1] → bicubic (N, 3, s·h, s·w), nominally [−1, 1], always float32."""
    return 2 * upsample(lr.float(), scale) - 1


def upsample_bilinear(lr: Tensor, scale: int) -> Tensor:
    """LR (N, 3, h, w) in [0, 1] → bilinear (N, 3, s·h, s·w) in [−1, 1], always float32."""
    return 2 * _grow_linear(_grow_linear(lr.float(), 2, scale), 3, scale) - 1


class _Interpolation(Generator):
    """A network without weights or a config; all of it is head."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.config = None
        self.scale = scale
        self.trunk_radius = 0

    def trunk(self, lr: Tensor) -> Tensor:
        return lr


class Nearest(_Interpolation):
    """Each LR pixel becomes a square of s × s pixels."""

    head_radius = 0

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        return 2 * F.interpolate(lr.float(), scale_factor=self.scale, mode="nearest") - 1


class Bilinear(_Interpolation):
    """Two taps per axis, pixel centres aligned, borders repeated."""

    head_radius = 1

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        return upsample_bilinear(lr, self.scale)


def _grow_linear(image: Tensor, dim: int, scale: int) -> Tensor:
    """Enlarge one axis. torch's bilinear rounds its weights by position, so tiles would differ."""
    length = image.shape[dim]
    padded = torch.cat([image.narrow(dim, 0, 1), image, image.narrow(dim, length - 1, 1)], dim)
    phases = []
    for index in range(scale):
        shift = (index + 0.5) / scale - 0.5
        neighbour = padded.narrow(dim, 2 if shift > 0 else 0, length)
        phases.append(image + abs(shift) * (neighbour - image))
    return torch.stack(phases, dim + 1).flatten(dim, dim + 1)


class Bicubic(_Interpolation):
    """MATLAB's bicubic (a = −0.5), the baseline of the paper."""

    head_radius = 2

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        return upsample_bicubic(lr, self.scale)
