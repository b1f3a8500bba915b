"""Judgements in the bucket: one part for each rater, written again as it grows.

A part is whole and replaces the one before, so that an export that is repeated doubles nothing.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from srgan.keys import part_of_rater_key
from srgan.mos.columns import Choices, Columns, choice_columns, rating_columns
from srgan.mos.ratings import Preference, Rating
from srgan.refs import Ref
from srgan.storage import ObjectStore, find_document
from srgan.studies.design import StudyDesign

_READERS = 8


class Screen(Ref):
    """Findings of the screen check; nothing in them names the rater."""

    width: Annotated[int, Field(ge=1, le=100_000)]
    height: Annotated[int, Field(ge=1, le=100_000)]
    """The page's inside in device pixels."""
    pixel_ratio: Annotated[float, Field(gt=0, le=20)]
    """Device pixels per pixel of the page."""
    touch: bool
    dark_steps: Annotated[int, Field(ge=0, le=4)]
    """Squares that the rater could tell from black, of 4."""
    bright_steps: Annotated[int, Field(ge=0, le=4)]
    """Squares that the rater could tell from white, of 4."""
    sharp: bool
    """True if lines one device pixel wide looked even."""


AnswerText = Literal["1", "2", "3", "4", "5", "left", "right", "same"]


class Answers(Ref):
    """Answers of one rater, in the order that they were given: columns of equal length.

    Columns, because a hundred thousand objects take seconds to read.
    """

    image: tuple[str, ...]
    method: tuple[str, ...]
    """Method of the picture, or of the left one of a pair."""
    right: tuple[str, ...]
    """Method of the right picture; empty in a study of ratings."""
    answer: tuple[AnswerText, ...]
    seconds: tuple[float, ...]
    """Time from showing the pictures to the answer."""
    repeat: tuple[bool, ...]
    position: tuple[int, ...]
    """Place in the rater's order, from 0."""
    given_at: tuple[float, ...]
    """Seconds since the epoch."""
    pixel_ratio: tuple[float, ...]
    """Device pixels per pixel of the page when the answer was given."""

    @model_validator(mode="after")
    def _equally_long(self) -> Self:
        lengths = {name: len(getattr(self, name)) for name in type(self).model_fields}
        if lengths["right"] == 0:
            del lengths["right"]
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of unequal length: {lengths}")
        return self


class Part(Ref):
    """Everything of one rater."""

    format: Literal["srgan-ratings-2"] = "srgan-ratings-2"
    rater: str
    """Random id, neither a name nor the token of the link."""
    number: int
    """Place in the balanced design."""
    language: str | None
    began_at: float | None
    screen: Screen | None
    answers: Answers

    @property
    def num_judgements(self) -> int:
        """Repeats among them."""
        return len(self.answers.answer)

    @property
    def judgements(self) -> list[Rating | Preference]:
        """The answers one by one; a study has one kind of them."""
        one = self._preference if self.answers.right else self._rating
        return [one(n) for n in range(self.num_judgements)]

    def _rating(self, n: int) -> Rating:
        return Rating(
            method=self.answers.method[n],
            image=self.answers.image[n],
            rater=self.rater,
            score=int(self.answers.answer[n]),
            seconds=self.answers.seconds[n],
            repeat=self.answers.repeat[n],
        )

    def _preference(self, n: int) -> Preference:
        return Preference.model_validate(
            {
                "image": self.answers.image[n],
                "rater": self.rater,
                "left": self.answers.method[n],
                "right": self.answers.right[n],
                "choice": self.answers.answer[n],
                "seconds": self.answers.seconds[n],
                "repeat": self.answers.repeat[n],
            }
        )


def answers_of(rows: Sequence[sqlite3.Row]) -> Answers:
    """The answers in rows of answered tasks."""
    return Answers(
        image=tuple(row["image"] for row in rows),
        method=tuple(row["left_method"] for row in rows),
        right=tuple(row["right_method"] for row in rows if row["right_method"] is not None),
        answer=tuple(row["answer"] for row in rows),
        seconds=tuple(row["seconds"] for row in rows),
        repeat=tuple(bool(row["repeat"]) for row in rows),
        position=tuple(row["position"] for row in rows),
        given_at=tuple(row["given_at"] for row in rows),
        pixel_ratio=tuple(row["pixel_ratio"] for row in rows),
    )


def preference_of(row: sqlite3.Row) -> Preference:
    """The pair comparison in a row of answered tasks."""
    return Preference(
        image=row["image"],
        rater=row["rater"],
        left=row["left_method"],
        right=row["right_method"],
        choice=row["answer"],
        seconds=row["seconds"],
        repeat=bool(row["repeat"]),
    )


def read_parts(store: ObjectStore, study: str) -> list[Part]:
    """Every rater's part, by number; without those that are deleted while this reads."""
    keys = [info.key for info in store.list(part_of_rater_key.below(study))]
    with ThreadPoolExecutor(_READERS) as pool:
        parts = pool.map(lambda key: find_document(store, key, Part), keys)
        found = [part for part in parts if part is not None]
    return sorted(found, key=lambda each: (each.number, each.rater))


def judgements_of(parts: Iterable[Part]) -> list[Rating | Preference]:
    """Every judgement, rater by rater in the order that it was given."""
    return [each for part in parts for each in part.judgements]


def judged_columns(design: StudyDesign, parts: Sequence[Part]) -> Columns | Choices:
    """Every judgement as columns: ratings, or pair comparisons."""

    def joined(name: str) -> list[Any]:
        return list(chain.from_iterable(getattr(part.answers, name) for part in parts))

    raters = list(chain.from_iterable([part.rater] * part.num_judgements for part in parts))
    common = {"rater": raters, **{name: joined(name) for name in ("image", "seconds", "repeat")}}
    if design.judging == "ratings":
        scores = list(map(int, joined("answer")))
        return rating_columns(method=joined("method"), score=scores, **common)
    sides = {"left": joined("method"), "right": joined("right")}
    return choice_columns(choice=joined("answer"), **sides, **common)
