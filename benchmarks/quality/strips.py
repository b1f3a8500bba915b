"""Details from every method side by side, because figures do not replace the eye."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.measuring import Method
from benchmarks.quality.photos import pair_of
from srgan.images import strip
from srgan.images.files import find_photos, read_photo

NATIVE, ENLARGED = "native", "enlarged"
ZOOM = 3
_WINDOWS = {NATIVE: (192, 1), ENLARGED: (80, ZOOM)}
"""Side of the window in pixels, and how many times its pixels are repeated."""
_MAX_PHOTOS = 4


def draw_strips(folder: Path, methods: Mapping[str, Method], out: Path) -> list[Path]:
    """Write two PNGs for each of the first few photos: its busiest window by every method.

    One shows a large window at native size, as people see it; the other a small one enlarged.
    """
    paths = []
    for path in list(find_photos(folder).values())[:_MAX_PHOTOS]:
        pair = pair_of(path.stem, read_photo(path))
        results = {name: method(pair.lr).rgb for name, method in methods.items()}
        results["original"] = pair.hr.rgb
        for size, (side, zoom) in _WINDOWS.items():
            window = _busiest(pair.hr.rgb, side)
            columns = [(name, _zoom(rgb[window], zoom)) for name, rgb in results.items()]
            target = out / f"strip-{path.stem}-{size}.png"
            target.write_bytes(strip(columns))
            paths.append(target)
    return paths


def _busiest(rgb: NDArray[np.uint8], side: int) -> tuple[slice, slice]:
    """Find the window with the strongest edges in the original, which favours no method."""
    down, right = np.gradient(rgb.mean(axis=2))
    sums = np.pad((down**2 + right**2).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    side = min(side, *rgb.shape[:2])
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(int(total.argmax()), total.shape)
    return slice(int(top), int(top) + side), slice(int(left), int(left) + side)


def _zoom(image: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """Repeat pixels, because smoothing would hide them."""
    return image.repeat(times, axis=0).repeat(times, axis=1)
