"""FSRCNN(56, 12, 4) (Dong et al. 2016, section 3)."""

from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config import GeneratorConfig
from srgan.models.luma import CHROMA_RADIUS, LumaGenerator

_NUM_SHRUNK = 12
_KERNEL = 9  # of the deconvolution


class FSRCNN(LumaGenerator):
    """Feature extraction, shrinking, mapping and expanding in LR, then a 9×9 deconvolution.

    12,464 weights without PReLU and biases. The kernel of the deconvolution lies as evenly about
    a pixel's s×s square as 9 allows.
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
        # torch's own adds in an order that depends on the size of the image: tiles would differ
        # from the whole in the last bit.
        bias = self.deconvolution.bias
        assert bias is not None
        phases = F.conv2d(
            features, self._phase_kernels(), bias.expand(self.scale**2), padding=self._reach
        )
        return F.pixel_shuffle(phases, self.scale)

    def _phase_kernels(self) -> Tensor:
        """The deconvolution as a convolution to s² maps, one for each pixel of the s×s square.

        Pixel p of a square takes from the LR pixel at offset j the weight k = p + padding − s·j.
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
