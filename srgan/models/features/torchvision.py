"""VGG19 and SqueezeNet 1.1 under torchvision's names, ``features.N.weight``.

Layers are taken after their activation, as in the paper: ``vgg22`` is φ₂,₂ (the second convolution
before the second pooling), ``vgg54`` is φ₅,₄. SqueezeNet's layers are ``conv1`` and ``fire2`` …
``fire9``, as its paper names them.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.models.features.backbone import Backbone

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of RGB in [0, 1]

_VGG19 = (64, 64, 0, 128, 128, 0, *[256] * 4, 0, *[512] * 4, 0, *[512] * 4)
"""Channels of the convolutions; 0 is a pooling. The final pooling, which the paper does not use, is
left out."""
_FIRES: tuple[tuple[int, int] | None, ...] = (
    *((16, 64), (16, 64), None, (32, 128), (32, 128), None),
    *((48, 192), (48, 192), (64, 256), (64, 256)),
)
"""Squeezed and expanded channels of fire2 … fire9; None is a pooling."""


class _Fire(nn.Module):
    """1×1 to few channels, then 1×1 and 3×3 side by side; ReLU after each."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        squeezed = F.relu(self.squeeze(image))
        return torch.cat([F.relu(self.expand1x1(squeezed)), F.relu(self.expand3x3(squeezed))], 1)


class _Torchvision(Backbone):
    """A chain of modules; `ends` counts those up to the end of each layer."""

    mean: Tensor
    std: Tensor

    def __init__(self, modules: list[nn.Module], ends: list[int], num_layers: int) -> None:
        super().__init__()
        self._ends = ends[:num_layers]
        self.features = nn.Sequential(*modules[: self._ends[-1]])
        # On the CPU even where the parameters are without memory, because no file has them.
        for name, values in (("mean", _MEAN), ("std", _STD)):
            constant = torch.tensor(values, device="cpu").view(1, 3, 1, 1)
            self.register_buffer(name, constant, persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        return ((images + 1) / 2 - self.mean) / self.std

    def steps(self) -> list[Callable[[Tensor], Tensor]]:
        return [self.features[start:end] for start, end in pairwise([0, *self._ends])]


class VGG19(_Torchvision):
    """VGG19 (Simonyan & Zisserman 2015)."""

    def __init__(self, num_layers: int) -> None:
        modules: list[nn.Module] = []
        ends: list[int] = []
        channels = 3
        for width in _VGG19:
            if not width:
                modules.append(nn.MaxPool2d(2))
                continue
            modules += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            ends.append(len(modules))
            channels = width
        super().__init__(modules, ends, num_layers)


class SqueezeNet(_Torchvision):
    """SqueezeNet 1.1 (Iandola et al. 2016)."""

    def __init__(self, num_layers: int) -> None:
        def pooling() -> nn.Module:
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        modules: list[nn.Module] = [nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pooling()]
        ends = [2]
        channels = 64
        for fire in _FIRES:
            if fire is None:
                modules.append(pooling())
                continue
            modules.append(_Fire(channels, *fire))
            ends.append(len(modules))
            channels = 2 * fire[1]
        super().__init__(modules, ends, num_layers)
