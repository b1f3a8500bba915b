"""SPAN's trunk on top of bicubic (Wan et al., CVPR-W 2024, "Swift parameter-free attention")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config import GeneratorConfig
from srgan.models.base import Generator
from srgan.models.interpolation import upsample_bicubic
from srgan.models.shuffle import pixel_shuffle

_BICUBIC_RADIUS = 2
_CONVOLUTIONS = 3
"""Convolutions of a block."""


class _AttentionBlock(nn.Module):
    """Three convolutions 3×3 with SiLU between them, then attention without parameters.

    Equations 1 to 4 of the paper: (O + x) · (σ(O) − 0.5), where O is what the convolutions make of
    x. Strong features of either sign pass, weak ones are damped.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, channels)
        self.conv2 = _convolution(channels, channels)
        self.conv3 = _convolution(channels, channels)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, C, h, w) → those of the block, and those of its first convolution."""
        first: Tensor = self.conv1(features)
        last = self.conv3(F.silu(self.conv2(F.silu(first))))
        return (last + features) * (last.sigmoid() - 0.5), first


class BicubicSPAN(Generator):
    """Bicubic plus detail from SPAN's blocks, all in LR resolution.

    Differs from the published network: plain convolutions, because training those that are folded
    afterwards takes four times as long on a processor; and a residual over bicubic whose last
    convolution starts at zero, so that an untrained network is bicubic. 301,584 parameters with 4
    blocks of 48 channels at ×4.
    """

    exact_only = True  # bf16 was not tried with it

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        channels = config.num_channels
        self.config = config
        self.scale = config.scale
        self.trunk_radius = 1 + _CONVOLUTIONS * config.num_blocks + 1
        self.head_radius = max(1, _BICUBIC_RADIUS)
        self.entry = _convolution(3, channels)
        self.blocks = nn.ModuleList(_AttentionBlock(channels) for _ in range(config.num_blocks))
        self.last = _convolution(channels, channels)
        self.join = nn.Conv2d(4 * channels, channels, 1)
        self.exit = _convolution(channels, 3 * config.scale**2)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)  # type: ignore[arg-type]  # Conv2d has one here

    def trunk(self, lr: Tensor) -> Tensor:
        entry: Tensor = self.entry(lr)
        features, of_first_block, first = entry, entry, entry
        for number, block in enumerate(self.blocks):
            features, first = block(features)
            if number == 0:
                of_first_block = features
        joined = torch.cat([entry, self.last(features), of_first_block, first], dim=1)
        result: Tensor = self.join(joined)
        return result

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        detail = pixel_shuffle(self.exit(features), self.scale)
        return upsample_bicubic(lr, self.scale) + detail.float()


def _convolution(channels: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, padding=1)
