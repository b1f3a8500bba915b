"""Measure blends of two generators along the perception–distortion curve."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from srgan.inference.engine import Engine
from srgan.measure.comparison import Distance, Originals, compare, with_bicubic
from srgan.measure.evaluation import BICUBIC, Figures, means
from srgan.models.base import Generator
from srgan.models.blending import blend

_TILE = 192
CURVE = tuple(tenths / 10 for tenths in range(11))
"""Values of alpha from the first generator to the second."""


class Curve(NamedTuple):
    """Mean figures on the same images."""

    bicubic: Figures
    blends: dict[float, Figures]
    """By alpha, in the order in which they were asked for."""


def measure_blends(
    first: Generator,
    second: Generator,
    alphas: Iterable[float],
    originals: Originals,
    *,
    distances: Sequence[Distance],
    progress: Callable[[int, int], None],
) -> Curve:
    """Measure the blend of each alpha, computed in fp32; all are in memory at the same time."""
    scale = first.scale
    names = {alpha: f"{alpha:g}" for alpha in alphas}
    methods = {
        name: Engine(blend(first, second, alpha), tile=_TILE).upscale
        for alpha, name in names.items()
    }
    images = compare(
        originals, with_bicubic(methods, scale), scale=scale, progress=progress, distances=distances
    )
    found = means(images)
    return Curve(found[BICUBIC], {alpha: found[name] for alpha, name in names.items()})
