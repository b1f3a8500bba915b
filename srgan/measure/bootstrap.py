"""Bootstrap intervals: how far the mean difference of two models may be off.

Both models are measured on the same crops, so the differences are resampled and not the figures:
what makes a crop hard for both models cancels out. Whole photos are drawn, each with all of its
crops, because crops of one photo resemble each other and are not independent evidence. The interval
goes from the 2.5th to the 97.5th percentile of the means of the draws. It covers the choice of
photos of this kind and nothing else: neither another training seed nor another kind of photo. With
fewer than about ten photos such intervals are known to be too narrow.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from srgan.refs import Ref

CONFIDENCE = 0.95
MIN_PHOTOS = 2
"""Photos that an interval needs at least."""
_RESAMPLES = 10_000
_DRAWS_AT_ONCE = 2_000_000  # 16 MB each of indices, sums and counts


class Interval(Ref):
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


def paired_interval(differences: Sequence[float], photos: Sequence[str]) -> Interval | None:
    """Interval of the mean over crops of `differences`; `photos` names the photo of each crop.

    The same input always gives the same interval, and the order of the crops does not matter. None
    with fewer than `MIN_PHOTOS` photos or a difference that is not finite.
    """
    values = np.asarray(differences, np.float64)
    assert values.shape == (len(photos),), f"{len(values)} differences of {len(photos)} crops"
    names, photo_of = np.unique(np.asarray(photos), return_inverse=True)
    if len(names) < MIN_PHOTOS or not np.isfinite(values).all():
        return None
    sums = np.bincount(photo_of, values).astype(np.float64)
    counts = np.bincount(photo_of).astype(np.float64)
    return _interval(float(sums.sum() / counts.sum()), _resampled_means(sums, counts))


def crossed_interval(
    values: Sequence[float], images: Sequence[str], raters: Sequence[str]
) -> Interval | None:
    """Interval of the mean over ratings `values`, for other images and other people.

    Images and raters are drawn together, each with replacement, and a rating counts as often as
    both of them were drawn (Owen 2007, "The pigeonhole bootstrap"): raters who agree are not
    independent evidence, however many images they rated. A single rater is kept in every draw.
    Draws without any rating are left out. None with fewer than `MIN_PHOTOS` images.
    """
    scores = np.asarray(values, np.float64)
    (image_names, image_of), (rater_names, rater_of) = (
        np.unique(np.asarray(each), return_inverse=True) for each in (images, raters)
    )
    if len(image_names) < MIN_PHOTOS:
        return None
    rng = np.random.default_rng(0)
    at_once = max(1, _DRAWS_AT_ONCE // len(scores))
    means = []
    for first in range(0, _RESAMPLES, at_once):
        draws = min(at_once, _RESAMPLES - first)
        weights = _drawn(rng, draws, len(image_names))[:, image_of]
        weights = weights * _drawn(rng, draws, len(rater_names))[:, rater_of]
        total = weights.sum(axis=1)
        means.append((weights @ scores)[total > 0] / total[total > 0])
    return _interval(float(scores.mean()), np.concatenate(means))


def _interval(mean: float, draws: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(mean=mean, low=float(low), high=float(high))


def _drawn(rng: np.random.Generator, draws: int, count: int) -> NDArray[np.float64]:
    """How often each of `count` is drawn, (draws, count)."""
    return rng.multinomial(count, np.full(count, 1 / count), draws).astype(np.float64)


def _resampled_means(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the crops of each draw; a draw takes as many photos as there are."""
    rng = np.random.default_rng(0)
    at_once = max(1, _DRAWS_AT_ONCE // len(sums))
    means = []
    for first in range(0, _RESAMPLES, at_once):
        size = (min(at_once, _RESAMPLES - first), len(sums))
        drawn = rng.integers(0, len(sums), size)
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(means)
