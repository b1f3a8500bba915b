"""The comparison picture: the same details from every method, enlarged, side by side."""

import base64
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from srgan.data.dataset import Crops
from srgan.images import Photo, encode, strip
from srgan.measure.comparison import BICUBIC, Upscale, degrade, tried
from srgan.measure.evaluation import CHAMPION, MODEL, Figures, ImageFigures
from srgan.measure.figures import TITLES
from srgan.refs import Ref
from srgan.resize import imresize

Pixels = NDArray[np.uint8]

_ROWS = 3
_WINDOW = 64
_ZOOM = 4
_GAP = 6
ORIGINAL = "original"


def comparison_picture(crops: Crops, methods: Mapping[str, Upscale], *, scale: int) -> bytes:
    """PNG with a column per method and one for the original, a row per detail.

    Shown are crops of different photos with the strongest edges after bicubic, and in each the
    window with most of them: structure that is left in the LR image, not the noise of fur or
    grass that nothing brings back. That choice looks at no model, so it favours none. An output
    of values that are no numbers is shown black.
    """
    shown = [name for name in TITLES if name in methods]
    columns: dict[str, list[Pixels]] = {name: [] for name in [*shown, ORIGINAL]}
    for index in _most_structured(crops, scale):
        hr = crops[index]
        lr = degrade(hr, scale)
        window = densest_window(_structure(hr, scale), _WINDOW)
        for name in shown:
            sr = tried(methods[name], lr)
            columns[name].append((np.zeros_like(hr) if sr is None else sr)[window])
        columns[ORIGINAL].append(hr[window])
    titles = {**TITLES, ORIGINAL: "Original"}
    return strip([(titles[name], _stack(windows)) for name, windows in columns.items()])


def _most_structured(crops: Crops, scale: int) -> list[int]:
    """Indices of up to `_ROWS` crops, the strongest first, at most one of each photo."""
    best: dict[int, tuple[float, int]] = {}
    for index in range(len(crops)):
        structure = float(_structure(crops[index], scale).mean())
        photo = int(crops.photo_of[index])
        if photo not in best or structure > best[photo][0]:
            best[photo] = (structure, index)
    ranked = sorted(best.values(), key=lambda entry: (-entry[0], entry[1]))
    return [index for _, index in ranked[:_ROWS]]


def _structure(hr: Pixels, scale: int) -> NDArray[np.float64]:
    """Squared gradient of what bicubic makes of the LR image, at each pixel (H, W)."""
    bicubic = imresize(degrade(hr, scale), scale=scale).mean(axis=2)
    down, right = np.gradient(bicubic)
    energy: NDArray[np.float64] = down**2 + right**2
    return energy


def densest_window(values: NDArray[np.float64], side: int) -> tuple[slice, slice]:
    """The square of `side` pixels (or the image, where smaller) with the largest sum of (H, W)."""
    height, width = (min(side, length) for length in values.shape)
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    total = (sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]) + sums[
        :-height, :-width
    ]
    top, left = np.unravel_index(int(total.argmax()), total.shape)
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)


def _stack(windows: list[Pixels]) -> Pixels:
    """Enlarged windows below each other. Pixels are repeated: smoothing would hide them."""
    parts = []
    for window in windows:
        large = window.repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1)
        parts += [large, np.full((_GAP, large.shape[1], 3), 255, np.uint8)]
    return np.concatenate(parts[:-1])


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
