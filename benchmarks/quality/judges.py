"""Weights of perceptual networks, the judges on them, and the contents that teach by them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from benchmarks.quality.photos import Pair
from srgan.config import FeatureContentConfig
from srgan.config.networks import FEATURE_LAYERS, JUDGES, PUBLISHED_WEIGHTS, FeatureNetwork
from srgan.errors import ConfigError
from srgan.measure.comparison import Distance
from srgan.measure.niqe import Naturalness
from srgan.measure.perceptual import open_distances
from srgan.models.feature_scale import measure_scales, pair_of
from srgan.models.features import load_extractor
from srgan.refs import digest
from srgan.settings import Settings
from srgan.versions.mirror_weights import fetch_named

Weights = Mapping[FeatureNetwork, bytes]
"""Weights files by network."""
Contents = Mapping[str, FeatureContentConfig]
"""Contents by the layer that teaches."""

TEACHING: tuple[tuple[FeatureNetwork, str], ...] = (
    ("squeezenet1_1", "fire9"),
    ("vgg16_st", "vgg22"),
    ("vgg16_st", "vgg53"),
)
"""Layers that teach contestants; ``vgg53`` is to VGG16 what the paper's VGG54 is to VGG19."""
_PACKAGED = "pypi:"
_SCALE_PHOTOS = 12
"""Photos on which feature scales are measured: a second each with VGG16."""


@dataclass(frozen=True)
class Panel:
    """Every judge whose weights are there."""

    distances: Sequence[Distance]
    digests: Mapping[FeatureNetwork, str]
    """SHA-256 of the weights files."""

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.distances]

    @property
    def digest(self) -> str:
        """Digest of what decides the figures: judges, and their weights."""
        return digest([self.names, {str(name): each for name, each in self.digests.items()}])

    def only(self, names: Sequence[str]) -> "Panel":
        """The judges with these names."""
        chosen = [each for each in self.distances if each.name in names]
        return Panel(chosen, self.digests)


def taught_by(judge: str, teachers: frozenset[FeatureNetwork]) -> bool:
    """True if a judge looks with a network that is among the teachers."""
    return JUDGES[judge].network in teachers


def open_weights(given: Sequence[str]) -> dict[FeatureNetwork, bytes]:
    """Read weights files given as ``NETWORK=FILE``, and those of the packages that are installed.

    Networks without a file are left out, and a printed line says so. `ConfigError` for a name that
    is not a network or is given twice.
    """
    files: dict[FeatureNetwork, str] = {}
    for each in given:
        network, _, file = each.partition("=")
        if network not in FEATURE_LAYERS or network in files or not file:
            raise ConfigError(
                f"invalid --weights {each}: expected NETWORK=FILE, each network once; networks: "
                f"{', '.join(FEATURE_LAYERS)}"
            )
        files[network] = file
    found: dict[FeatureNetwork, bytes] = {}
    for name, published in PUBLISHED_WEIGHTS.items():
        if name in files:
            found[name] = fetch_named(Settings(), files[name])
        elif published.source.startswith(_PACKAGED):
            try:
                found[name] = fetch_named(Settings(), published.source, digest=published.digest)
            except ConfigError as error:
                print(f"{name} is left out: {error}")
        else:
            print(f"{name} is left out: its weights come with --weights {name}=FILE")
    return found


def open_panel(weights: Weights) -> Panel:
    """Open every distance of these networks, and NIQE, in the order of `JUDGES`."""
    device = torch.device("cpu")
    opened: list[Distance] = [Naturalness()]
    for network, data in weights.items():
        opened += open_distances(network, data, device=device)
    by_name = {each.name: each for each in opened}
    return Panel(
        [by_name[name] for name in JUDGES if name in by_name],
        {network: hashlib.sha256(data).hexdigest() for network, data in weights.items()},
    )


def measure_contents(weights: Weights, photos: Sequence[Pair]) -> dict[str, FeatureContentConfig]:
    """Return a content for each layer of `TEACHING` whose network's weights are there.

    Its scale is measured on the originals of `photos`, so that the loss on each layer is as large
    as the pixels' MSE, and the weight of the adversarial loss beside it means the same.
    """
    pairs = [pair_of(each.hr.rgb) for each in photos[:_SCALE_PHOTOS]]
    found = {}
    for network, layer in TEACHING:
        if network in weights:
            data = weights[network]
            (scale,) = measure_scales(load_extractor(data, network, [layer]), pairs).values()
            found[layer] = FeatureContentConfig(
                network=network,
                layer=layer,
                # Rounded, because the last digits depend on the number of threads, and the scale
                # is a part of a training's name.
                feature_scale=float(f"{scale:.3g}"),
                weights=hashlib.sha256(data).hexdigest(),
            )
    return found
