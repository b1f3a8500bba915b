"""Networks on luma alone, as the first papers on learned super-resolution had them."""

from abc import abstractmethod

import torch
from torch import Tensor

from srgan.models.base import Generator
from srgan.resize import upsample

_BT601 = (0.299, 0.587, 0.114)
CHROMA_RADIUS = 2
"""Reach of the bicubic that enlarges the colours, in LR pixels."""


class LumaGenerator(Generator):
    """A network from luma to luma, both in [0, 1]; Cb and Cr are enlarged by bicubic.

    Cb and Cr are multiples of what a colour has beyond its luma (B − Y, R − Y), and bicubic is
    linear: enlarging RGB − Y is enlarging Cb and Cr, without a matrix and its inverse.
    """

    @abstractmethod
    def trunk_of_luma(self, luma: Tensor) -> Tensor:
        """Luma (N, 1, h, w) → features (N, C, h, w)."""

    @abstractmethod
    def head_to_luma(self, features: Tensor) -> Tensor:
        """Features (N, C, h, w) → luma (N, 1, s·h, s·w)."""

    def trunk(self, lr: Tensor) -> Tensor:
        return self.trunk_of_luma(luma_of(lr))

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        lr = lr.float()
        colour = upsample(lr - luma_of(lr), self.scale)
        luma = self.head_to_luma(features).float()  # autocast leaves bf16
        return 2 * (luma + colour) - 1


def luma_of(rgb: Tensor) -> Tensor:
    """Full-range BT.601: RGB (N, 3, h, w) → (N, 1, h, w), of the same range."""
    weights = torch.tensor(_BT601, dtype=rgb.dtype, device=rgb.device)
    return (rgb * weights.view(1, 3, 1, 1)).sum(1, keepdim=True)
