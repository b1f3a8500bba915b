"""Weights files of perceptual networks, drawn from a seed: the shapes of the published ones."""

from functools import cache
from io import BytesIO

import torch
from safetensors.torch import save
from torch import Tensor

from srgan.config.networks import FEATURE_LAYERS, FeatureNetwork
from srgan.models.features import FeatureExtractor


@cache
def drawn_state(network: FeatureNetwork) -> dict[str, Tensor]:
    """Tensors under torchvision's names that keep the size of what passes through."""
    random = torch.Generator().manual_seed(1)
    with torch.device("meta"):
        expected = FeatureExtractor(network, FEATURE_LAYERS[network]).state_dict()
    return {
        name: torch.randn(tensor.shape, generator=random)
        * ((2 / tensor[0].numel()) ** 0.5 if tensor.ndim == 4 else 0.1)
        for name, tensor in expected.items()
    }


@cache
def drawn_weights(network: FeatureNetwork = "squeezenet1_1") -> bytes:
    """The same as a safetensors file."""
    return save(drawn_state(network))


def as_pth(state: dict[str, Tensor], *, legacy: bool = False) -> bytes:
    """A file as `torch.save` writes it; `legacy` is the format of before 2020."""
    buffer = BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()
