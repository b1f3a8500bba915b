"""MSRResNet, BasicSR's SRResNet without batch norm; parameters have BasicSR's names."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config import GeneratorConfig
from srgan.models.base import Generator
from srgan.models.interpolation import upsample_bilinear
from srgan.models.shuffle import pixel_shuffle

_SLOPE = 0.1
_HEAD_RADIUS = 2  # two convolutions in HR and one before each shuffle: 2 at each scale


class _ResidualBlock(nn.Module):
    """conv 3×3 - ReLU - conv 3×3, plus its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            for conv in (self.conv1, self.conv2):
                nn.init.kaiming_normal_(conv.weight)
                conv.weight.mul_(0.1)  # near the identity, as needed without batch norm
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # Conv2d has one here

    def forward(self, features: Tensor) -> Tensor:
        residual: Tensor = self.conv2(F.relu(self.conv1(features), inplace=True))
        return features + residual


class MSRResNet(Generator):
    """Residual blocks in LR, sub-pixel stages, two convolutions in HR, all added to bilinear.

    1,517,571 parameters with 16 blocks of 64 channels at ×4. BasicSR also scales the initial
    weights of the first, up and last convolutions by 0.1; here they keep torch's, so a training
    from scratch starts further from bilinear than BasicSR's does.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        channels = config.num_channels
        self.config = config
        self.scale = config.scale
        self.trunk_radius = 1 + 2 * config.num_blocks
        self.head_radius = _HEAD_RADIUS
        self.conv_first = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(_ResidualBlock(channels) for _ in range(config.num_blocks)))
        self._factor = 2 if config.scale == 4 else config.scale
        self.upconv1 = nn.Conv2d(channels, channels * self._factor**2, 3, padding=1)
        self.upconv2 = (
            nn.Conv2d(channels, channels * self._factor**2, 3, padding=1)
            if config.scale == 4
            else None
        )
        self.conv_hr = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_last = nn.Conv2d(channels, 3, 3, padding=1)

    def trunk(self, lr: Tensor) -> Tensor:
        features: Tensor = self.body(F.leaky_relu(self.conv_first(lr), _SLOPE))
        return features

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        features = F.leaky_relu(pixel_shuffle(self.upconv1(features), self._factor), _SLOPE)
        if self.upconv2 is not None:
            features = F.leaky_relu(pixel_shuffle(self.upconv2(features), self._factor), _SLOPE)
        detail: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(features), _SLOPE))
        # Its images are in [0, 1], ours in [−1, 1].
        return upsample_bilinear(lr, self.scale) + 2 * detail.float()
