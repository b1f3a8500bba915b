"""Active choice of the next pair: the comparison that is expected to tell the most.

The idea of ASAP (A. Mikhailiuk, C. Wilmot, M. Perez-Ortiz, D. Yue, R. K. Mantiuk 2020,
arXiv:2004.05691) and of Crowd-BT (X. Chen et al. 2013), with the normal approximation of the
Bradley–Terry fit in place of message passing: a few milliseconds for any number of choices.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from srgan.mos.columns import Reals
from srgan.mos.preferences import Fit, add_choice, empty_tally, fit, pairs_of
from srgan.mos.ratings import Preference

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_NEAR_BEST = 0.9
"""Share of the largest gain that a pair needs to be drawn. Raters who come at the same time then
get different pairs, and nobody can guess the next one."""


class StimulusPair(NamedTuple):
    """Two methods' images of one photo to be shown side by side."""

    image: str
    left: str
    right: str


class PairChooser:
    """Chooses pairs for a study's raters. Holds the choices made so far as counts.

    Not safe for threads.
    """

    def __init__(self, methods: Sequence[str], images: Sequence[str], seed: int) -> None:
        self._methods, self._images = list(methods), list(images)
        self._code = {name: place for place, name in enumerate(methods)}
        self._image = {name: place for place, name in enumerate(images)}
        self._tally = empty_tally(len(methods))
        self._shown = np.zeros((len(methods), len(methods), len(images)), np.intp)
        self._seen: dict[str, set[tuple[int, int, int]]] = {}
        self._random = np.random.default_rng(seed)
        self._fit = fit(self._tally)

    def add(self, preferences: Iterable[Preference]) -> None:
        """Take choices into account. Repeats do not count."""
        for each in preferences:
            self._count(each, 1)
        self._fit = fit(self._tally, self._fit.parameters)

    def remove(self, preferences: Iterable[Preference]) -> None:
        """Forget choices that were taken back; their rater may get the same pairs again."""
        for each in preferences:
            self._count(each, -1)
        self._fit = fit(self._tally, self._fit.parameters)

    def next(self, rater: str) -> StimulusPair | None:
        """Return a pair that this rater has not judged; None if they have judged all.

        It draws one of the pairs of methods that tell nearly the most, then takes a photo on which
        the two were compared the fewest times; sides by chance.
        """
        seen = self._seen.get(rater, set())
        first, second = pairs_of(len(self._methods))
        open_images = [
            [n for n in range(len(self._images)) if (a, b, n) not in seen]
            for a, b in zip(first.tolist(), second.tolist(), strict=True)
        ]
        gain = information_gain(self._fit)[first, second]
        gain = np.where([bool(each) for each in open_images], gain, -1)
        if gain.max() < 0:
            return None
        drawn = int(self._random.choice(np.flatnonzero(gain >= _NEAR_BEST * gain.max())))
        a, b = int(first[drawn]), int(second[drawn])
        shown = self._shown[a, b, open_images[drawn]]
        fewest = np.flatnonzero(shown == shown.min())
        image = open_images[drawn][int(self._random.choice(fewest))]
        left, right = (a, b) if self._random.random() < 0.5 else (b, a)
        return StimulusPair(self._images[image], self._methods[left], self._methods[right])

    def _count(self, each: Preference, by: int) -> None:
        """Count a choice (`by` 1) or a choice less (`by` −1)."""
        if each.repeat:
            return
        left, right = self._code[each.left], self._code[each.right]
        place = min(left, right), max(left, right), self._image[each.image]
        add_choice(self._tally, left, right, each.choice, by)
        self._shown[place] += by
        seen = self._seen.setdefault(each.rater, set())
        if by > 0:
            seen.add(place)
        else:
            seen.discard(place)


def information_gain(found: Fit) -> Reals:
    """Expected information of the answer to each pair about the strengths, in nats, shape (k, k).

    It is the entropy of the answer less what of it stays if the difference were known: a pair that
    is nearly decided tells little, and so does one whose difference is known to be small.
    """
    num_methods = len(found.parameters) - 1
    theta, log_nu = found.parameters[:-1], found.parameters[-1]
    covariance = found.covariance[:-1, :-1]
    variance = np.diag(covariance)
    spread = variance[:, None] + variance[None, :] - 2 * covariance
    difference = (theta[:, None] - theta[None, :])[..., None]
    drawn = difference + np.sqrt(np.maximum(spread, 0))[..., None] * _NODES
    logits = np.stack([drawn / 2, -drawn / 2, np.full_like(drawn, log_nu)])
    chance = np.exp(logits - logits.max(axis=0))
    chance /= chance.sum(axis=0)
    weights = _WEIGHTS / _WEIGHTS.sum()
    gain = _entropy(chance @ weights) - _entropy(chance) @ weights
    return np.where(np.eye(num_methods, dtype=bool), 0, np.maximum(gain, 0))


def _entropy(chance: Reals) -> Reals:
    return np.asarray(-(chance * np.log(np.maximum(chance, 1e-300))).sum(axis=0))
