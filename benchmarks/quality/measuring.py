"""Figures of a method on an evaluation set, as the paper's tables have them."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.quality.photos import SCALE, Pair
from srgan.config.networks import FeatureNetwork
from srgan.images import Photo
from srgan.inference.engine import Engine
from srgan.measure import metrics
from srgan.measure.comparison import Distance
from srgan.measure.figures import PIXEL_FIGURES
from srgan.measure.intervals import CONFIDENCE, half_width
from srgan.measure.metrics import psnr, ssim
from srgan.models.base import Generator

_TILE = 256

Method = Callable[[Photo], Photo]
Figures = Mapping[str, float]
"""``psnr`` in dB, ``ssim``, and the judges' figures by their names."""
Images = Mapping[str, Figures]
"""Figures by image of a set; an image that is too small for a judge lacks its figure."""
Sets = Mapping[str, Images]
"""Figures by evaluation set and image."""


@dataclass(frozen=True)
class Row:
    """One method in the tables."""

    title: str
    seeds: Sequence[Sets]
    """One for each training seed; one in all for what is not trained here."""
    teachers: frozenset[FeatureNetwork] = field(default=frozenset())
    """Perceptual networks that taught it."""

    def figures(self, name: str) -> dict[str, float]:
        """Means over the images of a set, and over the seeds."""
        found = self._by_seed(name)
        return {figure: statistics.mean(values) for figure, values in found.items()}

    def half_widths(self, name: str) -> dict[str, float]:
        """Half of each mean's 95 % interval (Student's t over the seeds); empty for one seed."""
        if len(self.seeds) < 2:
            return {}
        found = self._by_seed(name)
        return {
            figure: float(half_width(np.array(values), CONFIDENCE))
            for figure, values in found.items()
        }

    def _by_seed(self, name: str) -> dict[str, list[float]]:
        means = [mean_figures(each[name].values()) for each in self.seeds]
        return {figure: [each[figure] for each in means] for figure in means[0]}


def mean_figures(images: Iterable[Figures]) -> dict[str, float]:
    """Average each figure over the images that have it."""
    images = list(images)
    names = dict.fromkeys(name for each in images for name in each)
    columns = {name: [each[name] for each in images if name in each] for name in names}
    return {
        name: metrics.mean_psnr(column) if name == "psnr" else statistics.mean(column)
        for name, column in columns.items()
    }


def method(generator: Generator) -> Method:
    """Upscale whole photos by a generator in fp32."""
    return Engine(generator, tile=_TILE, device="cpu").upscale_photo


def measure(
    upscale: Method, pairs: Sequence[Pair], distances: Sequence[Distance]
) -> dict[str, dict[str, float]]:
    """Measure PSNR and SSIM on luma, and distances, without a border as wide as the scale."""
    return {pair.name: _figures(upscale, pair, distances) for pair in pairs}


def _figures(upscale: Method, pair: Pair, distances: Sequence[Distance]) -> dict[str, float]:
    hr, sr = pair.hr.pixels, upscale(pair.lr).pixels
    inside = min(hr.shape[:2]) - 2 * SCALE
    of_pixels = (psnr(hr, sr, border=SCALE), ssim(hr, sr, border=SCALE))
    return dict(zip(PIXEL_FIGURES, of_pixels, strict=True)) | {
        each.name: each(hr, sr, border=SCALE) for each in distances if each.min_side <= inside
    }


def mean_psnr(generator: Generator, pairs: Sequence[Pair]) -> float:
    """Measure a network in the middle of its training, in dB; its training mode is restored."""
    training = generator.training
    upscale = method(generator)
    scores = [psnr(pair.hr.pixels, upscale(pair.lr).pixels, border=SCALE) for pair in pairs]
    generator.train(training)
    return metrics.mean_psnr(scores)
