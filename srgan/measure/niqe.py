"""NIQE (Mittal, Soundararajan & Bovik 2013): how far an image's statistics are from photographs'.

Without an original, so it says how natural an image looks, not how true it is. Luma is normalised
by its local mean and deviation; in blocks of 96 pixels, and again at half the size, the shapes of
the distributions of the values and of products of neighbours are 36 features. NIQE is the distance
of their mean and covariance from those of photographs, which `niqe_parameters.npz` holds:
``benchmarks/perceptual/niqe_parameters.py`` computed them.
"""

import hashlib
import io
import math
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srgan.config.networks import NIQE
from srgan.errors import CheckpointError
from srgan.images.photo import luma
from srgan.resize.arrays import resample

Pixels = NDArray[np.uint8]
_Floats = NDArray[np.float64]

BLOCK = 96
ENOUGH_BLOCKS = 20
"""Blocks that an image holds at least where its NIQE means something. The covariance of fewer is
hardly known: of crops of 192 pixels an original may have 2.5 times the NIQE of bicubic's image."""
_REACH, _SIGMA = 3, 7 / 6  # of the local mean
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # neighbours whose products are looked at
_SMALLEST = 1e-12  # keeps flat blocks finite
_PARAMETERS_SHA256 = "e79a875f20ffc897d7683353ba25a0b3e0efdfac4cdb228b768baab168bdf2ca"
"""Digest of the parameter file: it decides numbers, so it is part of the code's version."""


class Naturalness:
    """`Distance` named ``niqe``, which does not look at the original; lower is better."""

    name = NIQE
    min_side = BLOCK
    max_pixels = None

    def __call__(self, hr: Pixels, sr: Pixels, *, border: int) -> float:
        """NIQE of `sr`, uint8 (H, W, 3) RGB or (H, W), without `border` pixels on each side.

        `ValueError` for an image of less than `BLOCK` pixels a side. On fewer than `ENOUGH_BLOCKS`
        it is noisy, and often higher for an original than for bicubic's image.
        """
        height, width = sr.shape[:2]
        mean, covariance = statistics_of(
            block_features(sr[border : height - border, border : width - border])
        )
        typical_mean, typical_covariance = _parameters()
        away = typical_mean - mean
        spread = np.linalg.pinv((typical_covariance + covariance) / 2)
        return float(np.sqrt(away @ spread @ away))


def num_blocks(height: int, width: int, *, border: int) -> int:
    """Return how many whole blocks an image holds within its border."""
    return max(height - 2 * border, 0) // BLOCK * (max(width - 2 * border, 0) // BLOCK)


def block_features(image: Pixels, *, least_sharpness: float = 0.0) -> _Floats:
    """Features (blocks, 36) of uint8 (H, W, 3) RGB or (H, W); what no whole block covers is left.

    `least_sharpness` keeps blocks whose mean local deviation is at least this share of the
    sharpest block's, as the parameters were learned.
    """
    if image.dtype != np.uint8 or min(image.shape[:2]) < BLOCK:
        raise ValueError(
            f"NIQE needs a uint8 image of {BLOCK} pixels a side, got {image.dtype} {image.shape}"
        )
    height, width = (side // BLOCK * BLOCK for side in image.shape[:2])
    gray = luma(image) if image.ndim == 3 else image
    levels = gray[:height, :width].astype(np.uint16) * 256  # so that halving hardly rounds
    normalised, deviation = _normalised(levels / 256)
    halved, _ = _normalised(resample(levels, height // 2, width // 2) / 256)
    features = np.concatenate(
        [_features(_blocks(normalised, BLOCK)), _features(_blocks(halved, BLOCK // 2))], axis=1
    )
    sharpness = _blocks(deviation, BLOCK).mean(axis=(1, 2))
    sharp: _Floats = features[sharpness >= least_sharpness * sharpness.max()]
    return sharp


def statistics_of(features: _Floats) -> tuple[_Floats, _Floats]:
    """Mean (36,) and covariance (36, 36) of features (blocks, 36); 0 covariance of one block."""
    if len(features) < 2:
        return features.mean(axis=0), np.zeros((features.shape[1],) * 2)
    return features.mean(axis=0), np.cov(features, rowvar=False)


@cache
def _parameters() -> tuple[_Floats, _Floats]:
    data = resources.files(__package__).joinpath("niqe_parameters.npz").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != _PARAMETERS_SHA256:
        raise CheckpointError(
            f"the installed niqe_parameters.npz has SHA-256 {digest} and should have "
            f"{_PARAMETERS_SHA256}; install srgan again"
        )
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return file["mean"], file["covariance"]


def _normalised(gray: _Floats) -> tuple[_Floats, _Floats]:
    """Values minus their local mean, divided by their local deviation + 1; and that deviation."""
    mean = _blurred(gray)
    deviation = np.sqrt(np.abs(_blurred(gray * gray) - mean * mean))
    return (gray - mean) / (deviation + 1), deviation


def _blurred(gray: _Floats) -> _Floats:
    """Gaussian mean of 7×7, with the border pixels repeated."""
    weights = np.exp(-0.5 * (np.arange(-_REACH, _REACH + 1) / _SIGMA) ** 2)
    weights /= weights.sum()
    height, width = gray.shape
    padded = np.pad(gray, _REACH, mode="edge")
    tall = sum(weight * padded[tap : tap + height] for tap, weight in enumerate(weights))
    wide: Any = sum(weight * tall[:, tap : tap + width] for tap, weight in enumerate(weights))
    result: _Floats = wide
    return result


def _blocks(values: _Floats, side: int) -> _Floats:
    """(H, W) → (blocks, side, side)."""
    rows, columns = values.shape[0] // side, values.shape[1] // side
    return values.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _features(blocks: _Floats) -> _Floats:
    """18 features of each block: two of its values, four of each kind of neighbours' products."""
    shape, _, left, right = _fit(blocks)
    found = [shape, (left + right) / 2]
    for shift in _SHIFTS:
        found += _fit(blocks * np.roll(blocks, shift, axis=(1, 2)))
    return np.stack(found, axis=1)


def _fit(values: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Fit an asymmetric generalised Gaussian to each block by its moments.

    Returns its shape, its mean, and its scales to the left and to the right, each (blocks,).
    """
    values = values.reshape(len(values), -1)
    squares = values * values
    sides = [values < 0, values > 0]
    left, right = (
        np.sqrt((squares * side).sum(axis=1) / np.maximum(side.sum(axis=1), 1)) for side in sides
    )
    ratio = left / np.maximum(right, _SMALLEST)
    peak = np.abs(values).mean(axis=1) ** 2 / np.maximum(squares.mean(axis=1), _SMALLEST)
    peak *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, peaks, scales, means = _table()
    shape = np.interp(peak, peaks, shapes)
    scale = np.interp(shape, shapes, scales)
    left, right = left * scale, right * scale
    return shape, (right - left) * np.interp(shape, shapes, means), left, right


@cache
def _table() -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """For each shape: E|x|² / E x², scale per deviation, and mean per difference of the scales."""
    shapes = np.arange(0.2, 10.001, 0.001)
    one, two, three = (np.array([math.gamma(k / s) for s in shapes]) for k in (1, 2, 3))
    return shapes, two**2 / (one * three), np.sqrt(one / three), two / one
