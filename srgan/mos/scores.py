"""Mean opinion scores of methods, how they are spread, and which of them differ."""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from srgan.measure.intervals import Interval, crossed_interval
from srgan.mos.columns import Columns, Reals, by_method, columns_of, means, paired, ranks
from srgan.mos.ratings import Rating
from srgan.refs import Ref

_MAX_FLIPPED = 13
"""Photos up to which every way to give their differences signs is tried."""


class Opinion(Ref):
    """Mean opinion score of a method in one study."""

    mean: float
    interval: Interval | None
    """None with too few images or raters."""
    num_images: int
    num_raters: int
    counts: tuple[int, ...] = ()
    """Ratings of 1, of 2, … of 5."""


class Contrast(Ref):
    """How two methods differ on the images and for the raters that have both."""

    first: str
    second: str
    difference: float
    """Mean of first minus second."""
    interval: Interval | None
    """None with too few images or raters."""
    p: float
    """Probability of so large a difference by chance, after Holm's correction for all pairs."""


def opinions(ratings: Iterable[Rating]) -> dict[str, Opinion]:
    """Return the opinion on each method: anchors first, then names, then versions."""
    return opinions_of(columns_of(ratings).first)


def opinions_of(ratings: Columns) -> dict[str, Opinion]:
    """The same, of columns without repeats."""
    found = {}
    for method, chosen in zip(ratings.methods, by_method(ratings), strict=True):
        score = chosen.score
        if not len(score):
            continue
        found[method] = Opinion(
            mean=float(score.mean()),
            interval=_on_scale(crossed_interval(score, chosen.photos[chosen.image], chosen.rater)),
            num_images=len(np.unique(chosen.image)),
            num_raters=len(np.unique(chosen.rater)),
            counts=tuple(np.bincount(score.astype(np.intp), minlength=6)[1:].tolist()),
        )
    return found


def contrasts(ratings: Columns) -> list[Contrast]:
    """Compare each pair of methods by those who rated both on the same image; without repeats.

    The p-value is that of Wilcoxon's signed-rank test over the photos' mean differences. It is
    about these raters; the interval is about other people too.
    """
    found = []
    of_method, photos = by_method(ratings), ratings.photos
    for first, second in combinations(range(len(ratings.methods)), 2):
        difference, image, rater = paired(of_method[first], of_method[second])
        if len(difference):
            photo = photos[image]
            p = _wilcoxon(means(difference, photo, len(photos)))
            found.append((first, second, difference, photo, rater, p))
    corrected = holm([p for *_, p in found])
    return [
        Contrast(
            first=ratings.methods[first],
            second=ratings.methods[second],
            difference=float(difference.mean()),
            interval=crossed_interval(difference, photo, rater),
            p=p,
        )
        for (first, second, difference, photo, rater, _), p in zip(found, corrected, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (S. Holm 1979): the chance of any false one is kept."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def _on_scale(found: Interval | None) -> Interval | None:
    """End at 1 and 5: no score lies beyond."""
    if found is None:
        return None
    return Interval(mean=found.mean, low=max(1.0, found.low), high=min(5.0, found.high))


def _wilcoxon(of_photo: Reals) -> float:
    """Return the two-sided p-value of mean differences, NaN for photos without one."""
    from scipy.stats import wilcoxon  # a second, and most commands need no test

    known = of_photo[np.isfinite(of_photo)]
    if not known.any():
        return 1.0
    if len(known) <= _MAX_FLIPPED:
        return _signed_ranks(known[known != 0])
    return float(wilcoxon(known).pvalue)


def _signed_ranks(differences: Reals) -> float:
    """The same, exactly and also with ties, by all 2ⁿ ways to give n differences their signs.

    SciPy does it too, in Python, which takes a second for each pair of methods.
    """
    num = len(differences)
    rank = ranks(np.abs(differences))
    signs = 2 * (np.arange(2**num)[:, None] >> np.arange(num) & 1) - 1
    observed = abs(np.sign(differences) @ rank)
    return float(np.mean(np.abs(signs @ rank) >= observed - 1e-9))
