"""Held-out crops on which two models differ the most, with the pixels of every method.

Chosen by figures that are measured already, and from both ends: where the model gained most
against its opponent and where it lost most, so that the choice favours neither.
"""

import base64
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from srgan.data.dataset import Crops
from srgan.evaluate.comparison import BICUBIC, Upscale, degrade, tried
from srgan.evaluate.picture import ORIGINAL, densest_window
from srgan.evaluate.report import Figures, ImageFigures
from srgan.evaluate.spec import CHAMPION, MODEL
from srgan.images import Photo, encode
from srgan.refs import Ref

Pixels = NDArray[np.uint8]

_NUM_DETAILS = 4
_SIDE = 256
"""Of what is shown at most: a larger crop is cut around the place of the largest difference."""
_FOCUS = 64


class Detail(Ref):
    """One crop as every method makes it."""

    source: str
    """Key of the photo that the crop was cut from."""
    crop: int
    """Index among the held-out crops of the dataset version."""
    opponent: str
    """With whose result the model's was compared: ``champion`` or ``bicubic``."""
    gain: float
    """Of the model on the whole crop: distance below the opponent's, or PSNR above it."""
    figure: str
    """What `gain` is of: a distance's name or ``psnr``."""
    figures: dict[str, Figures]
    focus: tuple[int, int, int]
    """Top, left and side in pixels of the square where the two differ most."""
    images: dict[str, str]
    """PNG as base64 by the method's name; ``original`` is among them."""


class Details(Ref):
    """``details.json`` of an evaluation."""

    details: list[Detail]


def most_different(
    crops: Crops, images: Sequence[ImageFigures], methods: Mapping[str, Upscale], *, scale: int
) -> Details:
    """Up to `_NUM_DETAILS` crops of different photos, ordered from largest gain to largest loss.

    The opponent is the champion, or bicubic without one; `images` are what `compare` found.
    An output that is no image is shown black.
    """
    opponent = CHAMPION if CHAMPION in methods else BICUBIC
    chosen = _choose(images, opponent)
    return Details(details=[_cut(crops, each, methods, opponent, scale) for each in chosen])


def _weight(image: ImageFigures, opponent: str) -> float:
    """`_gain` for the choice: of PSNR the squared error, for in a flat sky 1 dB is no sight."""
    if _figure(image) != "psnr":
        return _gain(image, opponent)
    mine, theirs = (10 ** (-image.figures[who].psnr / 10) for who in (MODEL, opponent))
    return theirs - mine


def _choose(images: Sequence[ImageFigures], opponent: str) -> list[ImageFigures]:
    """At most one crop of each photo, from largest gain to largest loss; the middle is left out."""
    by_photo: dict[str, ImageFigures] = {}
    for image in images:
        weight = _weight(image, opponent)
        best = by_photo.get(image.source)
        if math.isfinite(weight) and (best is None or abs(weight) > abs(_weight(best, opponent))):
            by_photo[image.source] = image
    ranked = sorted(by_photo.values(), key=lambda each: (-_weight(each, opponent), each.crop))
    if len(ranked) <= _NUM_DETAILS:
        return ranked
    half = _NUM_DETAILS // 2
    return ranked[: _NUM_DETAILS - half] + ranked[-half:]


def _figure(image: ImageFigures) -> str:
    return next(iter(image.figures[MODEL].distances), "psnr")


def _gain(image: ImageFigures, opponent: str) -> float:
    name = _figure(image)
    mine, theirs = (image.figures[who].flat[name] for who in (MODEL, opponent))
    return mine - theirs if name == "psnr" else theirs - mine


def _cut(
    crops: Crops, image: ImageFigures, methods: Mapping[str, Upscale], opponent: str, scale: int
) -> Detail:
    hr = crops[image.crop]
    lr = degrade(hr, scale)
    results: dict[str, Pixels] = {}
    for name, upscale in methods.items():
        sr = tried(upscale, lr)
        results[name] = np.zeros_like(hr) if sr is None else sr
    results[ORIGINAL] = hr
    difference = results[MODEL].astype(np.float64) - results[opponent]
    energy = (difference**2).sum(axis=2)
    window = densest_window(energy, _SIDE)
    rows, columns = densest_window(energy[window], _FOCUS)
    return Detail(
        source=image.source,
        crop=image.crop,
        opponent=opponent,
        gain=_gain(image, opponent),
        figure=_figure(image),
        figures=image.figures,
        focus=(
            rows.start,
            columns.start,
            min(rows.stop - rows.start, columns.stop - columns.start),
        ),
        images={name: _png(pixels[window]) for name, pixels in results.items()},
    )


def _png(pixels: Pixels) -> str:
    data = encode(Photo(np.ascontiguousarray(pixels)), format="png", jpeg_quality=100)
    return base64.b64encode(data).decode()
