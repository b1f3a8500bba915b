"""The comparison picture: the same details from every method, enlarged, side by side."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from srgan.data.dataset import Crops
from srgan.evaluate.comparison import Upscale, degrade, tried
from srgan.evaluate.figures import TITLES
from srgan.images import strip
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
