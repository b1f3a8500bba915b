"""RRDBNet, the generator of ESRGAN and Real-ESRGAN ×4 (Wang et al. 2018, section 3.1).

Parameters have BasicSR's names, under which Real-ESRGAN's weights are published.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config import GeneratorConfig
from srgan.models.base import Generator

_SLOPE = 0.2
_RESIDUAL = 0.2
"""Scale of every residual, in dense blocks and in the blocks of three dense blocks."""


class _DenseBlock(nn.Module):
    """Five 3×3 convolutions, each on the input and the outputs of all before it."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        inputs = [channels + growth * index for index in range(5)]
        self.conv1 = nn.Conv2d(inputs[0], growth, 3, padding=1)
        self.conv2 = nn.Conv2d(inputs[1], growth, 3, padding=1)
        self.conv3 = nn.Conv2d(inputs[2], growth, 3, padding=1)
        self.conv4 = nn.Conv2d(inputs[3], growth, 3, padding=1)
        self.conv5 = nn.Conv2d(inputs[4], channels, 3, padding=1)
        with torch.no_grad():
            for conv in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
                nn.init.kaiming_normal_(conv.weight)
                conv.weight.mul_(0.1)  # near the identity, section 3.1
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # Conv2d has one here

    def forward(self, features: Tensor) -> Tensor:
        made = features
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            made = torch.cat((made, F.leaky_relu(conv(made), _SLOPE)), 1)
        residual: Tensor = self.conv5(made)
        return features + _RESIDUAL * residual


class _Block(nn.Module):
    """Residual in residual: three dense blocks with another skip around them."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = _DenseBlock(channels, growth)
        self.rdb2 = _DenseBlock(channels, growth)
        self.rdb3 = _DenseBlock(channels, growth)

    def forward(self, features: Tensor) -> Tensor:
        residual: Tensor = self.rdb3(self.rdb2(self.rdb1(features)))
        return features + _RESIDUAL * residual


class RRDBNet(Generator):
    """Dense blocks in LR, then nearest ×2 with a convolution, twice, and two convolutions in HR.

    16,697,987 parameters with 23 blocks of 64 channels, which grow by half as many. Its radius is
    349 LR pixels, so `inference.tiles` measures how much context its weights really need.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        channels = config.num_channels
        self.config = config
        self.scale = config.scale
        self.trunk_radius = 1 + 3 * 5 * config.num_blocks + 1
        self.head_radius = 2  # three convolutions in HR, one in 2×: ⌈(⌈3 / 2⌉ + 1) / 2⌉
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(
            *(_Block(channels, channels // 2) for _ in range(config.num_blocks))
        )
        self.conv_body = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_up1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_up2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_hr = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_last = nn.Conv2d(channels, 3, 3, padding=1)

    def trunk(self, lr: Tensor) -> Tensor:
        entry: Tensor = self.conv_first(lr)
        residual: Tensor = self.conv_body(self.body(entry))
        return entry + residual

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        for conv in (self.conv_up1, self.conv_up2):
            features = F.leaky_relu(conv(F.interpolate(features, scale_factor=2)), _SLOPE)
        sr: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(features), _SLOPE))
        return 2 * sr.float() - 1  # its images are in [0, 1], ours in [−1, 1]
