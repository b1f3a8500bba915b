"""Build networks from their configs."""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from srgan.config import DiscriminatorConfig, GeneratorConfig
from srgan.models.base import Generator
from srgan.models.bicubic_resnet import BicubicResNet
from srgan.models.bicubic_span import BicubicSPAN
from srgan.models.discriminator import Discriminator
from srgan.models.luma import ESPCN, FSRCNN, SRCNN
from srgan.models.msrresnet import MSRResNet
from srgan.models.rrdbnet import RRDBNet
from srgan.models.srresnet import SRResNet
from srgan.models.srvgg import SRVGG

_GENERATORS: dict[str, Callable[[GeneratorConfig], Generator]] = {
    "srresnet": SRResNet,
    "bicubic_resnet": BicubicResNet,
    "bicubic_span": BicubicSPAN,
    "srcnn": SRCNN,
    "fsrcnn": FSRCNN,
    "espcn": ESPCN,
    "msrresnet": MSRResNet,
    "rrdbnet": RRDBNet,
    "srvgg": SRVGG,
}


def build_generator(config: GeneratorConfig) -> Generator:
    """Build a generator with fresh weights from torch's global random state, in training mode."""
    return _GENERATORS[config.kind](config)


def build_empty_generator(config: GeneratorConfig) -> Generator:
    """Build a generator to be filled from a file: takes no memory and no random numbers."""
    with torch.device("meta"), _WithoutStart():
        return build_generator(config)


class _WithoutStart(TorchFunctionMode):
    """Skip initialisation: on the meta device torch would import its compiler, which takes 1 s."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.__name__ in ("normal_", "kaiming_normal_", "uniform_", "kaiming_uniform_"):
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def build_discriminator(config: DiscriminatorConfig, patch_size: int) -> Discriminator:
    """Build a discriminator for HR patches of `patch_size`² pixels, with fresh weights."""
    return Discriminator(config, patch_size)
