"""The comparison picture: the same details from every method, enlarged, side by side."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from srgan.evaluate.comparison import HeldOut, Upscale, degrade
from srgan.evaluate.report import TITLES
from srgan.images import strip
from srgan.metrics import psnr
from srgan.resize import imresize

Pixels = NDArray[np.uint8]

_ROWS = 3
_WINDOW = 64
_ZOOM = 4
_GAP = 6


def comparison_picture(crops: HeldOut, methods: Mapping[str, Upscale], *, scale: int) -> bytes:
    """PNG with a column per method and one for the original, a row per detail.

    Shown are the crops of different photos that bicubic loses most on, and in each the window
    that it loses most in. That choice looks at no model, so it favours none.
    """
    shown = [name for name in TITLES if name in methods]
    columns: dict[str, list[Pixels]] = {name: [] for name in [*shown, "original"]}
    for index in _most_lost(crops, scale):
        hr = crops[index]
        lr = degrade(hr, scale)
        window = _window(_loss(hr, scale))
        for name in shown:
            columns[name].append(methods[name](lr)[window])
        columns["original"].append(hr[window])
    captions = {
        name: f"{TITLES[name]} ({_mean_psnr(columns['original'], columns[name]):.2f} dB)"
        for name in shown
    }
    captions["original"] = "Original"
    return strip([(captions[name], _stack(windows)) for name, windows in columns.items()])


def _most_lost(crops: HeldOut, scale: int) -> list[int]:
    """Indices of up to `_ROWS` crops, the one most lost first, at most one of each photo."""
    best: dict[int, tuple[float, int]] = {}
    for index in range(len(crops)):
        loss = float(_loss(crops[index], scale).mean())
        photo = int(crops.photo_of[index])
        if photo not in best or loss > best[photo][0]:
            best[photo] = (loss, index)
    ranked = sorted(best.values(), key=lambda entry: (-entry[0], entry[1]))
    return [index for _, index in ranked[:_ROWS]]


def _loss(hr: Pixels, scale: int) -> NDArray[np.float64]:
    """Squared error of bicubic at each pixel, (H, W)."""
    bicubic = imresize(degrade(hr, scale), scale=scale).astype(np.float64)
    error: NDArray[np.float64] = ((hr.astype(np.float64) - bicubic) ** 2).mean(axis=2)
    return error


def _window(loss: NDArray[np.float64]) -> tuple[slice, slice]:
    """The square of side `_WINDOW` (or the image, where smaller) with the largest sum."""
    height, width = (min(_WINDOW, side) for side in loss.shape)
    sums = np.pad(loss.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    total = (
        sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
    ) + sums[:-height, :-width]
    top, left = np.unravel_index(int(total.argmax()), total.shape)
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)


def _mean_psnr(originals: list[Pixels], results: list[Pixels]) -> float:
    return float(
        np.mean([psnr(hr, sr, border=0) for hr, sr in zip(originals, results, strict=True)])
    )


def _stack(windows: list[Pixels]) -> Pixels:
    """Enlarged windows below each other. Pixels are repeated: smoothing would hide them."""
    parts = []
    for window in windows:
        large = window.repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1)
        parts += [large, np.full((_GAP, large.shape[1], 3), 255, np.uint8)]
    return np.concatenate(parts[:-1])
