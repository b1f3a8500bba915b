"""SRCNN 9-1-5 (Dong et al. 2014, section 3)."""

import math

from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config import GeneratorConfig
from srgan.models.luma import LumaGenerator
from srgan.resize import upsample

_HR_REACH = 4 + 0 + 2  # half of 9, of 1 and of 5


class SRCNN(LumaGenerator):
    """Bicubic, then patch extraction, mapping and reconstruction in HR. 8,032 weights.

    All of it is head: the network upsamples before its first layer. Its convolutions are padded,
    where the paper lets the image shrink.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.scale = config.scale
        self.trunk_radius = 0
        # Bicubic reads 2 LR pixels to each side of a position, here of the outermost HR pixel.
        self.head_radius = math.floor(2.5 + (_HR_REACH - 0.5) / config.scale)
        self.extraction = nn.Conv2d(1, 64, 9, padding=4)
        self.mapping = nn.Conv2d(64, 32, 1)
        self.reconstruction = nn.Conv2d(32, 1, 5, padding=2)
        for conv in (self.extraction, self.mapping, self.reconstruction):
            nn.init.kaiming_normal_(conv.weight)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # Conv2d has one here
        nn.init.normal_(self.reconstruction.weight, std=1e-3)  # as in the paper

    def trunk_of_luma(self, luma: Tensor) -> Tensor:
        return luma

    def head_to_luma(self, features: Tensor) -> Tensor:
        patches = F.relu(self.extraction(upsample(features, self.scale)), inplace=True)
        luma: Tensor = self.reconstruction(F.relu(self.mapping(patches), inplace=True))
        return luma
