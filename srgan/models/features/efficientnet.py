"""EfficientNet-Lite (Tan & Le 2019; Google's Lite variants), under the names of its PyTorch port.

ReLU6, without squeeze-and-excitation, and with TensorFlow's SAME padding, whose odd pixel lies
below and to the right. Layers: ``stem`` after its activation, and the blocks after their linear
projections and shortcuts.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.models.features.backbone import Backbone

_MEAN, _STD = 127.0, 128.0  # of RGB in 0 … 255
_EPSILON = 1e-3

_STAGES = (
    # kernel, stride of the first block, expansion, channels
    (3, 1, 1, 16),
    (3, 2, 6, 24),
    (5, 2, 6, 40),
    (3, 2, 6, 80),
    (5, 1, 6, 112),
    (5, 2, 6, 192),
    (3, 1, 6, 320),
)
_BLOCKS = {0: (1, 2, 2, 3, 3, 4, 1), 1: (1, 3, 3, 4, 4, 5, 1)}
"""Blocks of each stage by variant. Lite1 has 1.1 times those of Lite0, rounded up, between the
first and the last stage; Lite0 has EfficientNet-B0's."""
_STEM_CHANNELS = 32


class _FrozenNorm(nn.Module):
    """Statistics of a batch norm, which never change here, whatever mode the module is in."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.empty(channels))


def _convolve(image: Tensor, conv: nn.Conv2d, norm: _FrozenNorm) -> Tensor:
    """Convolve with SAME padding, then normalise: (N, C, h, w) → (N, C', ⌈h/s⌉, ⌈w/s⌉).

    The norm is folded into the kernel at each call: a pass over the kernels is much cheaper than
    one over the features.
    """
    factor = norm.weight / (norm.running_var + _EPSILON).sqrt()
    kernel = conv.weight * factor.view(-1, 1, 1, 1)
    shift = norm.bias - norm.running_mean * factor
    stride, size = conv.stride[0], conv.kernel_size[0]
    rows, columns = (max(0, -(-n // stride) * stride - stride + size - n) for n in image.shape[2:])
    if rows % 2 or columns % 2:
        sides = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return F.conv2d(F.pad(image, sides), kernel, shift, stride, groups=conv.groups)
    # Even padding needs no copy of the features.
    padding = (rows // 2, columns // 2)
    return F.conv2d(image, kernel, shift, stride, padding, groups=conv.groups)


class _Block(nn.Module):
    """1×1 to more channels, depthwise, 1×1 to few channels; plus the input where it fits."""

    def __init__(self, channels: int, kernel: int, stride: int, expansion: int, out: int) -> None:
        super().__init__()
        wide = channels * expansion
        self._expands = expansion > 1
        self._has_shortcut = stride == 1 and channels == out
        if self._expands:
            self._expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
            self._bn0 = _FrozenNorm(wide)
        self._depthwise_conv = nn.Conv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = _FrozenNorm(wide)
        self._project_conv = nn.Conv2d(wide, out, 1, bias=False)
        self._bn2 = _FrozenNorm(out)

    def forward(self, image: Tensor) -> Tensor:
        features = image
        if self._expands:
            features = F.relu6(_convolve(features, self._expand_conv, self._bn0))
        features = F.relu6(_convolve(features, self._depthwise_conv, self._bn1))
        features = _convolve(features, self._project_conv, self._bn2)
        return features + image if self._has_shortcut else features


class EfficientNetLite(Backbone):
    """EfficientNet-Lite0 (16 blocks) or Lite1 (21) without its head."""

    def __init__(self, variant: int, num_layers: int) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, _STEM_CHANNELS, 3, 2, bias=False)
        self._bn0 = _FrozenNorm(_STEM_CHANNELS)
        blocks: list[nn.Module] = []
        channels = _STEM_CHANNELS
        stages = zip(_BLOCKS[variant], _STAGES, strict=True)
        for num_blocks, (kernel, stride, expansion, out) in stages:
            for index in range(num_blocks):
                blocks.append(_Block(channels, kernel, 1 if index else stride, expansion, out))
                channels = out
        self._blocks = nn.ModuleList(blocks[: num_layers - 1])

    def normalise(self, images: Tensor) -> Tensor:
        return ((images + 1) * 127.5 - _MEAN) / _STD

    def steps(self) -> list[Callable[[Tensor], Tensor]]:
        return [self._stem, *self._blocks]

    def _stem(self, image: Tensor) -> Tensor:
        return F.relu6(_convolve(image, self._conv_stem, self._bn0))
