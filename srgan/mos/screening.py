"""Screening of raters: who did not do the task, and by what it shows.

Each sign is looked for by itself, and one is enough. The limits are those of the recommendations
where they have one, and otherwise such that honest raters pass (docs/mos.md has the simulations).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from srgan.mos.columns import Columns, Index, Numbers, columns_of, means
from srgan.mos.ratings import LOW_ANCHOR, REFERENCE, Preference, Rating

MIN_SECONDS = 0.5
"""Median time to a rating; nobody looks at an image and answers in less."""
MAX_ONE_ANSWER = 0.9
"""Share of a rater's most frequent answer, where the median rater's is below `MAX_USUAL_ANSWER`."""
MAX_USUAL_ANSWER = 0.75
MIN_ANCHORS_IN_ORDER = 0.75
"""Share of images on which the original has to be scored above the lowest anchor."""
MIN_CONSISTENCY = 0.0
"""Agreement with oneself in repeats, Cohen's kappa with linear weights; 0 is that of chance."""
MAX_SHARE_OF_DISTANCE = 1.5
"""Mean distance of a rater's repeats from the first scores, as a share of the median rater's. Both
limits have to be passed, because a few repeats of similar images are often at chance."""
MIN_AGREEMENT = 0.75
"""Correlation with the mean of the others, over stimuli, that is always enough: ITU-T P.913's limit
of screening by Pearson's correlation, which P.910 (2023) took over with the rest of P.913."""
MIN_SHARE_OF_AGREEMENT = 0.55
"""The same as a share of the median rater's correlation. It is lower than 0.75 in a study of
similar methods, where nobody agrees that well."""

MIN_RATERS = 4
"""Raters that a comparison with the others takes."""
_MIN_RATINGS = 10
"""Ratings that a rater needs before they say something about them."""
MIN_REPEATS = 10
_MIN_ANCHORS = 4

Reasons = dict[str, tuple[str, ...]]
"""Rejected raters, each with the reasons."""
Signs = Iterator[tuple[str, str]]
"""Raters with one reason each."""


def screen(ratings: Sequence[Rating]) -> Reasons:
    """Return the raters whose ratings should not count, with every reason found."""
    columns = columns_of(ratings)
    return gathered(
        too_fast(ratings),
        straight_lines((each.rater, each.score) for each in ratings),
        _anchors(columns),
        _repeats(ratings),
        _disagreement(columns),
        _outliers(columns),
    )


def without(ratings: Iterable[Rating], rejected: Iterable[str]) -> list[Rating]:
    """Leave out the ratings of rejected raters."""
    names = set(rejected)
    return [each for each in ratings if each.rater not in names]


def gathered(*signs: Signs) -> Reasons:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for sign in signs:
        for rater, reason in sign:
            found[rater].append(reason)
    return {rater: tuple(found[rater]) for rater in sorted(found)}


def too_fast(judgements: Iterable[Rating | Preference]) -> Signs:
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for each in judgements:
        if each.seconds is not None:
            seconds[each.rater].append(each.seconds)
    for rater, times in seconds.items():
        if len(times) >= _MIN_RATINGS and (median := float(np.median(times))) < MIN_SECONDS:
            yield rater, f"too fast: half of the answers took less than {median:.2f} s"


def straight_lines(answers: Iterable[tuple[str, object]]) -> Signs:
    """One answer nearly always, where most raters have several; takes raters with their answers."""
    counts: defaultdict[str, Counter[object]] = defaultdict(Counter)
    for rater, answer in answers:
        counts[rater][answer] += 1
    shares = {rater: max(each.values()) / each.total() for rater, each in counts.items()}
    if not shares or np.median(list(shares.values())) >= MAX_USUAL_ANSWER:
        return
    for rater, share in shares.items():
        if counts[rater].total() >= _MIN_RATINGS and share >= MAX_ONE_ANSWER:
            ((answer, _),) = counts[rater].most_common(1)
            yield rater, f"straight-lining: {share:.0%} of the answers are {answer}"


def _anchors(ratings: Columns) -> Signs:
    """The original and the worst image are not told apart."""
    if not {LOW_ANCHOR, REFERENCE} <= set(ratings.methods):
        return
    low, high = (
        ratings.only(ratings.method == ratings.methods.index(name))
        for name in (LOW_ANCHOR, REFERENCE)
    )
    scores = {(r, i): s for r, i, s in zip(low.rater, low.image, low.score, strict=True)}
    in_order: defaultdict[int, list[bool]] = defaultdict(list)
    for rater, image, score in zip(high.rater, high.image, high.score, strict=True):
        if (rater, image) in scores:
            in_order[rater].append(bool(score > scores[rater, image]))
    for rater, each in in_order.items():
        if len(each) >= _MIN_ANCHORS and np.mean(each) < MIN_ANCHORS_IN_ORDER:
            yield (
                ratings.raters[rater],
                f"anchors: {REFERENCE} is scored above {LOW_ANCHOR} on {sum(each)} of "
                f"{len(each)} images",
            )


def _repeats(ratings: Sequence[Rating]) -> Signs:
    """The second rating of an image says little about the first."""
    again = {(each.rater, each.image, each.method): each.score for each in ratings if each.repeat}
    pairs: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for each in ratings:
        key = each.rater, each.image, each.method
        if not each.repeat and key in again:
            pairs[each.rater].append((each.score, again[key]))
    apart = {
        rater: float(np.mean([abs(one - other) for one, other in both]))
        for rater, both in pairs.items()
        if len(both) >= MIN_REPEATS
    }
    for rater, distance in apart.items():
        kappa = _kappa(np.array(pairs[rater]))
        usual = float(np.median(list(apart.values())))
        if kappa < MIN_CONSISTENCY and distance >= MAX_SHARE_OF_DISTANCE * usual:
            yield (
                rater,
                f"repeats: {len(pairs[rater])} images shown twice got scores {distance:.1f} apart "
                f"({usual:.1f} for the median rater), kappa {kappa:.2f}".replace("-", "−"),
            )


def _kappa(pairs: Numbers) -> float:
    """Cohen's kappa with linear weights of scores, shape (n, 2): 1 − observed/expected."""
    first, second = pairs[:, 0], pairs[:, 1]
    by_chance = np.abs(first[:, None] - second[None, :]).mean()
    # Somebody who always gives one score agrees, and it says nothing.
    return float(1 - np.abs(first - second).mean() / by_chance) if by_chance else 1.0


def _disagreement(ratings: Columns) -> Signs:
    """Ratings that do not go up and down with the others', the worst rater first.

    P.913 rejects one rater at a time, because each careless one also spoils the mean that the
    others are compared with.
    """
    left = ratings
    for _ in ratings.raters:
        agreement = _agreement(left)
        known = np.isfinite(agreement)
        if known.sum() < MIN_RATERS:
            return
        median = float(np.median(agreement[known]))
        worst = int(np.nanargmin(agreement))
        limit = min(MIN_AGREEMENT, MIN_SHARE_OF_AGREEMENT * median)
        # Where the median rater agrees with nobody, nobody is known to be wrong.
        if agreement[worst] >= limit or median < MIN_SHARE_OF_AGREEMENT / 2:
            return
        yield (
            ratings.raters[worst],
            f"disagreement: correlation {agreement[worst]:.2f} with the mean of the others, "
            f"{median:.2f} for the median rater".replace("-", "−", 1),
        )
        left = left.only(left.rater != worst)


def _agreement(ratings: Columns) -> Numbers:
    """Correlation of each rater with the mean of the others, shape (raters,); NaN for too few."""
    stimulus, rater, score = ratings.stimulus, ratings.rater, ratings.score
    others = np.bincount(stimulus, minlength=ratings.num_stimuli)[stimulus] - 1
    total = np.bincount(stimulus, score, ratings.num_stimuli)[stimulus] - score
    both = others > 0
    rater, mine, theirs = rater[both], score[both], total[both] / others[both]
    num = len(ratings.raters)
    mine = mine - means(mine, rater, num)[rater]
    theirs = theirs - means(theirs, rater, num)[rater]
    covariance, one, other = (
        np.bincount(rater, product, num) for product in (mine * theirs, mine**2, theirs**2)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        found = covariance / np.sqrt(one * other)
    found[np.bincount(rater, minlength=num) < _MIN_RATINGS] = np.nan
    return np.asarray(found)


def _outliers(ratings: Columns) -> Signs:
    """Observers far from the mean as often above as below it: ITU-R BT.500-15, screening.

    A stimulus has normal ratings if their kurtosis is 2 to 4; far is 2 standard deviations for
    those and √20 for others. More than 5 % far, and the two sides within 30 % of each other.
    """
    stimulus, num = ratings.stimulus, ratings.num_stimuli
    mean = means(ratings.score, stimulus, num)
    variance = _variances(ratings.score, stimulus, num)
    deviation = ratings.score - mean[stimulus]
    with np.errstate(invalid="ignore", divide="ignore"):
        kurtosis = means(deviation**4, stimulus, num) / variance**2
    enough = np.bincount(stimulus, minlength=num) >= MIN_RATERS
    far = np.where((kurtosis >= 2) & (kurtosis <= 4), 2, 20**0.5) * np.sqrt(variance)
    counted = (enough & (variance > 0))[stimulus]
    above, below = (
        np.bincount(ratings.rater, counted & (side >= far[stimulus]), len(ratings.raters))
        for side in (deviation, -deviation)
    )
    counts = np.bincount(ratings.rater, minlength=len(ratings.raters))
    for code in np.flatnonzero((counts >= _MIN_RATINGS) & (above + below > 0.05 * counts)):
        if abs(above[code] - below[code]) < 0.3 * (above[code] + below[code]):
            yield (
                ratings.raters[code],
                f"outlier: {above[code]:.0f} scores far above and {below[code]:.0f} far below "
                f"the mean, of {counts[code]}",
            )


def _variances(values: Numbers, group: Index, num_groups: int) -> Numbers:
    """Variance of the values of each group, divided by n − 1; NaN with fewer than two."""
    counts = np.bincount(group, minlength=num_groups)
    deviation = values - means(values, group, num_groups)[group]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.bincount(group, deviation**2, num_groups) / (counts - 1))
