"""Figures of a method on an evaluation set, as the paper's tables have them."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.photos import SCALE, Pair
from srgan.images import Photo
from srgan.inference.engine import Engine
from srgan.measure import metrics
from srgan.measure.metrics import psnr, ssim
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.base import Generator

_TILE = 256

Method = Callable[[Photo], Photo]
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Student's t at 97.5 % by number of seeds."""


@dataclass(frozen=True)
class Figures:
    """Means over the images of a set."""

    psnr: float
    ssim: float
    distance: float


def mean_figures(seeds: Sequence[Figures]) -> Figures:
    """Average each figure over the seeds of one training."""
    return Figures(*(statistics.mean(column) for column in _columns(seeds)))


def half_widths(seeds: Sequence[Figures]) -> Figures | None:
    """Half the width of each mean's 95 % interval (Student's t over the seeds); None for one."""
    if len(seeds) < 2:
        return None
    factor = T_95[len(seeds)] / math.sqrt(len(seeds))
    return Figures(*(factor * statistics.stdev(column) for column in _columns(seeds)))


def _columns(seeds: Sequence[Figures]) -> Iterable[tuple[float, ...]]:
    return zip(*((each.psnr, each.ssim, each.distance) for each in seeds), strict=True)


def method(generator: Generator) -> Method:
    """Upscale whole photos by a generator in fp32."""
    return Engine(generator, tile=_TILE, device="cpu").upscale_photo


def measure(upscale: Method, pairs: list[Pair], distance: PerceptualDistance) -> Figures:
    """Measure PSNR and SSIM on luma, and the distance, without a border as wide as the scale."""
    rows: list[tuple[float, float, float]] = []
    for pair in pairs:
        hr, sr = pair.hr.pixels, upscale(pair.lr).pixels
        rows.append(
            (
                psnr(hr, sr, border=SCALE),
                ssim(hr, sr, border=SCALE),
                distance(hr, sr, border=SCALE),
            )
        )
    psnrs, ssims, distances = zip(*rows, strict=True)
    return Figures(metrics.mean_psnr(psnrs), float(np.mean(ssims)), float(np.mean(distances)))


def mean_psnr(generator: Generator, pairs: list[Pair]) -> float:
    """Measure a network in the middle of its training, in dB; its training mode is restored."""
    training = generator.training
    upscale = method(generator)
    scores = [psnr(pair.hr.pixels, upscale(pair.lr).pixels, border=SCALE) for pair in pairs]
    generator.train(training)
    return metrics.mean_psnr(scores)
