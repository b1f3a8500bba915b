"""Details from every method side by side, because figures do not replace the eye."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.measuring import Method
from benchmarks.quality.photos import pair_of
from srgan.images import strip
from srgan.images.files import find_photos, read_photo

_WINDOW = 96
_ZOOM = 2
_MAX_PHOTOS = 4


def draw_strips(folder: Path, methods: Mapping[str, Method], out: Path) -> list[Path]:
    """Write a PNG for each of the first few photos: its busiest window by every method."""
    paths = []
    for path in list(find_photos(folder).values())[:_MAX_PHOTOS]:
        pair = pair_of(path.stem, read_photo(path))
        window = _busiest(pair.hr.rgb)
        columns = [(name, _zoom(method(pair.lr).rgb[window])) for name, method in methods.items()]
        columns.append(("original", _zoom(pair.hr.rgb[window])))
        target = out / f"strip-{path.stem}.png"
        target.write_bytes(strip(columns))
        paths.append(target)
    return paths


def _busiest(rgb: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Find the window with the strongest edges in the original, which favours no method."""
    down, right = np.gradient(rgb.mean(axis=2))
    sums = np.pad((down**2 + right**2).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    side = min(_WINDOW, *rgb.shape[:2])
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(int(total.argmax()), total.shape)
    return slice(int(top), int(top) + side), slice(int(left), int(left) + side)


def _zoom(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat pixels, because smoothing would hide them."""
    return image.repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1)
