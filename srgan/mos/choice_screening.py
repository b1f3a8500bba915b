"""Screening of raters who compare pairs: the signs of `screening`, for choices."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from srgan.mos.columns import place_of
from srgan.mos.preferences import add_choice, empty_tally, fit
from srgan.mos.ratings import Preference
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


def screen_choices(preferences: Sequence[Preference]) -> Reasons:
    """Return the raters whose choices should not count, with every reason found."""
    return gathered(
        too_fast(preferences),
        straight_lines((each.rater, each.choice) for each in preferences),
        _repeats(preferences),
        _disagreement(preferences),
    )


def _repeats(preferences: Sequence[Preference]) -> Signs:
    """The second choice between two images says little about the first."""
    first, again = (
        {
            (each.rater, each.image, frozenset((each.left, each.right))): _better(each)
            for each in preferences
            if each.repeat == repeat
        }
        for repeat in (False, True)
    )
    pairs: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for key in first.keys() & again.keys():
        one = min(key[2])  # any fixed one of the two, because sides may have changed
        pairs[key[0]].append((_sign(first[key], one), _sign(again[key], one)))
    for rater, both in pairs.items():
        same = sum(a == b for a, b in both)
        by_chance = float(np.mean([a == b for a, _ in both for _, b in both]))
        if len(both) < MIN_REPEATS or by_chance == 1:
            continue
        kappa = (same / len(both) - by_chance) / (1 - by_chance)
        if kappa < MIN_CONSISTENCY:
            yield (
                rater,
                f"repeats: {same} of {len(both)} pairs shown twice got the same answer, "
                f"kappa {kappa:.2f}".replace("-", "−"),
            )


def _disagreement(preferences: Sequence[Preference]) -> Signs:
    """On pairs that the strengths of all raters make clear, the choices are near chance."""
    names = sorted({m for each in preferences for m in (each.left, each.right)}, key=place_of)
    code = {name: place for place, name in enumerate(names)}
    tally = empty_tally(len(names))
    for each in preferences:
        add_choice(tally, code[each.left], code[each.right], each.choice)
    theta = fit(tally).parameters[:-1]
    agrees: defaultdict[str, list[bool]] = defaultdict(list)
    for each in preferences:
        ahead = theta[code[each.left]] - theta[code[each.right]]
        if abs(ahead) >= _CLEAR and each.choice != "same":
            agrees[each.rater].append((ahead > 0) == (each.choice == "left"))
    shares = {r: float(np.mean(x)) for r, x in agrees.items() if len(x) >= _MIN_CHOICES}
    if len(shares) < MIN_RATERS:
        return
    median = float(np.median(list(shares.values())))
    for rater, share in shares.items():
        if share < 0.5 + MIN_SHARE_ABOVE_CHANCE * (median - 0.5):
            yield (
                rater,
                f"disagreement: {share:.0%} of the choices on clear pairs are those of the "
                f"others, {median:.0%} for the median rater",
            )


def _better(each: Preference) -> str | None:
    return {"left": each.left, "right": each.right, "same": None}[each.choice]


def _sign(better: str | None, one: str) -> int:
    return 0 if better is None else 1 if better == one else -1
