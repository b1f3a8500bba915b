"""How many raters a study needs before a difference shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from srgan.errors import DataError
from srgan.measure.intervals import CONFIDENCE, MIN_RATERS, quantile, variance_parts
from srgan.mos.columns import by_method, columns_of, paired
from srgan.mos.ratings import Rating

MAX_RATERS = 1000
"""Raters beyond which a plan is not one."""


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the difference of two methods' scores, in scores."""

    images: float = 0.3
    """How much more one method gains on some images than on others, for all people."""
    raters: float = 0.25
    """How much more some people prefer a method than others do, whatever they look at."""
    noise: float = 1.0
    """All that neither explains: two single ratings of 0.7 each."""


def spread_of(ratings: Iterable[Rating]) -> Spread:
    """Estimate the spread from an earlier study: the mean over all pairs of its methods.

    `DataError` if there are fewer than two methods, images or raters.
    """
    columns = columns_of(ratings).first
    differences = [paired(*each) for each in combinations(by_method(columns), 2)]
    # An image or a rater alone says nothing about the others.
    known = [
        variance_parts(*each)
        for each in differences
        if all(0 < len(np.unique(group)) < len(group) for group in each[1:])
    ]
    if not known:
        raise DataError(
            "the ratings do not show how differences are spread: it takes two methods that two "
            "raters have rated on two images"
        )
    images, raters, noise = np.sqrt(np.maximum(np.mean(known, axis=0), 0))
    return Spread(float(images), float(raters), float(noise))


def power(spread: Spread, difference: float, num_images: int, num_raters: int) -> float:
    """Chance that the 95 % interval of a true difference does not reach 0, between 0 and 1.

    Each rater rates both methods on each image.
    """
    from scipy.special import ndtr  # half a second, and most commands need no plan

    variance = (
        spread.images**2 / num_images
        + spread.raters**2 / num_raters
        + spread.noise**2 / (num_images * num_raters)
    )
    shift = difference / variance**0.5
    return float(ndtr(shift - quantile(min(num_images, num_raters) - 1, CONFIDENCE)))


def raters_needed(
    spread: Spread, difference: float, num_images: int, least_power: float
) -> int | None:
    """Fewest raters with at least this power; None if the images alone leave too much open."""
    for num_raters in range(MIN_RATERS, MAX_RATERS + 1):
        if power(spread, difference, num_images, num_raters) >= least_power:
            return num_raters
    return None
