"""Networks from their configs."""

from collections.abc import Callable

from srgan.config import DiscriminatorConfig, GeneratorConfig
from srgan.models.base import Generator
from srgan.models.bicubic_resnet import BicubicResNet
from srgan.models.discriminator import Discriminator
from srgan.models.espcn import ESPCN
from srgan.models.fsrcnn import FSRCNN
from srgan.models.msrresnet import MSRResNet
from srgan.models.rrdbnet import RRDBNet
from srgan.models.srcnn import SRCNN
from srgan.models.srresnet import SRResNet

_GENERATORS: dict[str, Callable[[GeneratorConfig], Generator]] = {
    "srresnet": SRResNet,
    "bicubic_resnet": BicubicResNet,
    "srcnn": SRCNN,
    "fsrcnn": FSRCNN,
    "espcn": ESPCN,
    "msrresnet": MSRResNet,
    "rrdbnet": RRDBNet,
}


def build_generator(config: GeneratorConfig) -> Generator:
    """Generator with fresh weights from torch's global random state, in training mode."""
    return _GENERATORS[config.kind](config)


def build_discriminator(config: DiscriminatorConfig, patch_size: int) -> Discriminator:
    """Discriminator for HR patches of `patch_size`² pixels, with fresh weights."""
    return Discriminator(config, patch_size)
