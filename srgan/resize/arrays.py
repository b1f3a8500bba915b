"""MATLAB's bicubic resizing of images in NumPy arrays.

`imresize` is the reference for 8-bit images; `resample` does the same for any size and for 16 bits.
Both take u = (x + 0.5) / scale − 0.5 as the source position of the output pixel x and the cubic
kernel with a = −0.5, widened by 1 / scale if the image shrinks. They mirror the image at its
borders (the border pixel itself is repeated).
"""

import math
from collections.abc import Iterator
from typing import Any, SupportsAbs, TypeVar

import numpy as np
from numpy.typing import NDArray

_BLOCK_VALUES = 2**18  # float64 values per block of rows: few enough to stay in the cache

_Values = TypeVar("_Values", bound=SupportsAbs[Any])


def cubic(distance: _Values) -> _Values:
    """Keys' kernel with a = −0.5, of a floating-point array or tensor, value by value."""
    x: Any = abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights: _Values = near * (x <= 1) + far * ((x > 1) & (x < 2))
    return weights


def _mirror(index: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Mirror indices at the borders: …2 1 0 | 0 1 2…, however far outside they are."""
    index = index % (2 * length)
    return np.where(index < length, index, 2 * length - 1 - index)


def _taps(
    length: int, num_rows: int, scale: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Weights and source rows, both (`num_rows`, taps), of one pass over `length` rows."""
    shrink = min(scale, 1.0)
    reach = 2 / shrink
    centre = (np.arange(num_rows) + 0.5) / scale - 0.5
    first = np.floor(centre - reach).astype(np.int64)
    rows = first[:, None] + np.arange(math.ceil(2 * reach) + 2)
    weights = cubic((centre[:, None] - rows) * shrink)
    weights /= weights.sum(axis=1, keepdims=True)
    used = weights.any(axis=0)
    return weights[:, used], _mirror(rows[:, used], length)


def _resize_rows(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Resize the first axis of (rows, …) and round half up to 8 bits."""
    weights, rows = _taps(image.shape[0], math.ceil(image.shape[0] * scale), scale)
    flat = image.reshape(image.shape[0], -1)
    result = np.empty((len(rows), flat.shape[1]), np.uint8)
    block = max(1, _BLOCK_VALUES // max(1, flat.shape[1]))
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        total = np.full((len(rows[part]), flat.shape[1]), 0.5)
        for tap in range(weights.shape[1]):
            total += weights[part, tap, None] * flat[rows[part, tap]]
        np.floor(total, out=total)
        result[part] = np.clip(total, 0, 255, out=total)
    return result.reshape(len(rows), *image.shape[1:])


def imresize(image: NDArray[np.uint8], *, scale: float) -> NDArray[np.uint8]:
    """Resize a uint8 image (H, W) or (H, W, C) as MATLAB's ``imresize(image, scale)`` does.

    Bicubic with antialiasing when shrinking, symmetric borders, rounded to 8 bits after the
    vertical pass and again after the horizontal one. The result has ceil(scale · side) pixels.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"expected a uint8 image (H, W) or (H, W, C), got {image.dtype} {image.shape}"
        )
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a positive number, got {scale}")
    tall = _resize_rows(image, scale)
    turned = _resize_rows(np.ascontiguousarray(tall.swapaxes(0, 1)), scale)
    return np.ascontiguousarray(turned.swapaxes(0, 1))


def resample(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Resize a uint8 or uint16 image (H, W) or (H, W, C) to any size, in the same type.

    The same operator as `imresize` (bicubic, antialiased where it shrinks, symmetric borders),
    rounded once at the end and not between the passes.
    """
    result = np.empty((height, width, *image.shape[2:]), image.dtype)
    for rows, values in resample_blocks(image, height, width):
        result[rows] = values
    return result


def resample_blocks(
    image: NDArray[Any], height: int, width: int
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield the result some rows at a time with their place, for results larger than memory."""
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"expected a uint8 or uint16 image (H, W) or (H, W, C), got {image.dtype} {image.shape}"
        )
    if min(height, width) < 1:
        raise ValueError(f"height and width must be at least 1, got {height} and {width}")
    num_rows, num_columns = image.shape[:2]
    row_weights, rows = _taps(num_rows, height, height / num_rows)
    column_weights, columns = _taps(num_columns, width, width / num_columns)
    most = np.iinfo(image.dtype).max
    block = max(1, _BLOCK_VALUES // (max(num_columns, width) * math.prod(image.shape[2:])))
    for start in range(0, height, block):
        part = slice(start, start + block)
        tall = _weighted(image, row_weights[part], rows[part])
        wide = _weighted(tall.swapaxes(0, 1), column_weights, columns).swapaxes(0, 1)
        levels = np.clip(np.floor(wide + 0.5), 0, most).astype(image.dtype)
        yield slice(start, start + len(levels)), levels


def _weighted(
    image: NDArray[Any], weights: NDArray[np.float64], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Weighted sums over the taps of the first axis of (rows, …)."""
    total = np.zeros((len(rows), *image.shape[1:]))
    spread = weights.reshape(*weights.shape, *(1 for _ in image.shape[1:]))
    for tap in range(weights.shape[1]):
        total += spread[:, tap] * image[rows[:, tap]]
    return total
