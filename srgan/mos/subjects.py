"""The model of subject bias and inconsistency: what people saw, apart from who they are.

Recommendation ITU-T P.910 (2023), annex E; Z. Li, C. G. Bampis, L. Krasula, L. Janowski and
I. Katsavounidis, "A simple model for subject behavior in subjective experiments", 2020
(arXiv:2004.02067). SUREAL is its authors' implementation.
"""

from dataclasses import dataclass

import numpy as np

from srgan.mos.columns import Columns, Reals, means

_LEAST_INCONSISTENCY = 12**-0.5
"""Standard deviation of rounding to whole scores. A five-point scale does not show a smaller one,
and without the limit a rater who happens to be near the mean would decide alone."""
_SETTLED = 1e-6
_MAX_ROUNDS = 1000


@dataclass(frozen=True)
class Subjects:
    """Maximum-likelihood estimates: a rating is quality + bias + inconsistency · N(0, 1)."""

    quality: Reals
    """Quality of each stimulus, shape (images · methods,), in scores; NaN without ratings."""
    bias: Reals
    """How much higher each rater scores than the mean rater, shape (raters,)."""
    inconsistency: Reals
    """Standard deviation of each rater's noise, shape (raters,); at least 0.29."""


def model_subjects(ratings: Columns) -> Subjects:
    """Estimate by alternating projection, until nothing changes.

    The quality of a stimulus is the mean of its ratings without bias, weighted by 1/inconsistency²:
    a careless rater hardly counts, though nobody is rejected. The mean bias is 0.
    """
    rater, stimulus, score = ratings.rater, ratings.stimulus, ratings.score
    num_raters, num_stimuli = len(ratings.raters), ratings.num_stimuli
    quality = means(score, stimulus, num_stimuli)
    bias = means(score - quality[stimulus], rater, num_raters)
    for _ in range(_MAX_ROUNDS):
        noise = score - quality[stimulus] - bias[rater]
        variance = means(noise**2, rater, num_raters)
        weight = 1 / np.maximum(variance, _LEAST_INCONSISTENCY**2)
        before = quality
        total = np.bincount(stimulus, weight[rater], num_stimuli)
        with np.errstate(invalid="ignore"):
            quality = (
                np.bincount(stimulus, weight[rater] * (score - bias[rater]), num_stimuli) / total
            )
        bias = means(score - quality[stimulus], rater, num_raters)
        shift = np.nanmean(bias)
        bias, quality = bias - shift, quality + shift
        if np.nanmax(np.abs(quality - before)) < _SETTLED:
            break
    return Subjects(quality, bias, np.asarray(weight**-0.5))
