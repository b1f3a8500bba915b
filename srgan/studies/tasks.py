"""Which question a rater gets next."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from srgan.mos.design import session
from srgan.mos.next_pair import PairChooser
from srgan.mos.ratings import LOW_ANCHOR, REFERENCE, Preference
from srgan.studies.design import StudyDesign

_MIN_DISTANCE = 10
"""Pairs between a pair and its repeat, where there are so many."""


class Task(NamedTuple):
    """One question to one rater."""

    image: str
    """Name of an image of the design, or of one of its examples."""
    left: str
    """Method of the picture, or of the left one of a pair."""
    right: str | None
    """Method of the right one; None for a rating."""
    repeat: bool = False


def num_tasks(study: StudyDesign) -> int:
    """Questions to each rater, repeats included."""
    return study.judgements_per_rater + round(study.repeats * study.judgements_per_rater)


def examples_of(study: StudyDesign) -> list[tuple[Task, str]]:
    """The training round with the right answers: each example as a 1 and as a 5.

    For pairs, the better one is on the left and on the right by turns.
    """
    found = []
    for index, image in enumerate(study.examples):
        if study.judging == "ratings":
            found.append((Task(image.name, LOW_ANCHOR, None), "1"))
            found.append((Task(image.name, REFERENCE, None), "5"))
        elif index % 2:
            found.append((Task(image.name, LOW_ANCHOR, REFERENCE), "right"))
        else:
            found.append((Task(image.name, REFERENCE, LOW_ANCHOR), "left"))
    return found


def rating_tasks(study: StudyDesign, number: int) -> tuple[Task, ...]:
    """All questions of rater `number` (from 0), in order; takes milliseconds."""
    showings = session(
        study.method_names,
        [each.name for each in study.images],
        number,
        seed=study.seed,
        num_images=study.judgements_per_rater // len(study.methods),
        repeats=study.repeats,
    )
    return tuple(Task(each.image, each.method, None, each.repeat) for each in showings)


class PairTasks:
    """Chooses the next pair for any rater by what all raters have said. Not safe for threads."""

    def __init__(self, study: StudyDesign, given: Iterable[Preference]) -> None:
        names = [each.name for each in study.images]
        self._chooser = PairChooser(study.method_names, names, study.seed)
        self._chooser.add(given)
        self._repeated_at = _spread(num_tasks(study), study.judgements_per_rater)
        self._random = np.random.default_rng(study.seed)

    def add(self, preference: Preference) -> None:
        """Take a choice into account."""
        self._chooser.add([preference])

    def remove(self, preferences: Iterable[Preference]) -> None:
        """Forget choices that their rater took back."""
        self._chooser.remove(preferences)

    def next(self, rater: str, own: Sequence[Preference]) -> Task:
        """The question after those that the rater has answered, `own`, in order."""
        if len(own) in self._repeated_at and (again := self._repeatable(own)):
            # With its sides changed, which shows a preference for a side.
            return Task(again.image, again.right, again.left, repeat=True)
        pair = self._chooser.next(rater)
        assert pair is not None, "a rater is asked for no more pairs than there are"
        return Task(pair.image, pair.left, pair.right)

    def _repeatable(self, own: Sequence[Preference]) -> Preference | None:
        repeated = {_content(each) for each in own if each.repeat}
        distance = min(_MIN_DISTANCE, len(own) // 2)
        open_pairs = [
            each
            for each in own[: len(own) - distance]
            if not each.repeat and _content(each) not in repeated
        ]
        return open_pairs[int(self._random.integers(len(open_pairs)))] if open_pairs else None


def _content(each: Preference) -> tuple[str, frozenset[str]]:
    return each.image, frozenset((each.left, each.right))


def _spread(total: int, num_first: int) -> set[int]:
    """Positions of the repeats, evenly over the second half."""
    num = total - num_first
    half = total // 2
    return {half + round((index + 0.5) * (total - half) / num) for index in range(num)}
