"""A 64-bit hash of how a photo looks: near-duplicates have nearly the same one.

The signs of the 64 lowest frequencies of a discrete cosine transform (without the mean) of the
photo's luma, shrunk to 32×32 by the mean of areas (pHash, Zauner 2010, with signs instead of a
median). Another size or aspect, JPEG, gray instead of colour, other brightness and an edge cut
away change few of them. The look of a mirrored or turned photo follows from its own: a flip changes
the sign of odd frequencies, a transposition their place. A large crop is not seen.
"""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

NEAR = 8
"""Bits in which two hashes differ at most for the same picture. Two unrelated photos come as near
with a probability of 3·10⁻¹⁰ (64 tosses of a coin, at most 8 of them heads), in any of eight turns
with 2·10⁻⁹."""

_SIDE = 32
_BITS = 64
_LUMA = np.array([0.299, 0.587, 0.114])
_MIN_CONTRAST = 2.0
"""Deviation in levels of 255 below which there is nothing to recognise."""


def look_of(pixels: NDArray[np.uint8]) -> str:
    """16 hex digits of a photo uint8 (H, W, 3) or (H, W); "" where it shows nothing (a flat one).

    Equal looks are no equal photos; `NEAR` says how much they mean.
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
    """Looks of the eight flips and quarter turns of a photo, first of the photo itself."""
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
    """In how many bits each of `looks` differs from each of `others`, (len, len); none is ""."""
    mine, theirs = (
        np.array([int(look, 16) for look in each], np.uint64) for each in (looks, others)
    )
    apart: NDArray[np.uint8] = np.bitwise_count(mine[:, None] ^ theirs[None, :])
    return apart


def _shrink(values: NDArray[np.uint8] | NDArray[np.float64]) -> NDArray[np.float64]:
    """(length, …) → (32, …): each row the mean of its share of rows, parts of rows included.

    One share after the other: a whole photo in floats would be many times the photo.
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
