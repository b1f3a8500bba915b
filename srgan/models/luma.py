"""Networks on luma alone, as in the first papers on learned super-resolution."""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config import GeneratorConfig
from srgan.models.base import Generator
from srgan.resize.tensors import upsample

_BT601 = (0.299, 0.587, 0.114)
CHROMA_RADIUS = 2
"""Reach of the bicubic that enlarges the colours, in LR pixels."""


class LumaGenerator(Generator):
    """A network from luma to luma, both in [0, 1]; Cb and Cr are enlarged by bicubic.

    Cb and Cr are multiples of B − Y and R − Y, and bicubic is linear. So enlarging RGB − Y enlarges
    Cb and Cr, without a matrix and its inverse.
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
    """Full-range BT.601: RGB (N, 3, h, w) → luma (N, 1, h, w) in the same range."""
    # Filled on the device: to copy them there, a GPU would have to finish what it does.
    weights = torch.stack([rgb.new_full((1, 1), weight) for weight in _BT601])
    return (rgb * weights).sum(1, keepdim=True)


_HR_REACH = 4 + 0 + 2  # half of 9, of 1 and of 5


class SRCNN(LumaGenerator):
    """Bicubic, then patch extraction, mapping and reconstruction in HR. 8,032 weights.

    All of it is head, because the network upsamples before its first layer. The convolutions are
    padded; in the paper the image shrinks.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.scale = config.scale
        self.trunk_radius = 0
        # Bicubic reads 2 LR pixels on each side of a position, here that of the outermost HR pixel.
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


_NUM_SHRUNK = 12
_KERNEL = 9  # of the deconvolution


class FSRCNN(LumaGenerator):
    """Feature extraction, shrinking, mapping and expanding in LR, then a 9×9 deconvolution.

    12,464 weights without PReLU and biases. The 9×9 kernel of the deconvolution is centred on a
    pixel's s×s square as well as possible.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        channels, scale = config.num_channels, config.scale
        self._padding = -(-(_KERNEL - scale) // 2)
        self._reach = (scale - 1 + self._padding) // scale
        self.config = config
        self.scale = scale
        self.trunk_radius = 2 + config.num_blocks
        self.head_radius = max(self._reach, CHROMA_RADIUS)
        layers = [*_layer(1, channels, 5), *_layer(channels, _NUM_SHRUNK, 1)]
        for _ in range(config.num_blocks):
            layers += _layer(_NUM_SHRUNK, _NUM_SHRUNK, 3)
        layers += _layer(_NUM_SHRUNK, channels, 1)
        self.layers = nn.Sequential(*layers)
        self.deconvolution = nn.ConvTranspose2d(channels, 1, _KERNEL, scale)
        nn.init.normal_(self.deconvolution.weight, std=1e-3)  # as in the paper
        nn.init.zeros_(self.deconvolution.bias)  # type: ignore[arg-type]  # it has one here

    def trunk_of_luma(self, luma: Tensor) -> Tensor:
        features: Tensor = self.layers(luma)
        return features

    def head_to_luma(self, features: Tensor) -> Tensor:
        # torch's deconvolution adds in an order that depends on the size of the image, so tiles
        # would differ from the whole in the last bit.
        bias = self.deconvolution.bias
        assert bias is not None
        phases = F.conv2d(
            features, self._phase_kernels(), bias.expand(self.scale**2), padding=self._reach
        )
        return F.pixel_shuffle(phases, self.scale)

    def _phase_kernels(self) -> Tensor:
        """The deconvolution as a convolution to s² maps, one for each pixel of the s×s square.

        Pixel p of a square takes the LR pixel at offset j with weight k = p + padding − s·j.
        """
        s, sides = self.scale, 2 * self._reach + 1
        before = s * self._reach - self._padding
        after = s * sides - _KERNEL - before
        weight = F.pad(self.deconvolution.weight[:, 0], (before, after, before, after))
        weight = weight.reshape(-1, sides, s, sides, s).flip(1, 3)
        return weight.permute(2, 4, 0, 1, 3).reshape(s**2, -1, sides, sides)


def _layer(before: int, channels: int, kernel: int) -> list[nn.Module]:
    """A convolution with one PReLU slope per channel."""
    conv = nn.Conv2d(before, channels, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # Conv2d has one here
    return [conv, nn.PReLU(channels)]


class ESPCN(LumaGenerator):
    """5×5 to 64, 3×3 to 32, 3×3 to s² maps in LR, shuffled to the image, with tanh in between.

    24,640 weights without biases at ×4.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.scale = config.scale
        self.trunk_radius = 2 + 1
        self.head_radius = max(1, CHROMA_RADIUS)
        self.layers = nn.Sequential(
            nn.Conv2d(1, 64, 5, padding=2), nn.Tanh(), nn.Conv2d(64, 32, 3, padding=1), nn.Tanh()
        )
        self.exit = nn.Conv2d(32, config.scale**2, 3, padding=1)

    def trunk_of_luma(self, luma: Tensor) -> Tensor:
        features: Tensor = self.layers(luma)
        return features

    def head_to_luma(self, features: Tensor) -> Tensor:
        return F.pixel_shuffle(self.exit(features), self.scale)
