"""SRVGGNetCompact ("Compact"), Real-ESRGAN's small network of plain convolutions.

Parameters have the published names: ``body.0``, ``body.1`` and so on.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config import GeneratorConfig
from srgan.models.base import Generator


class SRVGG(Generator):
    """Convolutions with a PReLU after each, all in LR, one pixel shuffle, added to nearest.

    `num_blocks` counts the convolutions between the first and the last. 621,424 parameters with 16
    of 64 channels at ×4.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        channels = config.num_channels
        self.config = config
        self.scale = config.scale
        self.trunk_radius = 1 + config.num_blocks
        self.head_radius = 1
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1), nn.PReLU(channels)]
        for _ in range(config.num_blocks):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.PReLU(channels)]
        layers.append(nn.Conv2d(channels, 3 * config.scale**2, 3, padding=1))
        self.body = nn.ModuleList(layers)
        with torch.no_grad():
            for layer in layers:
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, a=0.25)  # the slope that PReLU starts at
                    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # Conv2d has one here

    def trunk(self, lr: Tensor) -> Tensor:
        features = lr
        for layer in self.body[:-1]:
            features = layer(features)
        return features

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        detail = F.pixel_shuffle(self.body[-1](features), self.scale)
        sr = F.interpolate(lr.float(), scale_factor=self.scale) + detail.float()
        return 2 * sr - 1  # its images are in [0, 1], ours in [−1, 1]
