"""Cut photos into square HR crops, and decide which photos are held out for evaluation."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from srgan.config import DataConfig
from srgan.data.tables import Split
from srgan.resize.arrays import imresize


def windows(height: int, width: int, size: int) -> list[tuple[int, int]]:
    """Upper left corners ``(y, x)`` of a grid of `size` × `size` windows that covers the photo.

    Windows do not overlap, except the last of each row and column: it is flush with the edge, so
    nothing is lost. A photo smaller than `size` on either side is a `ValueError`.
    """
    if min(height, width) < size:
        raise ValueError(f"no window of {size} pixels fits into {height} × {width}")
    return [(y, x) for y in _starts(height, size) for x in _starts(width, size)]


def cut(pixels: NDArray[np.uint8], size: int) -> Iterator[NDArray[np.uint8]]:
    """Views ``(size, size, 3)`` of an RGB photo ``(H, W, 3)``, in the order of `windows`."""
    for y, x in windows(pixels.shape[0], pixels.shape[1], size):
        yield pixels[y : y + size, x : x + size]


def cut_pairs(
    hr: NDArray[np.uint8], lr: NDArray[np.uint8], size: int, scale: int
) -> Iterator[NDArray[np.uint8]]:
    """Crops of HR (H, W, 3) with the same places of LR (H / scale, W / scale, 3), joined."""
    for y, x in windows(hr.shape[0], hr.shape[1], size):
        top, left, side = y // scale, x // scale, size // scale
        yield join_pair(hr[y : y + size, x : x + size], lr[top : top + side, left : left + side])


def join_pair(hr: NDArray[np.uint8], lr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The row of a pair in a shard: the values of HR (P, P, 3), then those of LR (p, p, 3).

    In one row, so that neither can be stored, fetched, moved or deleted without the other.
    """
    return np.concatenate([hr.ravel(), lr.ravel()])


def split_pair(
    row: NDArray[np.uint8], size: int, scale: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """HR (P, P, 3) and LR (p, p, 3) of a row, as views."""
    side, num_values = size // scale, size * size * 3
    return row[:num_values].reshape(size, size, 3), row[num_values:].reshape(side, side, 3)


def row_shape(config: DataConfig, *, pairs: bool) -> tuple[int, ...]:
    """Shape of one row of a shard: a crop (P, P, 3), or the values of a pair."""
    size, side = config.crop_size, config.crop_size // config.scale
    return (3 * (size * size + side * side),) if pairs else (size, size, 3)


def cut_shrunk(
    pixels: NDArray[np.uint8], size: int, shrunk: Sequence[float]
) -> Iterator[NDArray[np.uint8]]:
    """Crops of a photo and, for each factor in `shrunk`, of the photo made smaller by it.

    A result smaller than a crop is left out; if the photo itself is, that is a `ValueError`.
    """
    yield from cut(pixels, size)
    for factor in shrunk:
        smaller = imresize(pixels, scale=factor)
        if min(smaller.shape[:2]) >= size:
            yield from cut(smaller, size)


def training_crops(pixels: NDArray[np.uint8], config: DataConfig) -> Iterator[NDArray[np.uint8]]:
    """Crops of a photo for training: at all its sizes, and with detail if the config asks for it.

    If no crop has as much detail as `config.least_detail`, the one with the most is kept.
    """
    crops = cut_shrunk(pixels, config.crop_size, config.shrunk)
    if not config.least_detail:
        yield from crops
        return
    richest: tuple[float, NDArray[np.uint8] | None] = (-1.0, None)
    found = False
    for crop in crops:
        amount = detail(crop, config.scale)
        if amount >= config.least_detail:
            found = True
            yield crop
        elif amount > richest[0]:
            richest = (amount, crop)
    if not found and richest[1] is not None:
        yield richest[1]


def detail(crop: NDArray[np.uint8], scale: int) -> float:
    """Loss of a crop (P, P, 3) that bicubic shrinks and enlarges by `scale`: RMS in levels.

    Computed from whole numbers, so that every machine leaves out the same crops.
    """
    restored = imresize(imresize(crop, scale=1 / scale), scale=scale)
    lost = crop.astype(np.int64) - restored
    return math.sqrt(int((lost * lost).sum()) / lost.size)


def _starts(length: int, size: int) -> list[int]:
    starts = list(range(0, length - size + 1, size))
    if starts[-1] != length - size:
        starts.append(length - size)
    return starts


_DIGITS = 16


def side(pixels: str, eval_share: float) -> Split:
    """Side of one photo by the digest of its pixels (hex), whatever its file is called."""
    position = int(pixels[:_DIGITS], 16) / 16**_DIGITS
    return "eval" if position < eval_share else "train"


def assign(
    photos: Iterable[str], inherited: Mapping[str, Split], eval_share: float
) -> dict[str, Split]:
    """Assign a side to each photo so that neither side is empty; `photos` are two digests or more.

    Photos of the previous version keep their side. An empty eval side takes the photo with the
    lowest digest, an empty train side the one with the highest; new photos move first, because a
    photo that was trained on is a poor test.
    """
    splits = {each: inherited.get(each) or side(each, eval_share) for each in photos}
    assert len(splits) >= 2
    movable = [each for each in splits if each not in inherited] or list(splits)
    if "eval" not in splits.values():
        splits[min(movable)] = "eval"
    elif "train" not in splits.values():
        splits[max(movable)] = "train"
    return splits
