"""Judgements in the bucket: one part for each rater, written again as it grows.

A part is whole and replaces the one before, so that an export that is repeated doubles nothing.
"""

import logging
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from srgan.errors import StorageError
from srgan.keys import part_of_rater_key
from srgan.mos.ratings import Preference, Rating
from srgan.refs import Ref
from srgan.storage import ObjectStore, read_document, write_document
from srgan.studies.design import StudyDesign

if TYPE_CHECKING:
    from srgan.studies.database import Database

logger = logging.getLogger(__name__)

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


class Judgement(Ref):
    """One answer of a rater."""

    # Tried in this order, which halves the time of reading ratings.
    what: Annotated[Rating | Preference, Field(union_mode="left_to_right")]
    position: int
    """Place in the rater's order, from 0."""
    given_at: float
    """Seconds since the epoch."""
    pixel_ratio: float
    """Device pixels per pixel of the page when it was given."""


class Part(Ref):
    """Everything of one rater."""

    format: Literal["srgan-ratings-1"] = "srgan-ratings-1"
    rater: str
    """Random id, neither a name nor the token of the link."""
    number: int
    """Place in the balanced design."""
    language: str | None
    began_at: float | None
    screen: Screen | None
    judgements: tuple[Judgement, ...]


def judgement_of(row: sqlite3.Row) -> Judgement:
    """The judgement in a row of answered tasks."""
    return Judgement(
        what=_rating_of(row) if row["right_method"] is None else preference_of(row),
        position=row["position"],
        given_at=row["given_at"],
        pixel_ratio=row["pixel_ratio"],
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


def _rating_of(row: sqlite3.Row) -> Rating:
    return Rating(
        method=row["left_method"],
        image=row["image"],
        rater=row["rater"],
        score=int(row["answer"]),
        seconds=row["seconds"],
        repeat=bool(row["repeat"]),
    )


def export_parts(store: ObjectStore, study: str, database: "Database") -> None:
    """Write the parts that have changed, and delete those of raters who have withdrawn.

    Safe to repeat. Deletion comes after writing, so that a part that was read before its rater
    withdrew does not stay.
    """
    for part, revision in database.parts(changed=True):
        write_document(store, part_of_rater_key(study, part.rater), part)
        database.note_exported(part, revision)
    for rater in database.withdrawn():
        store.delete(part_of_rater_key(study, rater))
        database.note_deleted(rater)


def try_export(store: ObjectStore, study: str, database: "Database") -> None:
    """`export_parts`; a store that does not answer is a warning, and the next call tries again."""
    try:
        export_parts(store, study, database)
    except StorageError as error:
        logger.warning("the ratings are safe on this disk, but not exported yet: %s", error)


def read_parts(store: ObjectStore, study: str) -> list[Part]:
    """Every rater's part, by number."""
    keys = [info.key for info in store.list(part_of_rater_key.below(study))]
    with ThreadPoolExecutor(_READERS) as pool:
        parts = list(pool.map(lambda key: read_document(store, key, Part), keys))
    return sorted(parts, key=lambda each: (each.number, each.rater))


def judgements_of(design: StudyDesign, parts: Sequence[Part]) -> list[Rating] | list[Preference]:
    """Every judgement, rater by rater in the order that it was given."""
    found = [each.what for part in parts for each in part.judgements]
    if design.judging == "ratings":
        return [each for each in found if isinstance(each, Rating)]
    return [each for each in found if isinstance(each, Preference)]
