"""φ of equation 5: features of chosen layers, for content losses and perceptual distances."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from srgan.config.networks import FEATURE_LAYERS, MIN_SIDE, FeatureNetwork
from srgan.errors import CheckpointError, ConfigError, first_few
from srgan.models.features.backbone import Backbone
from srgan.models.features.efficientnet import EfficientNetLite
from srgan.models.features.shift_tolerant import VGG16, AlexNet
from srgan.models.features.torchvision import VGG19, SqueezeNet
from srgan.models.weights_file import read_tensors_file

_BACKBONES: dict[FeatureNetwork, Callable[[int], Backbone]] = {
    "efficientnet_lite0": partial(EfficientNetLite, 0),
    "efficientnet_lite1": partial(EfficientNetLite, 1),
    "squeezenet1_1": SqueezeNet,
    "vgg19": VGG19,
    "vgg16_st": VGG16,
    "alexnet_st": AlexNet,
}


class FeatureExtractor(nn.Module):
    """RGB float (N, 3, H, W) in [−1, 1] → features (N, C, h, w) of each of `layers`, in that order.

    Applies the network's own normalisation. Frozen: parameters get no gradient, but the images do.
    Computes in float32 even under autocast, because a loss depends on the small difference of two
    features, which bf16's 8 bits would lose. Modules past the deepest layer are not built.
    """

    def __init__(self, network: FeatureNetwork, layers: Sequence[str]) -> None:
        super().__init__()
        known = FEATURE_LAYERS[network]
        unknown = [layer for layer in layers if layer not in known]
        if unknown or not layers:
            raise ConfigError(
                f"{network} has no layers {unknown or '(none given)'}; there are: "
                + ", ".join(known)
            )
        self.network = network
        self.layers = tuple(layers)
        num_layers = 1 + max(known.index(layer) for layer in layers)
        self._known = known[:num_layers]
        self.backbone = _BACKBONES[network](num_layers)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        shape = tuple(images.shape)
        if images.ndim != 4 or shape[1] != 3 or not images.is_floating_point():
            raise ValueError(
                f"expected RGB images (N, 3, H, W) as floats in [−1, 1], got {images.dtype} {shape}"
            )
        if min(shape[2:]) < MIN_SIDE:
            raise ValueError(f"{self.network} needs {MIN_SIDE} pixels a side, got {shape}")
        found: dict[str, Tensor] = {}
        with torch.autocast(images.device.type, enabled=False):
            features = self.backbone.normalise(images.float())
            for layer, step in zip(self._known, self.backbone.steps(), strict=True):
                features = step(features)
                if layer in self.layers:  # others are freed as soon as the next one is there
                    found[layer] = features
        return [found[layer] for layer in self.layers]


def _read_state(data: bytes) -> dict[str, Tensor]:
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
    # Without memory or random numbers: loading must not change the seed of a training run.
    with torch.device("meta"):
        extractor = FeatureExtractor(network, layers)
    shapes = {name: each.shape for name, each in extractor.backbone.state_dict().items()}
    extractor.backbone.load_state_dict(_matching(data, network, shapes), assign=True)
    return extractor


def load_calibration(
    data: bytes, network: FeatureNetwork, num_channels: Sequence[int]
) -> list[Tensor]:
    """Load what people's judgements taught: for each layer a weight per channel, (C, 1, 1).

    Only ST-LPIPS' files have them, as ``linN.model.1.weight``. `CheckpointError` as in
    `load_extractor`.
    """
    shapes = {
        f"lin{index}.model.1.weight": torch.Size((1, channels, 1, 1))
        for index, channels in enumerate(num_channels)
    }
    return [weight[0] for weight in _matching(data, network, shapes).values()]


def _matching(
    data: bytes, network: FeatureNetwork, shapes: dict[str, torch.Size]
) -> dict[str, Tensor]:
    """Tensors of a weights file in float32, which have to be there, fit and be finite."""
    found = _read_state(data)
    state: dict[str, Tensor] = {}
    problems: list[str] = []
    for name, shape in shapes.items():
        tensor = found.get(name)
        if tensor is None:
            problems.append(f"{name} is missing")
        elif tensor.shape != shape or not tensor.is_floating_point():
            problems.append(
                f"{name} is {tuple(tensor.shape)} {tensor.dtype}, expected {tuple(shape)} of floats"
            )
        elif not bool(torch.isfinite(tensor).all()):
            problems.append(f"{name} holds NaN or infinite values")
        else:
            state[name] = tensor.float()
    if problems:
        raise CheckpointError(
            f"these are not {network} weights under their published names: " + first_few(problems)
        )
    return state
