"""Which square windows of a photo become HR crops."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from srgan.resize import imresize


def windows(height: int, width: int, size: int) -> list[tuple[int, int]]:
    """Upper left corners ``(y, x)`` of a grid of `size` × `size` windows that covers the photo.

    Windows do not overlap, except the last of each row and column: it is flush with the edge, so
    nothing is cut away. A photo smaller than `size` on either side is a `ValueError`.
    """
    if min(height, width) < size:
        raise ValueError(f"no window of {size} pixels fits into {height} × {width}")
    return [(y, x) for y in _starts(height, size) for x in _starts(width, size)]


def cut(pixels: NDArray[np.uint8], size: int) -> Iterator[NDArray[np.uint8]]:
    """Views ``(size, size, 3)`` of an RGB photo ``(H, W, 3)``, in the order of `windows`."""
    for y, x in windows(pixels.shape[0], pixels.shape[1], size):
        yield pixels[y : y + size, x : x + size]


def cut_shrunk(
    pixels: NDArray[np.uint8], size: int, shrunk: Sequence[float]
) -> Iterator[NDArray[np.uint8]]:
    """Crops of a photo and, for each factor in `shrunk`, of the photo made smaller by it.

    What is then smaller than a crop is left out; the photo itself must not be (`ValueError`).
    """
    yield from cut(pixels, size)
    for factor in shrunk:
        smaller = imresize(pixels, scale=factor)
        if min(smaller.shape[:2]) >= size:
            yield from cut(smaller, size)


def _starts(length: int, size: int) -> list[int]:
    starts = list(range(0, length - size + 1, size))
    if starts[-1] != length - size:
        starts.append(length - size)
    return starts
