"""Mean opinion scores (section 3.4 of the paper): people's ratings of what several methods made.

A method is a version of the model by its number, or anything else by a name. A study is a file of
ratings from 1 (bad) to 5 (excellent). It is stored once and never changed, in
``mos/<model>/<digest>.json``; importing it again changes nothing.
"""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError

from srgan.errors import DataError
from srgan.keys import study_key
from srgan.measure.intervals import Interval, crossed_interval
from srgan.refs import Ref, digest
from srgan.storage import ObjectStore, read_document, write_document

ANCHORS = ("nearest", "bicubic", "original")
"""Methods that show the range of the scale to raters and to readers, as in the paper."""


def _name_of(method: object) -> object:
    """``3`` for 3, as earlier releases wrote versions, and for " 03"."""
    text = str(method).strip() if isinstance(method, int | str) else method
    return str(int(text)) if isinstance(text, str) and text.isdecimal() else text


class Rating(Ref):
    """One person's rating of one image that one method made."""

    method: Annotated[
        str,
        BeforeValidator(_name_of),
        Field(min_length=1, validation_alias=AliasChoices("method", "version")),
    ]
    """Number of a version, one of `ANCHORS`, or any other name."""
    image: Annotated[str, Field(min_length=1)]
    rater: Annotated[str, Field(min_length=1)]
    score: Annotated[int, Field(ge=1, le=5)]


class Study(Ref):
    """Ratings given under the same conditions."""

    model: str
    source: str
    """Name of the file that was imported."""
    ratings: tuple[Rating, ...]
    """Sorted, so that the order of the file does not matter."""

    @property
    def versions(self) -> set[int]:
        """Versions of the model that were rated."""
        return {int(each.method) for each in self.ratings if each.method.isdecimal()}


class Opinion(Ref):
    """Mean opinion score of a method in one study."""

    mean: float
    interval: Interval | None
    """None with too few images or raters."""
    num_images: int
    num_raters: int


class OpinionPair(Ref):
    """Challenger and champion, as rated by people who rated both on the same image."""

    challenger: float
    champion: float
    difference: Interval | None
    """Challenger minus champion; None with too few images or raters."""
    num_images: int
    num_raters: int


def parse_ratings(name: str, data: bytes) -> list[Rating]:
    """Parse ratings: CSV with the columns method, image, rater and score, or JSON.

    JSON maps method → image → rater → score. The column may also be called version. `DataError`
    names the line or the place of an invalid rating, or of an image that one person has rated
    twice.
    """
    try:
        text = data.decode("utf-8-sig")
        rows = list(_json_rows(text) if name.endswith(".json") else _csv_rows(text))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{name} is not valid UTF-8 CSV/JSON: {error}") from error
    except AttributeError as error:  # a list or a number in place of names
        raise DataError(f"{name} does not map method → image → rater → score") from error
    ratings: dict[tuple[str, str, str], Rating] = {}
    for where, row in rows:
        try:
            rating = Rating.model_validate(row)
        except ValidationError as error:
            what = "; ".join(f"{e['loc'][0]} {e['msg'].lower()}" for e in error.errors())
            raise DataError(f"{name}, {where}: {what}") from error
        key = rating.method, rating.image, rating.rater
        if key in ratings:
            raise DataError(
                f"{name}, {where}: {rating.rater} has rated {rating.image} of {rating.method} "
                "before"
            )
        ratings[key] = rating
    if not ratings:
        raise DataError(f"{name} holds no ratings; expected the columns method,image,rater,score")
    return list(ratings.values())


def keep_study(store: ObjectStore, model: str, source: str, ratings: Iterable[Rating]) -> str:
    """Write the study and return its key; a study of the same ratings is not written again."""
    ordered = sorted(ratings, key=lambda each: (each.method, each.image, each.rater))
    study = Study(model=model, source=source, ratings=tuple(ordered))
    # By its content and not by its key, because earlier releases named studies in another way.
    for key, kept in read_studies(store, model).items():
        if set(kept.ratings) == set(study.ratings):
            return key
    name = digest([each.model_dump() for each in ordered])[:16]
    key = study_key(model, name)
    write_document(store, key, study)
    return key


def read_studies(store: ObjectStore, model: str) -> dict[str, Study]:
    """Read every study of a model, by key."""
    keys = [info.key for info in store.list(study_key.below(model)) if info.key.endswith(".json")]
    return {key: read_document(store, key, Study) for key in sorted(keys)}


def opinions(study: Study) -> dict[str, Opinion]:
    """Return the opinion on each method of a study: anchors first, then names, then versions."""
    found: defaultdict[str, list[Rating]] = defaultdict(list)
    for rating in study.ratings:
        found[rating.method].append(rating)
    return {
        method: Opinion(
            mean=_mean([each.score for each in ratings]),
            interval=crossed_interval(
                [float(each.score) for each in ratings],
                [each.image for each in ratings],
                [each.rater for each in ratings],
            ),
            num_images=len({each.image for each in ratings}),
            num_raters=len({each.rater for each in ratings}),
        )
        for method, ratings in sorted(found.items(), key=lambda each: _place(each[0]))
    }


def _place(method: str) -> tuple[int, int, str]:
    if method in ANCHORS:
        return 0, ANCHORS.index(method), method
    return (2, int(method), "") if method.isdecimal() else (1, 0, method)


def compare_opinions(
    studies: Mapping[str, Study], challenger: int, champion: int
) -> OpinionPair | None:
    """Compare two versions by people who rated both on an image in one study; None if nobody did.

    Ratings are paired, so that neither a hard image nor a strict rater favours one of the two. The
    interval covers the choice of images and of people.
    """
    pairs = [
        (f"{key}/{image}", f"{key}/{rater}", mine, theirs)
        for key, study in studies.items()
        for image, rater, mine, theirs in _pairs(study, challenger, champion)
    ]
    if not pairs:
        return None
    images, raters, mine, theirs = (list(column) for column in zip(*pairs, strict=True))
    return OpinionPair(
        challenger=_mean(mine),
        champion=_mean(theirs),
        difference=crossed_interval(
            [float(a - b) for a, b in zip(mine, theirs, strict=True)], images, raters
        ),
        num_images=len(set(images)),
        num_raters=len(set(raters)),
    )


def _pairs(study: Study, first: int, second: int) -> Iterator[tuple[str, str, int, int]]:
    scores = {(each.method, each.image, each.rater): each.score for each in study.ratings}
    for (method, image, rater), score in scores.items():
        other = scores.get((str(second), image, rater))
        if method == str(first) and other is not None:
            yield image, rater, score, other


def _csv_rows(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), restkey="more")
    for row in reader:
        yield f"line {reader.line_num}", row


def _json_rows(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for method, images in json.loads(text).items():
        for image, raters in images.items():
            for rater, score in raters.items():
                where = f"{method} → {image} → {rater}"
                yield where, {"method": method, "image": image, "rater": rater, "score": score}


def _mean(scores: Sequence[int]) -> float:
    return sum(scores) / len(scores)
