"""Strengths of methods from pair comparisons: Bradley–Terry with ties.

R. R. Davidson, "On extending the Bradley-Terry model to accommodate ties in paired comparison
experiments", JASA 65 (1970): with strengths θ the first is better with probability proportional to
exp(θ₁), the second to exp(θ₂), and ``same`` to τ · exp((θ₁ + θ₂) / 2).
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from srgan.measure.intervals import CONFIDENCE, MIN_PHOTOS, MIN_RATERS, Interval, quantile
from srgan.mos.columns import LEFT, OUTCOMES, RIGHT, SAME, Choices, Index, Reals
from srgan.mos.scores import Contrast, holm
from srgan.refs import Ref

_PRIOR_PRECISION = 0.1
"""Each parameter is N(0, √10) before the first choice, or a method that never lost would be
infinitely strong. It is worth less than one choice."""
_SETTLED = 1e-9
_MAX_STEPS = 100


class Strength(Ref):
    """How good a method is beside the others of a study."""

    strength: float
    """θ; 0 is the mean of the methods. 1 more is better in 73 % of the choices that are made."""
    interval: Interval | None
    """None with too few images or raters."""
    num_better: int
    num_same: int
    num_worse: int


@dataclass(frozen=True)
class ChoiceCounts:
    """Choices between k methods."""

    wins: Reals
    """How often the method of the row was better than the one of the column, shape (k, k)."""
    ties: Reals
    """How often they were the same, shape (k, k), symmetric."""


@dataclass(frozen=True)
class Fit:
    """The most likely parameters: k strengths with mean 0, then the logarithm of τ."""

    parameters: Reals
    covariance: Reals
    """Inverse of the information, shape (k + 1, k + 1)."""


def empty_tally(num_methods: int) -> ChoiceCounts:
    return ChoiceCounts(*np.zeros((2, num_methods, num_methods)))


def add_choice(tally: ChoiceCounts, left: int, right: int, choice: str, by: int = 1) -> None:
    """Count one choice between two methods, in place; with `by` −1 take it back."""
    one, other, outcome = (np.array([each]) for each in (left, right, OUTCOMES.index(choice)))
    _add(tally, one, other, outcome, by)


def tally_of(choices: Choices) -> ChoiceCounts:
    """Count choices."""
    tally = empty_tally(len(choices.methods))
    _add(tally, choices.left, choices.right, choices.outcome)
    return tally


def fit(tally: ChoiceCounts, start: Reals | None = None) -> Fit:
    """Maximise the likelihood by Newton's method, which it suits: it has one maximum."""
    first, second, design = _design(len(tally.wins))
    counts = np.stack(
        [tally.wins[first, second], tally.wins[second, first], tally.ties[first, second]], axis=1
    )
    total = counts.sum(axis=1)
    at = np.zeros(design.shape[-1]) if start is None else start
    value = _objective(at, design, counts)
    for _ in range(_MAX_STEPS):
        chance = probabilities(at, design)
        expected = np.einsum("pc,pck->pk", chance, design)
        gradient = np.einsum("pc,pck->k", counts - total[:, None] * chance, design)
        gradient -= _PRIOR_PRECISION * at
        around = design - expected[:, None, :]
        information = np.einsum("p,pc,pck,pcl->kl", total, chance, around, around, optimize=True)
        information += _PRIOR_PRECISION * np.eye(len(at))
        step = np.linalg.solve(information, gradient)
        while (ahead := _objective(at + step, design, counts)) < value - _SETTLED:
            step = step / 2
        at, value = at + step, ahead
        if np.abs(step).max() < _SETTLED:
            break
    return Fit(at, np.linalg.inv(information))


def probabilities(parameters: Reals, design: Reals) -> Reals:
    """Chances of first, second and same for each pair, shape (pairs, 3)."""
    logits = design @ parameters
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))


def compared(choices: Choices) -> tuple[dict[str, Strength], list[Contrast]]:
    """Return the strength of each method, the strongest first, and what differs; without repeats.

    Intervals and p-values are for other photos and other people. Contrasts are the stronger one
    minus the weaker one, corrected by Holm for all pairs; there are none with too few photos or
    raters.
    """
    counted = choices.first
    if not len(counted):
        return {}, []
    tally = tally_of(counted)
    found = fit(tally)
    spread = _spread(counted, found)
    theta = found.parameters[:-1]
    judged = [
        int(k)
        for k in np.argsort(-theta)
        if tally.wins[k].any() or tally.wins[:, k].any() or tally.ties[k].any()
    ]
    each_one = np.eye(len(found.parameters))[:-1]
    each_one[:, :-1] -= 1 / len(theta)  # strengths are relative to their mean
    strengths = {
        counted.methods[k]: Strength(
            strength=float(theta[k]),
            interval=spread and spread.interval(float(theta[k]), each_one[k]),
            num_better=int(tally.wins[k].sum()),
            num_same=int(tally.ties[k].sum()),
            num_worse=int(tally.wins[:, k].sum()),
        )
        for k in judged
    }
    if spread is None:
        return strengths, []
    pairs = list(combinations(judged, 2))
    differences = [float(theta[one] - theta[other]) for one, other in pairs]
    weights = [each_one[one] - each_one[other] for one, other in pairs]
    corrected = holm([spread.p(d, w) for d, w in zip(differences, weights, strict=True)])
    return strengths, [
        Contrast(
            first=counted.methods[one],
            second=counted.methods[other],
            difference=difference,
            interval=spread.interval(difference, weight),
            p=p,
        )
        for (one, other), difference, weight, p in zip(
            pairs, differences, weights, corrected, strict=True
        )
    ]


def pairs_of(num_methods: int) -> tuple[Index, Index]:
    """Each pair of methods once, as first and second."""
    first, second = np.triu_indices(num_methods, 1)
    return first, second


def _design(num_methods: int) -> tuple[Index, Index, Reals]:
    """Return the pairs, and what each outcome's logit takes of each parameter."""
    first, second = pairs_of(num_methods)
    place = np.arange(len(first))
    design = np.zeros((len(first), 3, num_methods + 1))
    design[place, 0, first] = 1
    design[place, 1, second] = 1
    design[place, 2, first] = design[place, 2, second] = 0.5
    design[:, 2, -1] = 1
    return first, second, design


def _objective(at: Reals, design: Reals, counts: Reals) -> float:
    logits = design @ at
    top = logits.max(axis=1, keepdims=True)
    log_chance = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    return float((counts * log_chance).sum() - _PRIOR_PRECISION / 2 * (at**2).sum())


def _add(tally: ChoiceCounts, left: Index, right: Index, outcome: Index, by: int = 1) -> None:
    """Count choices of shape (n,), in place; each as `by`."""
    for one, other, code in ((left, right, LEFT), (right, left, RIGHT)):
        np.add.at(tally.wins, (one[outcome == code], other[outcome == code]), by)
        np.add.at(tally.ties, (one[outcome == SAME], other[outcome == SAME]), by)


@dataclass(frozen=True)
class _Spread:
    """Covariances of the parameters, shape (k + 1, k + 1), for other photos and other people."""

    by_photo: Reals
    by_rater: Reals
    by_choice: Reals
    """Noise of single choices, which is part of both."""
    of_model: Reals
    """The least that it can be: choices are independent and follow the model exactly."""
    freedom: int

    def interval(self, value: float, weights: Reals) -> Interval:
        """95 % interval of a weighted sum of parameters, which is `value`."""
        half = quantile(self.freedom, CONFIDENCE) * self._error(weights)
        return Interval(mean=value, low=value - half, high=value + half)

    def p(self, value: float, weights: Reals) -> float:
        """Two-sided p-value of the weighted sum against 0."""
        from scipy.special import stdtr  # half a second

        return float(2 * stdtr(self.freedom, -abs(value) / self._error(weights)))

    def _error(self, weights: Reals) -> float:
        """Standard error, not below that of the model.

        Choices that are all the same have no residuals, which is not certainty.
        """
        photo, rater, choice, model = (
            float(weights @ each @ weights)
            for each in (self.by_photo, self.by_rater, self.by_choice, self.of_model)
        )
        return float(max(photo + rater - choice, model) ** 0.5)


def _spread(choices: Choices, found: Fit) -> _Spread | None:
    """Sandwich estimates from the choices' scores, summed by photo and by rater.

    None with too few photos or raters. The bread is the inverse information, the meat for two-way
    clusters as in Cameron, Gelbach and Miller 2011.
    """
    photos, photo = np.unique(choices.photos[choices.image], return_inverse=True)
    raters, rater = np.unique(choices.rater, return_inverse=True)
    if len(photos) < MIN_PHOTOS or len(raters) < MIN_RATERS:
        return None
    num_methods = len(choices.methods)
    first, second, design = _design(num_methods)
    pair_of = np.zeros((num_methods, num_methods), np.intp)
    pair_of[first, second] = np.arange(len(first))
    left, right = choices.left, choices.right
    pair = pair_of[np.minimum(left, right), np.maximum(left, right)]
    better = np.where(choices.outcome == LEFT, left, right)
    is_second = (better == np.maximum(left, right)).astype(np.intp)
    outcome = np.where(choices.outcome == SAME, 2, is_second)
    chance = probabilities(found.parameters, design)
    expected = np.einsum("pc,pck->pk", chance, design)
    score = design[pair, outcome] - expected[pair]
    bread = found.covariance
    by_photo, by_rater, by_choice = (
        bread @ meat @ bread
        for meat in (_between(score, photo), _between(score, rater), score.T @ score)
    )
    return _Spread(by_photo, by_rater, by_choice, bread, min(len(photos), len(raters)) - 1)


def _between(score: Reals, group: Index) -> Reals:
    """Variance of the summed scores, shape (n, k), if only the groups are independent."""
    num = int(group.max()) + 1
    sums = np.zeros((num, score.shape[1]))
    np.add.at(sums, group, score)
    return np.asarray(sums.T @ sums * (num / (num - 1)))
