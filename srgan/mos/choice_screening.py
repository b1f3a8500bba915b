"""Screening of raters who compare pairs: the signs of `screening`, for choices."""

import numpy as np

from srgan.mos.columns import LEFT, OUTCOMES, RIGHT, SAME, Choices
from srgan.mos.preferences import fit, tally_of
from srgan.mos.screening import (
    MIN_CONSISTENCY,
    MIN_RATERS,
    MIN_REPEATS,
    Reasons,
    Signs,
    gathered,
    straight_lines,
    too_fast,
)

MIN_SHARE_ABOVE_CHANCE = 0.5
"""How far above one half a rater agrees with the others on clear pairs, as a share of the median
rater's."""
_CLEAR = 1.0
"""Difference of strengths at which 73 % of those who choose agree."""
_MIN_CHOICES = 15


def screen_choices(choices: Choices) -> Reasons:
    """Return the raters whose choices should not count, with every reason found.

    Takes repeats too.
    """
    return gathered(
        too_fast(choices),
        straight_lines(choices, choices.outcome, OUTCOMES),
        _repeats(choices),
        _disagreement(choices),
    )


def _repeats(choices: Choices) -> Signs:
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


def _disagreement(choices: Choices) -> Signs:
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
