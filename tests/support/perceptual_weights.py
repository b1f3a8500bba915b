"""Weights files of perceptual networks, drawn from a seed: the shapes of the published ones."""

from functools import cache
from io import BytesIO

import torch
from safetensors.torch import save
from torch import Tensor

from srgan.config.networks import FEATURE_LAYERS, FeatureNetwork
from srgan.models.features import FeatureExtractor

CALIBRATED_CHANNELS: dict[FeatureNetwork, tuple[int, ...]] = {
    "vgg16_st": (64, 128, 256, 512, 512),
    "alexnet_st": (64, 192, 384, 256, 256),
}
"""Channels of the layers that ST-LPIPS weights."""


@cache
def drawn_state(network: FeatureNetwork, seed: int = 1) -> dict[str, Tensor]:
    """Tensors under their published names that keep the size of what passes through."""
    random = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        expected = FeatureExtractor(network, FEATURE_LAYERS[network]).backbone.state_dict()
    state = {
        name: torch.randn(tensor.shape, generator=random)
        * ((2 / tensor[0].numel()) ** 0.5 if tensor.ndim == 4 else 0.1)
        for name, tensor in expected.items()
    }
    for name in state:
        if name.endswith(("running_var", "scale", "filt")):  # what divides or averages
            state[name] = state[name].abs() + 0.5
            state[name] /= state[name].mean()
        if "_bn" in name and name.endswith("weight"):
            state[name] += 1
    for index, channels in enumerate(CALIBRATED_CHANNELS.get(network, ())):
        state[f"lin{index}.model.1.weight"] = torch.rand(1, channels, 1, 1, generator=random)
    return state


@cache
def drawn_weights(network: FeatureNetwork = "squeezenet1_1", seed: int = 1) -> bytes:
    """The same as a safetensors file."""
    return save(drawn_state(network, seed))


def as_pth(state: dict[str, Tensor], *, legacy: bool = False) -> bytes:
    """A file as `torch.save` writes it; `legacy` is the format of before 2020."""
    buffer = BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()
