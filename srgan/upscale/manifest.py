"""Lists of images to upscale: CSV, JSONL or Parquet with one image's name in each row.

A row is read at a time, so that a list of millions takes no memory. Errors name the file, line
(or row) and column.
"""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from srgan.errors import ConfigError, DataError

_COLUMN = "key"
_ROWS = 10_000

Row = tuple[str, object]
"""Where it stands ("line 3") and what stands there."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A file of this disk, and where it came from."""

    path: Path
    address: str


def check_kind(address: str) -> None:
    """`ConfigError` for a manifest whose suffix says none of the three kinds."""
    if _suffix(address) not in _READERS:
        raise ConfigError(
            f"the manifest {address} is none of {', '.join(_READERS)}; its suffix says what it is"
        )


def names(manifest: Manifest, source: str) -> Iterator[str]:
    """Paths relative to `source`, in the order of the file; each row gives one.

    A row holds such a path, or the whole address of an object below `source`. `DataError` names
    the line (Parquet: the row) and column of the first that does not.
    """
    check_kind(manifest.address)
    base = f"{source.rstrip('/')}/"
    for where, value in _READERS[_suffix(manifest.address)](manifest):
        if not isinstance(value, str) or not value:
            raise _error(manifest, where, f"column {_COLUMN!r} holds no name but {value!r}")
        if value.startswith(("s3://", "/")) and not value.startswith(base):
            raise _error(manifest, where, f"column {_COLUMN!r}: {value!r} is not below {base}")
        yield value.removeprefix(base)


def _suffix(address: str) -> str:
    return Path(address).suffix.lower()


def _csv(manifest: Manifest) -> Iterator[Row]:
    lines = csv.reader((text for _, text in _lines(manifest)), strict=True)
    try:
        columns = next(lines, [])
        if _COLUMN not in columns:
            raise _error(manifest, "line 1", f"no column {_COLUMN!r} in the header {columns}")
        at = columns.index(_COLUMN)
        for row in lines:
            if row:
                yield f"line {lines.line_num}", row[at] if at < len(row) else None
    except csv.Error as error:
        raise _error(manifest, f"line {lines.line_num}", f"is no CSV: {error}") from error


def _jsonl(manifest: Manifest) -> Iterator[Row]:
    for where, text in _lines(manifest):
        if not text.strip():
            continue
        try:
            value = json.loads(text.rstrip())
        except json.JSONDecodeError as error:
            raise _error(manifest, f"{where}, column {error.colno}", error.msg) from error
        yield where, value.get(_COLUMN) if isinstance(value, dict) else value


def _parquet(manifest: Manifest) -> Iterator[Row]:
    try:
        with pq.ParquetFile(manifest.path) as file:
            columns = file.schema_arrow.names
            if _COLUMN not in columns:
                raise _error(manifest, "the schema", f"no column {_COLUMN!r}, only {columns}")
            number = 0
            for batch in file.iter_batches(_ROWS, columns=[_COLUMN]):
                for value in batch.column(0).to_pylist():
                    number += 1
                    yield f"row {number}", value
    except pa.ArrowException as error:
        raise DataError(f"the manifest {manifest.address} is no Parquet: {error}") from error


_READERS: dict[str, Callable[[Manifest], Iterator[Row]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}


def _lines(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Decoded one by one, so that the line that is no UTF-8 is known."""
    with manifest.path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield f"line {number}", line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise _error(manifest, f"line {number}", f"is no UTF-8: {error}") from error


def _error(manifest: Manifest, where: str, what: str) -> DataError:
    return DataError(f"the manifest {manifest.address}, {where}: {what}")
