"""A 64-bit hash of how a photo looks: near-duplicates have nearly the same hash.

The luma is shrunk to 32×32 by area means; the hash is the signs of the 64 lowest frequencies of its
discrete cosine transform, without the mean (pHash, Zauner 2010, with signs instead of a median).
Another size or aspect, JPEG, gray instead of colour, another brightness or a cropped edge change
few bits. The look of a mirrored or turned photo can be computed from the look of the photo: a flip
changes the sign of odd frequencies, a transposition their place. A large crop is not recognised.
"""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

NEAR = 8
"""Hashes of the same picture differ in at most this many bits. Two unrelated photos come as near
with a probability of 3·10⁻¹⁰ (64 coin tosses, at most 8 of them heads), in any of eight turns with
2·10⁻⁹."""

_SIDE = 32
_BITS = 64
_LUMA = np.array([0.299, 0.587, 0.114])
_MIN_CONTRAST = 2.0
"""Standard deviation in levels of 255 below which there is nothing to recognise."""


def look_of(pixels: NDArray[np.uint8]) -> str:
    """Hash a photo, uint8 (H, W, 3) or (H, W), to 16 hex digits; "" for a flat one.

    Different photos may have the same look; `NEAR` states the probability.
    """
    small = _shrink(_shrink(pixels).swapaxes(0, 1)).swapaxes(0, 1)
    small = small @ _LUMA if small.ndim == 3 else small
    if small.std() < _MIN_CONTRAST:
        return ""
    cosines = _cosines()
    spectrum = cosines @ small @ cosines.T
    bits = np.array([spectrum[row, column] > 0 for row, column in _lowest()])
    return np.packbits(bits).tobytes().hex()


def turns_of(look: str) -> list[str]:
    """Looks of the eight flips and quarter turns of a photo, beginning with the photo itself."""
    places = tuple(np.array(_lowest()).T)
    side = max(places[0].max(), places[1].max()) + 1
    signs = np.zeros((side, side), np.uint8)
    signs[places] = np.unpackbits(np.frombuffer(bytes.fromhex(look), np.uint8))
    odd = np.arange(side, dtype=np.uint8) % 2
    return [
        np.packbits((turned ^ down * odd[:, None] ^ right * odd)[places]).tobytes().hex()
        for turned in (signs, signs.T)
        for down in (0, 1)
        for right in (0, 1)
    ]


def bits_apart(looks: list[str], others: list[str]) -> NDArray[np.uint8]:
    """Count the bits in which each look differs from each of `others`: (len, len); none is ""."""
    mine, theirs = (
        np.array([int(look, 16) for look in each], np.uint64) for each in (looks, others)
    )
    apart: NDArray[np.uint8] = np.bitwise_count(mine[:, None] ^ theirs[None, :])
    return apart


def _shrink(values: NDArray[np.uint8] | NDArray[np.float64]) -> NDArray[np.float64]:
    """(length, …) → (32, …): each row is the mean of its share of rows, fractions included.

    One share at a time: a whole photo in floats would take many times its memory.
    """
    edges = np.arange(_SIDE + 1) * len(values) / _SIDE
    means = np.empty((_SIDE, *values.shape[1:]))
    for row, (start, stop) in enumerate(pairwise(edges)):
        first, last = math.floor(start), min(math.ceil(stop), len(values))
        rows = np.arange(first, last)
        weights = np.minimum(rows + 1, stop) - np.maximum(rows, start)
        means[row] = np.tensordot(weights, values[first:last], axes=1) / weights.sum()
    return means


def _cosines() -> NDArray[np.float64]:
    places = np.arange(_SIDE)
    return np.cos(math.pi * (2 * places[None, :] + 1) * places[:, None] / (2 * _SIDE))


def _lowest() -> list[tuple[int, int]]:
    """Rows and columns of the lowest frequencies, diagonal by diagonal, without the mean."""
    every = [(row, column) for row in range(_SIDE) for column in range(_SIDE)]
    return sorted(every, key=lambda place: (sum(place), place[0]))[1 : _BITS + 1]
