"""Networks of other architectures, by the package ``spandrel`` (the extra ``spandrel``)."""

import importlib.util
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, ConfigError
from srgan.models.base import UNKNOWN_RADIUS, Generator

KIND = "spandrel"
"""Kind of these generators; the architecture is read from the weights each time."""
_PREFIX = "network."


class Adopted(Generator):
    """A network of spandrel, in eval mode. All of it is trunk, and its radius is unknown.

    The trunk makes the SR image, kept as s² times as many maps in LR resolution.
    """

    exact_only = True

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.config = GeneratorConfig(kind=KIND, scale=descriptor.scale)
        self.scale = descriptor.scale
        self.trunk_radius, self.head_radius = UNKNOWN_RADIUS, 0
        self.architecture = str(descriptor.architecture.name)
        self.network = descriptor.model.eval()
        self._descriptor = descriptor  # runs the network, padded to the sizes that it takes

    @property
    def layout(self) -> str:
        return f"{self.architecture} by spandrel"

    def trunk(self, lr: Tensor) -> Tensor:
        return F.pixel_unshuffle(self._descriptor(lr), self.scale)

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        return 2 * F.pixel_shuffle(features, self.scale).float() - 1


def is_installed() -> bool:
    """Return whether the package is there; it is not imported."""
    return importlib.util.find_spec("spandrel") is not None


def adopt(state: dict[str, Tensor]) -> Adopted:
    """Build the network of published weights, or of those that an `Adopted` was saved with.

    `ConfigError` if the package is missing or does not start, `CheckpointError` if it does not know
    the network or the network is not from RGB to larger RGB.
    """
    try:
        import spandrel
    # torchvision, which it needs, raises RuntimeError beside another build of torch.
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"this network needs the package spandrel: pip install -e '.[spandrel]' ({error})"
        ) from error
    bare = {name.removeprefix(_PREFIX): tensor for name, tensor in state.items()}
    loader = spandrel.ModelLoader(device="cpu")
    try:
        descriptor = loader.load_from_state_dict(bare)
    except spandrel.UnsupportedModelError as error:
        raise CheckpointError("spandrel does not know this network") from error
    # Architectures read sizes from keys and shapes and fail in their own ways if those do not fit.
    except Exception as error:
        what = str(error).partition("\n")[0]
        raise CheckpointError(f"spandrel cannot build this network: {what}") from error
    name = descriptor.architecture.name
    channels = (descriptor.input_channels, descriptor.output_channels)
    if not isinstance(descriptor, spandrel.ImageModelDescriptor) or channels != (3, 3):
        raise CheckpointError(
            f"{name} of {channels[0]} to {channels[1]} channels cannot be used; photos are RGB"
        )
    if descriptor.scale not in (2, 3, 4, 8):
        raise CheckpointError(f"{name} of scale {descriptor.scale}; scales 2, 3, 4 and 8 are used")
    return Adopted(descriptor)
