"""Statistics of a photo that tell whether photos have become different from those before.

They are measured on a part of the photo that does not grow with it: up to 16 windows of 64 pixels
for blur and noise, and about 65,000 pixels spread over all of it for the colours.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srgan.images.metadata import jpeg
from srgan.images.photo import Samples, luma, to_8_bits
from srgan.resize.arrays import resample

_WINDOW = 64
_ACROSS = 4
"""Windows along a side at most."""
_LEAST_SIDE = 16
_SPREAD_PIXELS = 2**16
_BLUR_TAPS = 9
"""Length of the mean that blurs again, as in Crete et al. 2007."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Blur, noise, compression, size and colours of one photo."""

    blur: float
    """Share of the differences between neighbours that stay when the photo is blurred again, of the
    worse direction (Crete et al. 2007): 0 is sharp, 1 is blurred."""
    noise: float
    """Deviation of the noise of luma in levels of 255 (Immerkær 1996), in the calmer windows: the
    lower quartile, because texture looks like noise."""
    jpeg_quality: float
    """1–100 by the file's quantisation tables; 100 if it is not a JPEG."""
    source_side: float
    """Geometric mean of width and height in pixels."""
    brightness: float
    """Mean of luma, 0–255."""
    contrast: float
    """Deviation of luma in levels of 255."""
    colourfulness: float
    """Hasler & Süsstrunk 2003: 0 is gray, above 100 extremely colourful."""


def statistics_of(pixels: Samples, *, scale: int = 1, file: bytes = b"") -> Statistics | None:
    """Measure pixels with 8 or 16 bits, (H, W, 3) or (H, W); None below 16 pixels a side.

    `file` tells the quality of a JPEG. With a `scale` the image is measured that bicubic makes of
    the photo in this fraction of its size; only its windows are made.
    """
    height, width = (side // scale for side in pixels.shape[:2])
    if min(height, width) < _LEAST_SIDE:
        return None
    windows = _windows(pixels, height, width, scale)
    step = max(1, math.isqrt(pixels.shape[0] * pixels.shape[1] // _SPREAD_PIXELS))
    spread = to_8_bits(pixels[::step, ::step])
    gray = (luma(spread) if spread.ndim == 3 else spread).astype(np.float32)
    return Statistics(
        blur=_blur(windows),
        noise=_noise(windows),
        jpeg_quality=jpeg.quality(file),
        source_side=math.sqrt(height * width),
        brightness=float(gray.mean()),
        contrast=float(gray.std()),
        colourfulness=_colourfulness(spread) if spread.ndim == 3 else 0.0,
    )


def _windows(pixels: Samples, height: int, width: int, scale: int) -> NDArray[np.float32]:
    """Luma of windows evenly spread over the image of this size, (N, side, side)."""
    side = min(_WINDOW, height, width)
    windows = []
    for top in _starts(height, side):
        for left in _starts(width, side):
            rows, columns = (slice(first * scale, (first + side) * scale) for first in (top, left))
            window = to_8_bits(pixels[rows, columns])
            if scale > 1:
                window = resample(window, side, side)
            windows.append(luma(window) if window.ndim == 3 else window)
    return np.stack(windows).astype(np.float32)


def _starts(length: int, side: int) -> list[int]:
    """First pixels of windows in the middles of equal parts of a length."""
    parts = min(_ACROSS, length // side)
    return [int((part + 0.5) * length / parts - side / 2) for part in range(parts)]


def _blur(windows: NDArray[np.float32]) -> float:
    from scipy.ndimage import uniform_filter1d  # a third of a second; most importers measure none

    found = []
    for axis in (1, 2):
        again = uniform_filter1d(windows, _BLUR_TAPS, axis=axis, mode="nearest")
        before, after = (np.abs(np.diff(each, axis=axis)) for each in (windows, again))
        total = float(before.sum())
        lost = float(np.maximum(before - after, 0).sum())
        found.append(1 - lost / total if total else 1.0)
    return max(found)


def _noise(windows: NDArray[np.float32]) -> float:
    # Immerkær's mask is the second difference along both sides; edges cancel in it.
    bends = np.diff(np.diff(windows, 2, axis=1), 2, axis=2)
    deviations = math.sqrt(math.pi / 2) / 6 * np.abs(bends).mean(axis=(1, 2))
    return float(np.quantile(deviations, 0.25))


def _colourfulness(rgb: NDArray[np.uint8]) -> float:
    red, green, blue = (rgb[..., channel].astype(np.float32) for channel in range(3))
    opponents = (red - green, (red + green) / 2 - blue)
    deviation = math.hypot(*(float(each.std()) for each in opponents))
    return deviation + 0.3 * math.hypot(*(float(each.mean()) for each in opponents))
