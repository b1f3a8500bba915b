"""VGG16 and AlexNet of ST-LPIPS (Ghildyal & Liu, ECCV 2022), under the names of its files.

Each pooling is a maximum at every position, followed by a blur with stride 2 (Zhang 2019), so that
features hardly change when the image moves by a pixel. Layers are taken after their activation:
VGG16's ``vgg11`` … ``vgg53``, AlexNet's ``conv1`` … ``conv5``.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.models.features.backbone import Backbone

_VGG16 = (64, 64, 0, 128, 128, 0, *[256] * 3, 0, *[512] * 3, 0, *[512] * 3)
"""Channels of the convolutions; 0 is a pooling."""


class _Blur(nn.Module):
    """Blur of each channel with stride 2: sides of h pixels become (h + 1) // 2 + 1."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", torch.empty(channels, 1, 3, 3))

    def forward(self, image: Tensor) -> Tensor:
        padded = F.pad(image, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(padded, self.filt, stride=2, groups=self.filt.shape[0])


class _Scaling(nn.Module):
    """Images in [−1, 1] minus a shift, divided by a scale, for each colour."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("shift", "scale"):
            self.register_buffer(name, torch.empty(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.shift) / self.scale


class _ShiftTolerant(Backbone):
    """Five slices of modules, numbered across them; `ends` has the number after each layer."""

    def __init__(self, slices: list[list[nn.Module]], ends: list[int], num_layers: int) -> None:
        super().__init__()
        self.scaling_layer = _Scaling()
        self.net = nn.ModuleDict()
        self._ends = ends[:num_layers]
        number = 0
        for index, modules in enumerate(slices):
            part = nn.Sequential()
            for module in modules:
                if number < self._ends[-1]:
                    part.add_module(str(number), module)
                number += 1
            self.net[f"slice{index + 1}"] = part

    def normalise(self, images: Tensor) -> Tensor:
        scaled: Tensor = self.scaling_layer(images)
        return scaled

    def steps(self) -> list[Callable[[Tensor], Tensor]]:
        every = [module for part in self.net.values() for module in part.children()]
        return [nn.Sequential(*every[start:end]) for start, end in pairwise([0, *self._ends])]


class VGG16(_ShiftTolerant):
    """VGG16 with blurred pooling."""

    def __init__(self, num_layers: int) -> None:
        slices: list[list[nn.Module]] = [[]]
        ends: list[int] = []
        channels, number = 3, 0
        for width in _VGG16:
            if width:
                slices[-1] += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            else:
                slices.append([nn.MaxPool2d(2, 1), _Blur(channels)])
            number += 2
            if width:
                ends.append(number)
        super().__init__(slices, ends, num_layers)


class AlexNet(_ShiftTolerant):
    """AlexNet with blurred pooling, and a first convolution at every position before a blur."""

    def __init__(self, num_layers: int) -> None:
        slices: list[list[nn.Module]] = [
            [nn.Conv2d(3, 64, 11, padding=2), _Blur(64), nn.ReLU()],
            [nn.MaxPool2d(3, 1), _Blur(64), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()],
            [nn.MaxPool2d(3, 1), _Blur(192), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()],
            [nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()],
            [nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()],
        ]
        super().__init__(slices, [3, 7, 11, 13, 15], num_layers)
