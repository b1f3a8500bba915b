"""Ratings as columns of numbers, so that a hundred thousand of them take a second."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srgan.mos.ratings import ANCHORS, Rating

Index = NDArray[np.intp]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """Ratings of shape (n,) each; a code is the place of a name in `raters`, `images`, `methods`.

    A stimulus is what a rater saw: one image that one method made.
    """

    raters: list[str]
    images: list[str]
    methods: list[str]
    """Anchors first, then names, then versions."""
    rater: Index
    image: Index
    method: Index
    score: Numbers
    """1 to 5."""

    @property
    def stimulus(self) -> Index:
        return self.image * len(self.methods) + self.method

    @property
    def num_stimuli(self) -> int:
        """Stimuli that there could be; of some there may not be a rating."""
        return len(self.images) * len(self.methods)

    def only(self, chosen: NDArray[np.bool_]) -> "Columns":
        """Keep the chosen ratings, shape (n,), and every name."""
        return Columns(
            self.raters,
            self.images,
            self.methods,
            self.rater[chosen],
            self.image[chosen],
            self.method[chosen],
            self.score[chosen],
        )


def columns_of(ratings: Iterable[Rating]) -> Columns:
    """Return first ratings as columns; repeats are for screening alone."""
    first = [each for each in ratings if not each.repeat]
    raters, rater = _codes([each.rater for each in first])
    images, image = _codes([each.image for each in first])
    methods, method = _codes([each.method for each in first])
    order = sorted(range(len(methods)), key=lambda code: place_of(methods[code]))
    place = np.empty(len(methods), np.intp)
    place[order] = np.arange(len(methods))
    score = np.array([each.score for each in first], np.float64)
    return Columns(raters, images, [methods[c] for c in order], rater, image, place[method], score)


def place_of(method: str) -> tuple[int, int, str]:
    """Sort key of methods for people: anchors, then names, then versions by number."""
    if method in ANCHORS:
        return 0, ANCHORS.index(method), method
    return (2, int(method), "") if method.isdecimal() else (1, 0, method)


def means(values: Numbers, group: Index, num_groups: int) -> Numbers:
    """Mean of the values, shape (n,), of each group, shape (num_groups,); NaN for an empty one."""
    counts = np.bincount(group, minlength=num_groups)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(group, values, num_groups) / counts)


def _codes(names: Sequence[str]) -> tuple[list[str], Index]:
    """Distinct names in the order of the alphabet, and the place of each name among them."""
    distinct = sorted(set(names))
    places = {name: place for place, name in enumerate(distinct)}
    return distinct, np.array([places[name] for name in names], np.intp)
