"""Pictures of an evaluation: all methods side by side, and where the model and its opponent differ.

`comparison_picture` shows the same enlarged details from every method. `most_different` picks the
crops that a retraining's report shows, with the gain of the model over its opponent.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srgan.config.networks import deciding_judges
from srgan.data.dataset import Crops
from srgan.images import Photo, encode, strip
from srgan.measure.comparison import Upscale, degrade, upscale_or_none
from srgan.measure.evaluation import BICUBIC, CHAMPION, MODEL, Figures, ImageFigures
from srgan.measure.figures import TITLES
from srgan.refs import Ref
from srgan.resize.arrays import imresize

Pixels = NDArray[np.uint8]

ORIGINAL = "original"

_ROWS = 3
_WINDOW = 64
_ZOOM = 4
_GAP = 6

_NUM_DETAILS = 4
_SIDE = 256
"""Largest side shown in pixels: a larger crop is cut around the largest difference."""
_FOCUS = 64


def comparison_picture(crops: Crops, methods: Mapping[str, Upscale], *, scale: int) -> bytes:
    """Draw a PNG with a column for each method and one for the original, and a row per detail.

    The rows are crops of different photos with the strongest edges after bicubic, and in each crop
    the window with the most edges. Such structure survives in the LR image, unlike the noise of fur
    or grass, which no method can restore. The choice does not look at any model, so it favours
    none. An output of NaN or infinite values is black.
    """
    shown = [name for name in TITLES if name in methods]
    columns: dict[str, list[Pixels]] = {name: [] for name in [*shown, ORIGINAL]}
    for index in _most_structured(crops, scale):
        hr = crops[index]
        lr = degrade(hr, scale)
        window = densest_window(_structure(hr, scale), height=_WINDOW, width=_WINDOW)
        for name in shown:
            columns[name].append(_output_or_black(methods[name], lr, hr)[window])
        columns[ORIGINAL].append(hr[window])
    titles = {**TITLES, ORIGINAL: "Original"}
    return strip([(titles[name], _stack(windows)) for name, windows in columns.items()])


class Detail(Ref):
    """One crop as every method upscales it."""

    source: str
    """Key of the photo that the crop was cut from."""
    crop: int
    """Index among the held-out crops of the dataset version."""
    opponent: str
    """Method that the model is compared with: ``champion`` or ``bicubic``."""
    gain: float
    """The model's gain on the whole crop: distance below the opponent's, or PSNR above it."""
    figure: str
    """Figure that `gain` is about: a distance's name or ``psnr``."""
    figures: dict[str, Figures]
    focus: tuple[int, int, int]
    """Top, left and side in pixels of the square where the two differ most."""
    images: dict[str, str]
    """PNG as base64 by the method's name, with ``original`` among them."""


class Details(Ref):
    """``details.json`` of an evaluation."""

    details: list[Detail]


def most_different(
    crops: Crops, images: Sequence[ImageFigures], methods: Mapping[str, Upscale], *, scale: int
) -> Details:
    """Pick up to `_NUM_DETAILS` crops of different photos, from largest gain to largest loss.

    The opponent is the champion, or bicubic if there is none; `images` is the result of `compare`.
    An output of NaN or infinite values is black.
    """
    opponent = CHAMPION if CHAMPION in methods else BICUBIC
    chosen = _choose(images, opponent)
    return Details(details=[_detail(crops, each, methods, opponent, scale) for each in chosen])


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
    """Squared gradient of bicubic's result at each pixel (H, W)."""
    bicubic = imresize(degrade(hr, scale), scale=scale).mean(axis=2)
    down, right = np.gradient(bicubic)
    energy: NDArray[np.float64] = down**2 + right**2
    return energy


def densest_window(
    values: NDArray[np.floating[Any]], *, height: int, width: int
) -> tuple[slice, slice]:
    """The window of this size (at most the image) with the largest sum of `values` (H, W)."""
    height, width = min(height, values.shape[0]), min(width, values.shape[1])
    sums = np.pad(values.cumsum(0, np.float64).cumsum(1), ((1, 0), (1, 0)))
    total = (sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]) + sums[
        :-height, :-width
    ]
    top, left = np.unravel_index(int(total.argmax()), total.shape)
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)


def variance_over(images: Sequence[Pixels]) -> NDArray[np.float32]:
    """Variance over images (H, W, C) at each pixel (H, W), the mean of the channels."""
    total = np.zeros(images[0].shape, np.float32)
    squares = np.zeros(images[0].shape, np.float32)
    for image in images:
        values = image.astype(np.float32)
        total += values
        squares += values**2
    mean = total / len(images)
    found: NDArray[np.float32] = np.maximum(squares / len(images) - mean**2, 0).mean(axis=2)
    return found


def _output_or_black(upscale: Upscale, lr: Pixels, hr: Pixels) -> Pixels:
    sr = upscale_or_none(upscale, lr)
    return np.zeros_like(hr) if sr is None else sr


def _stack(windows: list[Pixels]) -> Pixels:
    """Enlarged windows below each other. Pixels are repeated, because smoothing would hide them."""
    parts = []
    for window in windows:
        large = window.repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1)
        parts += [large, np.full((_GAP, large.shape[1], 3), 255, np.uint8)]
    return np.concatenate(parts[:-1])


def _choose(images: Sequence[ImageFigures], opponent: str) -> list[ImageFigures]:
    """At most one crop of each photo, from largest gain to largest loss, without the middle."""
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


def _weight(image: ImageFigures, opponent: str) -> float:
    """`_gain`, with squared error in place of PSNR, because 1 dB in a flat sky is invisible."""
    if _figure(image) != "psnr":
        return _gain(image, opponent)
    mine, theirs = (10 ** (-image.figures[who].psnr / 10) for who in (MODEL, opponent))
    return theirs - mine


def _figure(image: ImageFigures) -> str:
    return next(iter(deciding_judges(image.figures[MODEL].distances)), "psnr")


def _gain(image: ImageFigures, opponent: str) -> float:
    name = _figure(image)
    mine, theirs = (image.figures[who].flat[name] for who in (MODEL, opponent))
    return mine - theirs if name == "psnr" else theirs - mine


def _detail(
    crops: Crops, image: ImageFigures, methods: Mapping[str, Upscale], opponent: str, scale: int
) -> Detail:
    hr = crops[image.crop]
    lr = degrade(hr, scale)
    results = {name: _output_or_black(upscale, lr, hr) for name, upscale in methods.items()}
    results[ORIGINAL] = hr
    difference = results[MODEL].astype(np.float64) - results[opponent]
    energy = (difference**2).sum(axis=2)
    window = densest_window(energy, height=_SIDE, width=_SIDE)
    rows, columns = densest_window(energy[window], height=_FOCUS, width=_FOCUS)
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
        images={name: base64_png(pixels[window]) for name, pixels in results.items()},
    )


def base64_png(pixels: Pixels) -> str:
    """PNG of uint8 (H, W, 3), as base64."""
    data = encode(Photo(np.ascontiguousarray(pixels)), format="png", jpeg_quality=100)
    return base64.b64encode(data).decode()
