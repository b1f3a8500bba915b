"""Paired bootstrap: how far the mean difference of two models may be off, by the photos at hand.

Both models are measured on the same crops, so their differences are resampled, not their figures:
what makes a crop hard for both cancels out. Whole photos are drawn, with all of their crops:
crops of one photo resemble each other and are no independent evidence. The interval is the 2.5th
to the 97.5th percentile of the means of the draws. It counts what other photos of this kind would
change, and nothing else: neither another seed of the training nor another kind of photo. With
fewer than about ten photos such intervals are known to be too narrow.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from srgan.refs import Ref

CONFIDENCE = 0.95
_RESAMPLES = 10_000
_DRAWS_AT_ONCE = 2_000_000  # 16 MB each of indices, sums and counts


class Interval(Ref):
    """A mean and where it lies with 95 % confidence."""

    mean: float
    low: float
    high: float


def paired_interval(differences: Sequence[float], photos: Sequence[str]) -> Interval:
    """Interval of the mean over crops of `differences`; `photos` names the photo of each crop.

    The same input always gives the same interval, and the order of the crops does not count.
    `ValueError` for fewer than two photos, of which nothing can be said, and for what is not
    finite.
    """
    values = np.asarray(differences, np.float64)
    if values.shape != (len(photos),) or not np.isfinite(values).all():
        raise ValueError(
            f"expected one finite difference for each of {len(photos)} crops, got {values}"
        )
    names, photo_of = np.unique(np.asarray(photos), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"an interval needs at least two photos, got {len(names)}")
    sums = np.bincount(photo_of, values).astype(np.float64)
    counts = np.bincount(photo_of).astype(np.float64)
    low, high = np.quantile(
        _resampled_means(sums, counts), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    )
    return Interval(mean=float(sums.sum() / counts.sum()), low=float(low), high=float(high))


def crossed_interval(
    values: Sequence[float], images: Sequence[str], raters: Sequence[str]
) -> Interval:
    """Interval of the mean over ratings `values`, by other images and other people.

    Images and raters are drawn at once, each with replacement, and a rating counts as often as
    both were drawn (Owen 2007, "The pigeonhole bootstrap"): those who judge alike are no
    independent evidence, whatever the number of images. A single rater is kept as he is. A draw
    in which none of the ratings is left is left out.

    `ValueError` for fewer than two images.
    """
    scores = np.asarray(values, np.float64)
    (image_names, image_of), (rater_names, rater_of) = (
        np.unique(np.asarray(each), return_inverse=True) for each in (images, raters)
    )
    if len(image_names) < 2:
        raise ValueError(f"an interval needs at least two images, got {len(image_names)}")
    rng = np.random.default_rng(0)
    at_once = max(1, _DRAWS_AT_ONCE // len(scores))
    means = []
    for first in range(0, _RESAMPLES, at_once):
        draws = min(at_once, _RESAMPLES - first)
        weights = _drawn(rng, draws, len(image_names))[:, image_of]
        weights = weights * _drawn(rng, draws, len(rater_names))[:, rater_of]
        total = weights.sum(axis=1)
        means.append((weights @ scores)[total > 0] / total[total > 0])
    low, high = np.quantile(np.concatenate(means), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(mean=float(scores.mean()), low=float(low), high=float(high))


def _drawn(rng: np.random.Generator, draws: int, count: int) -> NDArray[np.float64]:
    """How often each of `count` is drawn, (draws, count)."""
    return rng.multinomial(count, np.full(count, 1 / count), draws).astype(np.float64)


def _resampled_means(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the crops of each draw of as many photos as there are, with replacement."""
    rng = np.random.default_rng(0)
    at_once = max(1, _DRAWS_AT_ONCE // len(sums))
    means = []
    for first in range(0, _RESAMPLES, at_once):
        size = (min(at_once, _RESAMPLES - first), len(sums))
        drawn = rng.integers(0, len(sums), size)
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(means)
