"""The factor on a layer's features that makes a loss on them as large as the pixels' MSE.

Section 3.2 multiplies VGG19's features by 1/12.75 for that. The factor depends on the network, the
weights and the layer, so it is measured for each file: bicubic ×4 against the original.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srgan.models.features import FeatureExtractor
from srgan.resize.arrays import imresize

_SCALE = 4
_SIDE, _NUM_IMAGES = 128, 4
_NUM_DISCS = 800
_LARGEST, _SMALLEST = 0.5, 0.02
"""Radii of discs as shares of the side."""
_CONTRAST, _GRAIN = 35.0, 6.0
"""Deviations of the discs' brightness and of the noise on them, in levels of 255."""


def measure_scales(extractor: FeatureExtractor, pairs: Iterable[Tensor]) -> dict[str, float]:
    """Measure √(MSE of pixels / MSE of features) by layer; layers without features are left out.

    Each pair is (2, 3, H, W) in [−1, 1]: an original and the same after bicubic ÷4 and ×4.
    """
    pixels = 0.0
    of_layers = np.zeros(len(extractor.layers))
    for pair in pairs:
        with torch.inference_mode():
            found = extractor(pair)
        pixels += _mean_square(pair)
        of_layers += [_mean_square(features) for features in found]
    return {
        layer: (pixels / float(error)) ** 0.5
        for layer, error in zip(extractor.layers, of_layers, strict=True)
        if error > 0
    }


def pair_of(hr: NDArray[np.uint8]) -> Tensor:
    """Pair an original uint8 (H, W, 3) with its bicubic image; sides divisible by 4."""
    bicubic = imresize(imresize(hr, scale=1 / _SCALE), scale=_SCALE)
    return torch.from_numpy(np.stack([hr, bicubic])).permute(0, 3, 1, 2).float() / 127.5 - 1


def drawn_pairs() -> Iterator[Tensor]:
    """Draw images with the statistics of photographs, and pair each with its bicubic image.

    Discs of all sizes that hide each other (the dead leaves of Lee, Mumford and Huang 2001) have
    edges at every scale and the power spectrum of photographs. On SqueezeNet the loss of a layer is
    0.8 to 1.1 times that on photographs, on its deepest layer 2.5 times smaller, because objects
    are missing. The same images at every call.
    """
    for seed in range(_NUM_IMAGES):
        yield pair_of(_dead_leaves(np.random.default_rng(seed)))


def _dead_leaves(random: np.random.Generator) -> NDArray[np.uint8]:
    image = np.full((_SIDE, _SIDE, 3), 127.5)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    for _ in range(_NUM_DISCS):
        # Radii fall with their third power, which looks alike at every distance.
        share = random.random()
        radius = _SIDE * (_LARGEST**-2 + share * (_SMALLEST**-2 - _LARGEST**-2)) ** -0.5
        top, left = random.uniform(-radius, _SIDE + radius, 2)
        inside = (y - top) ** 2 + (x - left) ** 2 < radius**2
        # Photographs are nearly gray: the channels share most of the brightness.
        colour = _CONTRAST * random.standard_normal() + 0.3 * _CONTRAST * random.standard_normal(3)
        image[inside] = 127.5 + colour
    image += _GRAIN * random.standard_normal(image.shape)
    levels: NDArray[np.uint8] = np.clip(image.round(), 0, 255).astype(np.uint8)
    return levels


def _mean_square(pair: Tensor) -> float:
    return float((pair[0] - pair[1]).square().mean())
