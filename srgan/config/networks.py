"""Perceptual networks: their layers, published weights and feature scales."""

from typing import Literal, NamedTuple

FeatureNetwork = Literal["vgg19", "squeezenet1_1"]

FEATURE_LAYERS: dict[FeatureNetwork, tuple[str, ...]] = {
    "vgg19": tuple(f"vgg{i + 1}{j + 1}" for i, n in enumerate((2, 2, 4, 4, 4)) for j in range(n)),
    "squeezenet1_1": ("conv1", *(f"fire{n}" for n in range(2, 10))),
}
"""Layers from the first to the deepest; all are taken after their activation."""

MIN_SIDE = 24
"""Smallest side of an image in pixels: below it the deepest layers have nothing left to see."""


class PublishedWeights(NamedTuple):
    """Weights that torchvision publishes."""

    url: str
    digest: str
    """First digits of the file's SHA-256, which are part of its name."""


_TORCHVISION = "https://download.pytorch.org/models/"
PUBLISHED_WEIGHTS: dict[FeatureNetwork, PublishedWeights] = {
    "vgg19": PublishedWeights(f"{_TORCHVISION}vgg19-dcbb9e9d.pth", "dcbb9e9d"),
    "squeezenet1_1": PublishedWeights(f"{_TORCHVISION}squeezenet1_1-b8a52dc0.pth", "b8a52dc0"),
}

FEATURE_SCALE: dict[FeatureNetwork, float] = {
    "vgg19": 1 / 12.75,  # section 3.2
    "squeezenet1_1": 1 / 69,  # at fire9: measured, see docs/perceptual.md
}
"""Factors that bring a loss on features to the size of the MSE on [−1, 1]."""

DISTANCES: dict[FeatureNetwork, str] = {
    "squeezenet1_1": "squeezenet_distance",
    "vgg19": "vgg19_distance",
}
"""Name of each network's perceptual distance in reports, tables and metrics."""
