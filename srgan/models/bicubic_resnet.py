"""A small residual network on top of bicubic that learns within minutes. Not from the paper."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srgan.config import GeneratorConfig
from srgan.models.base import Generator
from srgan.models.interpolation import upsample_bicubic
from srgan.models.shuffle import pixel_shuffle

_BICUBIC_RADIUS = 2


class _ResidualBlock(nn.Module):
    """conv 3×3 - ReLU - conv 3×3, plus its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        # Without batch norm each block would add its full variance to the stream. Starting near
        # the identity makes depth harmless (Wang et al. 2018, section 3.1).
        with torch.no_grad():
            for conv, gain in ((self.conv1, 1.0), (self.conv2, 0.1)):
                nn.init.kaiming_normal_(conv.weight)
                conv.weight.mul_(gain)
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # Conv2d has one here

    def forward(self, features: Tensor) -> Tensor:
        residual: Tensor = self.conv2(F.relu(self.conv1(features), inplace=True))
        return features + residual


class BicubicResNet(Generator):
    """Bicubic plus detail from residual blocks without batch norm, all in LR resolution.

    The last layer is one pixel shuffle by the whole scale. The convolution before it starts at
    zero, so an untrained network is exactly bicubic and training only adds detail. 354,672
    parameters with 8 blocks of 48 channels at ×4.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        channels = config.num_channels
        self.config = config
        self.scale = config.scale
        self.trunk_radius = 1 + 2 * config.num_blocks
        self.head_radius = max(1, _BICUBIC_RADIUS)
        self.entry = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(_ResidualBlock(channels) for _ in range(config.num_blocks)))
        self.exit = nn.Conv2d(channels, 3 * config.scale**2, 3, padding=1)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)  # type: ignore[arg-type]  # Conv2d has one here

    def trunk(self, lr: Tensor) -> Tensor:
        features: Tensor = self.blocks(self.entry(lr))
        return features

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        detail = pixel_shuffle(self.exit(features), self.scale)
        return upsample_bicubic(lr, self.scale) + detail.float()
