"""Judgements of people: ratings from 1 to 5 and pair comparisons, and files of them.

A method is a version of the model by its number, or anything else by a name.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError, model_validator

from srgan.errors import DataError
from srgan.readable import size
from srgan.refs import Ref

LOW_ANCHOR = "nearest"
"""Method that is the paper's example of a 1."""
REFERENCE = "original"
"""Method that is the paper's example of a 5: the photo itself, hidden among the others."""
ANCHORS = (LOW_ANCHOR, "bicubic", REFERENCE)
"""Methods that show the range of the scale to raters and to readers, as in the paper."""


def _name_of(method: object) -> object:
    """``3`` for 3, as earlier releases wrote versions, and for " 03"."""
    text = str(method).strip() if isinstance(method, int | str) else method
    return str(int(text)) if isinstance(text, str) and text.isdecimal() else text


MethodName = Annotated[str, BeforeValidator(_name_of), Field(min_length=1)]
"""Number of a version, one of `ANCHORS`, or any other name."""


def method_title(method: str) -> str:
    """Name of a method for people: ``version 3`` for 3."""
    return f"version {method}" if method.isdecimal() else method


def image_name(photo: str, number: int) -> str:
    """Name of one of several crops of a photo, by its number from 1: ``a.png#2``."""
    return f"{photo}#{number}"


def photo_of(image: str) -> str:
    """Photo that an image shows: ``a.png`` for ``a.png#2``.

    The photo is the unit of what is independent: its crops resemble each other.
    """
    return re.sub(r"#\d+$", "", image)


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Rating(Ref):
    """One person's rating of one image that one method made."""

    method: Annotated[MethodName, Field(validation_alias=AliasChoices("method", "version"))]
    image: Annotated[str, Field(min_length=1)]
    rater: Annotated[str, Field(min_length=1)]
    score: Annotated[int, Field(ge=1, le=5)]
    seconds: Seconds | None = None
    """Time from showing the image to the rating; None if it was not measured."""
    repeat: bool = False
    """True if the image was shown again to see whether the rater is consistent.

    Repeats count in screening only, never in a score.
    """


class Preference(Ref):
    """One person's choice between two methods' images of the same photo."""

    image: Annotated[str, Field(min_length=1)]
    rater: Annotated[str, Field(min_length=1)]
    left: MethodName
    right: MethodName
    choice: Literal["left", "right", "same"]
    """The better one, or ``same``."""
    seconds: Seconds | None = None
    """Time from showing the pair to the choice; None if it was not measured."""
    repeat: bool = False
    """True if the pair was shown again, in either order, to see whether the rater is consistent."""

    @model_validator(mode="after")
    def _two_methods(self) -> Self:
        if self.left == self.right:
            raise ValueError(f"left and right are both {self.left}")
        return self


def parse_ratings(name: str, data: bytes) -> list[Rating]:
    """Parse ratings: CSV or Parquet with the columns method, image, rater and score, or JSON.

    A table may have the columns seconds and repeat. JSON maps method → image → rater → score. The
    column method may also be called version. ``a.png#2`` is another crop of ``a.png``.
    `DataError` names the line or the place of an invalid rating, or of an image that one person has
    rated twice.
    """
    rows = _rows(name, data)
    return _parsed(
        name,
        rows,
        Rating,
        "method,image,rater,score",
        key=lambda each: (each.method, each.image, each.rater, each.repeat),
        again=lambda each: f"{each.rater} has rated {each.image} of {each.method} before",
    )


def parse_preferences(name: str, data: bytes) -> list[Preference]:
    """Parse pair comparisons: CSV or Parquet with the columns image, rater, left, right, choice.

    It may have the columns seconds and repeat. `DataError` names the line of an invalid choice, or
    of a pair that one person has compared twice.
    """
    return _parsed(
        name,
        _rows(name, data),
        Preference,
        "image,rater,left,right,choice",
        key=lambda each: (
            each.image,
            each.rater,
            frozenset((each.left, each.right)),
            each.repeat,
        ),
        again=lambda each: (
            f"{each.rater} has compared {each.left} and {each.right} on {each.image} before"
        ),
    )


def holds_preferences(name: str, data: bytes) -> bool:
    """Tell a table of pair comparisons from one of ratings by its column choice."""
    if name.endswith(_PARQUET):
        return "choice" in _parquet_rows(name, data)[0][1]
    if name.endswith(_JSON):
        return False
    with reading_csv(name, data) as reader:
        return "choice" in (reader.fieldnames or ())


@contextmanager
def reading_csv(name: str, data: bytes) -> Iterator["csv.DictReader[str]"]:
    """Reads somebody's table with any line ends; `DataError` names the line that is not CSV.

    Cells beyond the header are a list under ``more``.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not valid UTF-8 CSV: {error}") from error
    # Excel's "CSV (Macintosh)" ends lines with CR alone, which only this `newline` takes for ends.
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="more")
    try:
        yield reader
    except csv.Error as error:
        line = reader.line_num + 1  # it counts those that it has parsed
        raise DataError(f"{name}, line {line}: not valid CSV: {error}") from error


_PARQUET, _JSON = ".parquet", ".json"
_BATCH = 1000
_ROW_BYTES = 100  # of a dictionary in Python, at least
_LEAST_BOUND, _MOST_GROWTH = 16_000_000, 100
"""Bytes that the rows of a Parquet file may take, or times its size: a few bytes of a Parquet file
may repeat a value for millions of rows."""
_Row = tuple[str, dict[str, Any]]
_Judgement = TypeVar("_Judgement", Rating, Preference)


def _rows(name: str, data: bytes) -> list[_Row]:
    if name.endswith(_PARQUET):
        return _parquet_rows(name, data)
    if not name.endswith(_JSON):
        return list(_csv_rows(name, data))
    try:
        return list(_json_rows(data.decode("utf-8-sig")))
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
        raise DataError(f"{name} is not valid UTF-8 JSON: {error}") from error
    except AttributeError as error:  # a list or a number in place of names
        raise DataError(f"{name} does not map method → image → rater → score") from error


def _parsed(
    name: str,
    rows: list[_Row],
    kind: type[_Judgement],
    columns: str,
    *,
    key: Callable[[_Judgement], Hashable],
    again: Callable[[_Judgement], str],
) -> list[_Judgement]:
    found: dict[Hashable, _Judgement] = {}
    for where, row in rows:
        try:
            judgement = kind.model_validate(row)
        except ValidationError as error:
            what = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'pair'} {e['msg'].lower()}"
                for e in error.errors()
            )
            raise DataError(f"{name}, {where}: {what}") from error
        if found.setdefault(key(judgement), judgement) is not judgement:
            raise DataError(f"{name}, {where}: {again(judgement)}")
    if not found:
        raise DataError(f"{name} holds no ratings; expected the columns {columns}")
    return list(found.values())


def _csv_rows(name: str, data: bytes) -> Iterator[_Row]:
    with reading_csv(name, data) as reader:
        for row in reader:
            # An empty cell of an optional column is a value that was not measured.
            given = {k: v for k, v in row.items() if v or k not in ("seconds", "repeat")}
            yield f"line {reader.line_num}", given


def _parquet_rows(name: str, data: bytes) -> list[_Row]:
    import pyarrow as pa  # a third of a second, and most files are CSV
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    size_bytes, most_bytes = 0, max(_LEAST_BOUND, _MOST_GROWTH * len(data))
    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            for batch in file.iter_batches(_BATCH):
                size_bytes += max(batch.nbytes, _ROW_BYTES * batch.num_rows)
                if size_bytes > most_bytes:
                    raise DataError(
                        f"{name} has {size(len(data))} and unpacks to more than "
                        f"{size(most_bytes)}, too much for a table of ratings; save it as CSV"
                    )
                rows += batch.to_pylist()
    except pa.ArrowException as error:
        raise DataError(f"{name} is not a valid Parquet file: {error}") from error
    if not rows:
        raise DataError(f"{name} holds no rows")
    return [
        (f"row {number}", {column: value for column, value in row.items() if value is not None})
        for number, row in enumerate(rows, start=1)
    ]


def _json_rows(text: str) -> Iterator[_Row]:
    for method, images in json.loads(text).items():
        for image, raters in images.items():
            for rater, score in raters.items():
                where = f"{method} → {image} → {rater}"
                yield where, {"method": method, "image": image, "rater": rater, "score": score}
