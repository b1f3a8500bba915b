"""Judgements as columns of numbers, so that a hundred thousand of them take a second."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from srgan.mos.ratings import ANCHORS, Preference, Rating, photo_of

Index = NDArray[np.intp]
Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEFT, RIGHT, SAME = range(3)
"""Outcomes of a pair comparison: the better one, or neither."""
OUTCOMES = ("left", "right", "same")


@dataclass(frozen=True)
class _Judged:
    """Judgements of shape (n,) each; a code is the place of a name in its list."""

    raters: list[str]
    images: list[str]
    methods: list[str]
    """Anchors first, then names, then versions."""
    rater: Index
    image: Index
    seconds: Reals
    """Time to the answer; NaN if it was not measured."""
    repeat: Flags
    """True if the same was asked before. Repeats are for screening alone."""

    def __len__(self) -> int:
        return len(self.rater)

    @property
    def photos(self) -> Index:
        """Code of the photo that each image shows, shape (images,), from 0.

        Intervals and tests take the photo for the unit: its crops are not independent evidence.
        """
        codes: dict[str, int] = {}
        found = [codes.setdefault(photo_of(name), len(codes)) for name in self.images]
        return np.array(found, np.intp)

    def only(self, chosen: Flags) -> Self:
        """Keep the chosen judgements, shape (n,), and every name."""
        columns = {each.name: getattr(self, each.name) for each in fields(self)}
        cut: dict[str, Any] = {
            k: v[chosen] for k, v in columns.items() if isinstance(v, np.ndarray)
        }
        return replace(self, **cut)

    @property
    def first(self) -> Self:
        """All but the repeats."""
        return self.only(~self.repeat)

    def without(self, raters: Iterable[str]) -> Self:
        """Leave out the judgements of these raters."""
        gone = set(raters)
        kept = np.array([name not in gone for name in self.raters], np.bool_)
        return self.only(kept[self.rater])


@dataclass(frozen=True)
class Columns(_Judged):
    """Ratings.

    A stimulus is what a rater saw: one image that one method made.
    """

    method: Index
    score: Reals
    """1 to 5."""

    @property
    def stimulus(self) -> Index:
        return self.image * len(self.methods) + self.method

    @property
    def num_stimuli(self) -> int:
        """Stimuli that there could be; of some there may not be a rating."""
        return len(self.images) * len(self.methods)


@dataclass(frozen=True)
class Choices(_Judged):
    """Pair comparisons."""

    left: Index
    """Method on the left side."""
    right: Index
    outcome: Index
    """`LEFT`, `RIGHT` or `SAME`."""


def columns_of(ratings: Iterable[Rating]) -> Columns:
    """Return ratings as columns, repeats included."""
    given = list(ratings)
    return rating_columns(
        rater=[each.rater for each in given],
        image=[each.image for each in given],
        method=[each.method for each in given],
        score=[each.score for each in given],
        seconds=[each.seconds for each in given],
        repeat=[each.repeat for each in given],
    )


def choices_of(preferences: Iterable[Preference]) -> Choices:
    """Return pair comparisons as columns, repeats included."""
    given = list(preferences)
    return choice_columns(
        rater=[each.rater for each in given],
        image=[each.image for each in given],
        left=[each.left for each in given],
        right=[each.right for each in given],
        choice=[each.choice for each in given],
        seconds=[each.seconds for each in given],
        repeat=[each.repeat for each in given],
    )


def rating_columns(
    *,
    rater: Sequence[str],
    image: Sequence[str],
    method: Sequence[str],
    score: Sequence[int],
    seconds: Sequence[float | None],
    repeat: Sequence[bool],
) -> Columns:
    """Return ratings as columns; sequences of equal length with a value for each."""
    raters, rater_codes = _codes(rater)
    images, image_codes = _codes(image)
    methods, method_codes = _codes(method, place_of)
    return Columns(
        raters,
        images,
        methods,
        rater_codes,
        image_codes,
        np.array(seconds, np.float64),
        np.array(repeat, np.bool_),
        method_codes,
        np.array(score, np.float64),
    )


def choice_columns(
    *,
    rater: Sequence[str],
    image: Sequence[str],
    left: Sequence[str],
    right: Sequence[str],
    choice: Sequence[str],
    seconds: Sequence[float | None],
    repeat: Sequence[bool],
) -> Choices:
    """Return pair comparisons as columns; sequences of equal length with a value for each."""
    raters, rater_codes = _codes(rater)
    images, image_codes = _codes(image)
    methods, codes = _codes([*left, *right], place_of)
    outcomes = {name: code for code, name in enumerate(OUTCOMES)}
    return Choices(
        raters,
        images,
        methods,
        rater_codes,
        image_codes,
        np.array(seconds, np.float64),
        np.array(repeat, np.bool_),
        codes[: len(left)],
        codes[len(left) :],
        np.array([outcomes[each] for each in choice], np.intp),
    )


def place_of(method: str) -> tuple[int, int, str]:
    """Sort key of methods for people: anchors, then names, then versions by number."""
    if method in ANCHORS:
        return 0, ANCHORS.index(method), method
    return (2, int(method), "") if method.isdecimal() else (1, 0, method)


def means(values: Reals, group: Index, num_groups: int) -> Reals:
    """Mean of the values, shape (n,), of each group, shape (num_groups,); NaN for an empty one."""
    counts = np.bincount(group, minlength=num_groups)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(group, values, num_groups) / counts)


def ranks(values: Reals) -> Reals:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((counts.cumsum() - (counts - 1) / 2)[place])


def by_method(ratings: Columns) -> list[Columns]:
    """Ratings of each method, in the order of `methods`."""
    return [ratings.only(ratings.method == code) for code in range(len(ratings.methods))]


def paired(one: Columns, other: Columns) -> tuple[Reals, Index, Index]:
    """Scores of one method minus those of another, with image and rater; shape (n,) each.

    Takes ratings of a study without repeats, by `by_method`.
    """
    cells, other_cells = (each.image * len(one.raters) + each.rater for each in (one, other))
    _, mine, theirs = np.intersect1d(cells, other_cells, assume_unique=True, return_indices=True)
    return one.score[mine] - other.score[theirs], one.image[mine], one.rater[mine]


def _codes(
    names: Sequence[str], key: Callable[[str], Any] | None = None
) -> tuple[list[str], Index]:
    """Distinct names, sorted, and the place of each name among them."""
    distinct = sorted(set(names), key=key)
    places = {name: place for place, name in enumerate(distinct)}
    return distinct, np.array([places[name] for name in names], np.intp)
