"""Screening of raters: who did not do the task, and by what it shows.

Each sign is looked for by itself, and one is enough. The limits are those of the recommendations
where they have one, and otherwise such that honest raters pass (docs/mos.md has the simulations).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from srgan.mos.columns import (
    LEFT,
    OUTCOMES,
    RIGHT,
    SAME,
    Choices,
    Columns,
    Index,
    Reals,
    means,
    paired,
)
from srgan.mos.preferences import fit, tally_of
from srgan.mos.ratings import LOW_ANCHOR, REFERENCE

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

MIN_SHARE_ABOVE_CHANCE = 0.5
"""How far above one half a rater agrees with the others on clear pairs, as a share of the median
rater's."""
_CLEAR = 1.0
"""Difference of strengths at which 73 % of those who choose agree."""
_MIN_CHOICES = 15

Reasons = dict[str, tuple[str, ...]]
"""Rejected raters, each with the reasons."""
Signs = Iterator[tuple[str, str]]
"""Raters with one reason each."""


def screen(ratings: Columns) -> Reasons:
    """Return the raters whose ratings should not count, with every reason found.

    Takes repeats too.
    """
    first = ratings.first
    return _gathered(
        _too_fast(ratings),
        _straight_lines(ratings, ratings.score.astype(np.intp), ("0", "1", "2", "3", "4", "5")),
        _anchors(first),
        _repeats(ratings),
        _disagreement(first),
        _outliers(first),
    )


def _gathered(*signs: Signs) -> Reasons:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for sign in signs:
        for rater, reason in sign:
            found[rater].append(reason)
    return {rater: tuple(found[rater]) for rater in sorted(found)}


def _too_fast(judged: Columns | Choices) -> Signs:
    measured = np.isfinite(judged.seconds)
    for code in np.unique(judged.rater[measured]):
        times = judged.seconds[measured & (judged.rater == code)]
        if len(times) >= _MIN_RATINGS and (median := float(np.median(times))) < MIN_SECONDS:
            yield (
                judged.raters[code],
                f"too fast: half of the answers took less than {median:.2f} s",
            )


def _straight_lines(judged: Columns | Choices, answer: Index, words: Sequence[str]) -> Signs:
    """One answer nearly always, where most raters have several; `words` names the answers."""
    num = len(judged.raters), len(words)
    counts = np.bincount(judged.rater * num[1] + answer, minlength=num[0] * num[1]).reshape(num)
    total, most = counts.sum(axis=1), counts.max(axis=1, initial=0)
    shares = most / np.maximum(total, 1)
    if not total.any() or np.median(shares[total > 0]) >= MAX_USUAL_ANSWER:
        return
    for code in np.flatnonzero((total >= _MIN_RATINGS) & (shares >= MAX_ONE_ANSWER)):
        word = words[int(counts[code].argmax())]
        yield judged.raters[code], f"straight-lining: {shares[code]:.0%} of the answers are {word}"


def _anchors(ratings: Columns) -> Signs:
    """The original and the worst image are not told apart."""
    if not {LOW_ANCHOR, REFERENCE} <= set(ratings.methods):
        return
    high, low = (
        ratings.only(ratings.method == ratings.methods.index(name))
        for name in (REFERENCE, LOW_ANCHOR)
    )
    difference, _, rater = paired(high, low)
    for code in np.unique(rater):
        in_order = difference[rater == code] > 0
        if len(in_order) >= _MIN_ANCHORS and in_order.mean() < MIN_ANCHORS_IN_ORDER:
            yield (
                ratings.raters[code],
                f"anchors: {REFERENCE} is scored above {LOW_ANCHOR} on {in_order.sum()} of "
                f"{len(in_order)} images",
            )


def _repeats(ratings: Columns) -> Signs:
    """The second rating of an image says little about the first."""
    first, again = ratings.first, ratings.only(ratings.repeat)
    cells, cells_again = (each.rater * each.num_stimuli + each.stimulus for each in (first, again))
    _, one, other = np.intersect1d(cells, cells_again, return_indices=True)
    pairs = np.stack([first.score[one], again.score[other]], axis=1)
    rater = first.rater[one]
    of_rater = {
        code: mine for code in np.unique(rater) if len(mine := pairs[rater == code]) >= MIN_REPEATS
    }
    apart = {code: float(np.abs(np.diff(mine)).mean()) for code, mine in of_rater.items()}
    for code, distance in apart.items():
        kappa = _kappa(of_rater[code])
        usual = float(np.median(list(apart.values())))
        if kappa < MIN_CONSISTENCY and distance >= MAX_SHARE_OF_DISTANCE * usual:
            yield (
                ratings.raters[code],
                f"repeats: {len(of_rater[code])} images shown twice got scores {distance:.1f} "
                f"apart ({usual:.1f} for the median rater), kappa {kappa:.2f}".replace("-", "−"),
            )


def _kappa(pairs: Reals) -> float:
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


def _agreement(ratings: Columns) -> Reals:
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


def _variances(values: Reals, group: Index, num_groups: int) -> Reals:
    """Variance of the values of each group, divided by n − 1; NaN with fewer than two."""
    counts = np.bincount(group, minlength=num_groups)
    deviation = values - means(values, group, num_groups)[group]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.bincount(group, deviation**2, num_groups) / (counts - 1))


def screen_choices(choices: Choices) -> Reasons:
    """Return the raters whose choices should not count, with every reason found.

    Takes repeats too.
    """
    return _gathered(
        _too_fast(choices),
        _straight_lines(choices, choices.outcome, OUTCOMES),
        _choice_repeats(choices),
        _choice_disagreement(choices),
    )


def _choice_repeats(choices: Choices) -> Signs:
    """The second choice between two images says little about the first."""
    num_methods = len(choices.methods)
    low, high = np.minimum(choices.left, choices.right), np.maximum(choices.left, choices.right)
    pair = (choices.image * num_methods + low) * num_methods + high
    cell = choices.rater * (len(choices.images) * num_methods**2) + pair
    better = np.where(choices.outcome == LEFT, choices.left, choices.right)
    # 1 for the method with the lower code and −1 for the other, because sides may have changed.
    sign = np.where(choices.outcome == SAME, 0, np.where(better == low, 1, -1))
    _, one, again = np.intersect1d(
        np.where(choices.repeat, -1, cell),
        np.where(choices.repeat, cell, -2),
        return_indices=True,
    )
    for code in np.unique(choices.rater[one]):
        mine = choices.rater[one] == code
        first, second = sign[one][mine], sign[again][mine]
        same = int((first == second).sum())
        by_chance = float((first[:, None] == second[None, :]).mean())
        if len(first) < MIN_REPEATS or by_chance == 1:
            continue
        kappa = (same / len(first) - by_chance) / (1 - by_chance)
        if kappa < MIN_CONSISTENCY:
            yield (
                choices.raters[code],
                f"repeats: {same} of {len(first)} pairs shown twice got the same answer, "
                f"kappa {kappa:.2f}".replace("-", "−"),
            )


def _choice_disagreement(choices: Choices) -> Signs:
    """On pairs that the strengths of all raters make clear, the choices are near chance."""
    theta = fit(tally_of(choices)).parameters[:-1]
    ahead = theta[choices.left] - theta[choices.right]
    clear = choices.only((np.abs(ahead) >= _CLEAR) & (choices.outcome != SAME))
    expected = np.where(theta[clear.left] > theta[clear.right], LEFT, RIGHT)
    num = len(choices.raters)
    counts = np.bincount(clear.rater, minlength=num)
    agreed = np.bincount(clear.rater, clear.outcome == expected, num)
    shares = {code: agreed[code] / counts[code] for code in np.flatnonzero(counts >= _MIN_CHOICES)}
    if len(shares) < MIN_RATERS:
        return
    median = float(np.median(list(shares.values())))
    for code, share in shares.items():
        if share < 0.5 + MIN_SHARE_ABOVE_CHANCE * (median - 0.5):
            yield (
                choices.raters[code],
                f"disagreement: {share:.0%} of the choices on clear pairs are those of the "
                f"others, {median:.0%} for the median rater",
            )
