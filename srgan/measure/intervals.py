"""Confidence intervals: how far the mean difference of two models may be off.

Both models are measured on the same crops, so the differences have the interval and not the
figures: what makes a crop hard for both models cancels out. The unit is the photo: its crops
resemble each other and are not independent evidence. An interval covers the choice of photos of
this kind and nothing else: neither another training seed nor another kind of photo.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from srgan.refs import Ref

CONFIDENCE = 0.95
MIN_PHOTOS = 6
"""Photos that an interval needs at least."""
MIN_RATERS = 3
"""Raters that an interval of opinions needs at least."""
_ROUNDING = 1 / 12
"""Variance of rounding to whole scores, which equal scores do not show."""
_EXACT = 20
"""Most photos whose choices of signs are all counted: a million."""
_MIN_DRAWS, _DRAWS_AT_ONCE = 2**14, 2**14


class Interval(Ref):
    """A mean and its confidence interval, of 95 % unless another confidence was asked for."""

    mean: float
    low: float
    high: float


def paired_interval(
    differences: Sequence[float], photos: Sequence[str], confidence: float = CONFIDENCE
) -> Interval | None:
    """Interval of the mean over photos of `differences`; `photos` names the photo of each crop.

    Student's t on the photos' means. It is exact for normal differences, and errs less often than
    stated with heavy tails. With light tails and few photos it errs more often, above all at a high
    confidence: 99.83 % become 98.2 % for 6 photos whose differences have two humps. `sign_flip_p`
    does not. None with fewer than `MIN_PHOTOS` photos or a difference that is not finite.
    """
    means = photo_means(differences, photos)
    if len(means) < MIN_PHOTOS or not np.isfinite(means).all():
        return None
    mean, half = float(means.mean()), float(half_width(means, confidence))
    return Interval(mean=mean, low=mean - half, high=mean + half)


def photo_means(differences: Sequence[float], photos: Sequence[str]) -> NDArray[np.float64]:
    """Mean of each photo over its crops, so that one of many crops counts as one of few."""
    values = np.asarray(differences, np.float64)
    assert values.shape == (len(photos),), f"{len(values)} differences of {len(photos)} crops"
    _, photo_of = np.unique(np.asarray(photos), return_inverse=True)
    return np.asarray(np.bincount(photo_of, values) / np.bincount(photo_of))


def sign_flip_p(means: NDArray[np.float64], error: float) -> float:
    """One-sided p-value of the photos' finite `means` being above 0 (Fisher's randomization test).

    Differences of two equal models are as often positive as negative, photo by photo. So it is the
    share of all choices of their signs whose sum is at least the one that was found, and holds for
    every symmetric distribution and any number of photos. It is counted for up to 20 photos. With
    more it is drawn, by a fixed seed and at least 10 / `error` times: `error` is what it may be.
    """
    # A sum is at least as large where what changes its sign adds up to 0 or less.
    slack = 1e-12 * float(np.abs(means).sum())
    if len(means) <= _EXACT:
        sums = np.zeros(1)
        for value in means:
            sums = np.concatenate([sums, sums + value])
        return float((sums <= slack).mean())
    rng = np.random.default_rng(len(means))
    draws = max(_MIN_DRAWS, int(10 / error))
    found = 1  # the choice of signs that was found
    for first in range(0, draws, _DRAWS_AT_ONCE):
        flipped = rng.integers(0, 2, (min(_DRAWS_AT_ONCE, draws - first), len(means)), np.int8)
        found += int((flipped @ means <= slack).sum())
    return found / (draws + 1)


def fewest_photos(error: float) -> int:
    """Fewest photos that can have a `sign_flip_p` of at most `error`: all of them are a gain."""
    return max(MIN_PHOTOS, math.ceil(-math.log2(error)))


def half_width(means: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    """Half the width of the interval of the mean over the last axis, the photos."""
    num_photos = means.shape[-1]
    error = means.std(axis=-1, ddof=1) / num_photos**0.5
    return np.asarray(quantile(num_photos - 1, confidence) * error)


def crossed_interval(values: ArrayLike, images: ArrayLike, raters: ArrayLike) -> Interval | None:
    """95 % interval of the mean over ratings `values`, for other images and other people.

    Raters who agree are not independent evidence, however many images they rated. So the variance
    of the mean is the one between images plus the one between raters, each from the sums of
    residuals as for clusters, less the noise of single ratings, which is in both (Cameron, Gelbach
    and Miller 2011, "Robust inference with multiway clustering"). It is not smaller than the larger
    of the two, nor than what rounding to whole scores leaves open: equal scores are not certainty.
    `images` are photos, because crops of one resemble each other. Student's t has the degrees of
    freedom of the fewer of the two. In 500 simulated studies it holds the truth in 95 to 96 %, and
    in more with few raters or images (`python -m benchmarks.mos coverage`). None with fewer than
    `MIN_PHOTOS` images or `MIN_RATERS` raters.
    """
    scores = np.asarray(values, np.float64)
    groups = [np.unique(np.asarray(each), return_inverse=True)[1] for each in (images, raters)]
    num_images, num_raters = (len(set(each.tolist())) for each in groups)
    if num_images < MIN_PHOTOS or num_raters < MIN_RATERS:
        return None
    mean = float(scores.mean())
    residuals = scores - mean
    between = [_variance_between(residuals, each) for each in groups]
    noise = variance_parts(scores, *groups)[2] / len(scores)
    variance = max(sum(between) - max(noise, 0), *between, _ROUNDING / len(scores))
    half = quantile(min(num_images, num_raters) - 1, CONFIDENCE) * variance**0.5
    return Interval(mean=mean, low=mean - half, high=mean + half)


def variance_parts(
    values: NDArray[np.float64], image_of: NDArray[np.intp], rater_of: NDArray[np.intp]
) -> tuple[float, float, float]:
    """Variances between images, between raters and of the rest, by the method of moments.

    Two values of one image share its part, two of one rater share theirs, and nothing else. A
    variance of which nothing is known (no image has two values) is part of the rest; estimates may
    be a little below 0.
    """
    residuals = values - values.mean()
    total = float((residuals**2).sum())
    parts = []
    for group_of in (image_of, rater_of):
        counts, sums = np.bincount(group_of), np.bincount(group_of, residuals)
        pairs = float((counts * (counts - 1)).sum())
        parts.append((float((sums**2).sum()) - total) / pairs if pairs else 0.0)
    return parts[0], parts[1], total / len(values) - sum(max(each, 0) for each in parts)


def _variance_between(residuals: NDArray[np.float64], group_of: NDArray[np.intp]) -> float:
    """Variance of the mean if only the groups are independent of each other."""
    sums = np.bincount(group_of, residuals)
    return float((sums**2).sum()) / len(residuals) ** 2 * len(sums) / (len(sums) - 1)


def quantile(freedom: int, confidence: float) -> float:
    """Return the quantile of Student's t that leaves half of the error on each side."""
    from scipy.special import stdtrit  # half a second, and most commands need no interval

    return float(stdtrit(freedom, (1 + confidence) / 2))
