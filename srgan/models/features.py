"""VGG19 and SqueezeNet 1.1 as feature extractors: φ of equation 5, and perceptual distances.

Parameters have torchvision's names (``features.N.weight``), so its published files fit unchanged.
Layers are taken after their activation, as in the paper: ``vgg22`` is φ₂,₂ (the second convolution
before the second pooling), ``vgg54`` is φ₅,₄. SqueezeNet's layers are ``conv1`` and ``fire2`` …
``fire9``, as its paper names them.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config.networks import FEATURE_LAYERS, MIN_SIDE, FeatureNetwork
from srgan.errors import CheckpointError, ConfigError, first_few
from srgan.models.weights_file import read_tensors_file

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


def _vgg19() -> tuple[list[nn.Module], list[int]]:
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
    return modules, ends


def _squeezenet() -> tuple[list[nn.Module], list[int]]:
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
    return modules, ends


_NETWORKS = {"vgg19": _vgg19, "squeezenet1_1": _squeezenet}


class FeatureExtractor(nn.Module):
    """RGB float (N, 3, H, W) in [−1, 1] → features (N, C, h, w) of each of `layers`, in that order.

    Applies ImageNet's normalisation. Frozen: parameters get no gradient, but the images do.
    Computes in float32 even under autocast, because a loss depends on the small difference of two
    features, which bf16's 8 bits would lose. Modules past the deepest layer are not built.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: FeatureNetwork, layers: Sequence[str]) -> None:
        super().__init__()
        known = FEATURE_LAYERS[network]
        unknown = [layer for layer in layers if layer not in known]
        if unknown or not layers:
            raise ConfigError(
                f"{network} has no layers {unknown or '(none given)'}; there are: "
                + ", ".join(known)
            )
        modules, ends = _NETWORKS[network]()
        end_of = dict(zip(known, ends, strict=True))
        self.network = network
        self.layers = tuple(layers)
        self._ends = [end_of[layer] for layer in layers]
        self.features = nn.Sequential(*modules[: max(self._ends)])
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        shape = tuple(images.shape)
        if images.ndim != 4 or shape[1] != 3 or not images.is_floating_point():
            raise ValueError(
                f"expected RGB images (N, 3, H, W) as floats in [−1, 1], got {images.dtype} {shape}"
            )
        if min(shape[2:]) < MIN_SIDE:
            raise ValueError(f"{self.network} needs {MIN_SIDE} pixels a side, got {shape}")
        with torch.autocast(images.device.type, enabled=False):
            features = ((images.float() + 1) / 2 - self.mean) / self.std
            found: dict[int, Tensor] = {}
            for start, end in pairwise([0, *sorted(set(self._ends))]):
                features = self.features[start:end](features)
                found[end] = features
        return [found[end] for end in self._ends]


def read_state(data: bytes) -> dict[str, Tensor]:
    """Read the tensors of a safetensors or `torch.save` file by name, without running its code.

    `CheckpointError` says what it is if it is neither.
    """
    state = read_tensors_file(data)
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError("this weights file does not hold a dictionary of tensors")
    return state


def load_extractor(data: bytes, network: FeatureNetwork, layers: Sequence[str]) -> FeatureExtractor:
    """Load an extractor on the CPU from the bytes of a safetensors or `torch.save` file.

    Ignores weights past the deepest layer, such as classifiers. `CheckpointError` names the tensors
    that are missing, have another shape or are not finite.
    """
    found = read_state(data)
    # Without memory or random numbers: loading must not change the seed of a training run.
    with torch.device("meta"):
        extractor = FeatureExtractor(network, layers)
    state: dict[str, Tensor] = {}
    problems: list[str] = []
    for name, expected in extractor.state_dict().items():
        tensor = found.get(name)
        if tensor is None:
            problems.append(f"{name} is missing")
        elif tensor.shape != expected.shape or not tensor.is_floating_point():
            problems.append(
                f"{name} is {tuple(tensor.shape)} {tensor.dtype}, "
                f"expected {tuple(expected.shape)} of floats"
            )
        elif not bool(torch.isfinite(tensor).all()):
            problems.append(f"{name} holds NaN or infinite values")
        else:
            state[name] = tensor.float()
    if problems:
        raise CheckpointError(
            f"these are not {network} weights under torchvision's names: " + first_few(problems)
        )
    extractor.to_empty(device="cpu")
    extractor.mean.copy_(torch.tensor(_MEAN).view(1, 3, 1, 1))
    extractor.std.copy_(torch.tensor(_STD).view(1, 3, 1, 1))
    extractor.load_state_dict(state)
    return extractor.eval().requires_grad_(False)
