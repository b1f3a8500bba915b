"""Find the sources of a bulk run: all objects below its source, or those that a manifest names."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from srgan.bulk.join import Join
from srgan.bulk.names import is_foreign, output_key
from srgan.bulk.run import BulkRun
from srgan.errors import ConfigError, DataError, ImageError
from srgan.images.entries import NOT_A_FILE, kind_of
from srgan.keys import is_ours
from srgan.storage import ObjectInfo, Place

_COLUMN = "key"
_ROWS = 10_000

Row = tuple[str, object]
"""Place of a value (``line 3``), and the value."""


@dataclass(frozen=True, slots=True)
class KeyList:
    """A manifest: a CSV, JSONL or Parquet file on this disk with one image's name in each row."""

    path: Path
    address: str
    """Address of the user's file; its suffix tells the kind."""


def list_sources(join: Join, run: BulkRun, key_list: KeyList | None) -> None:
    """Add every source to the join; those with unsafe names, and missing ones, as refused.

    What is not a photo by its name is passed over; names that say nothing are sources, and their
    batch looks at the first bytes. The keys of a list are looked up in a listing of the store: one
    request for a thousand keys, which also tells which have changed since the records were made.
    """
    source, config = run.source, run.config
    is_same_bucket = source.store.bucket == run.destination.store.bucket
    source_prefix, prefix = source.prefix, run.destination.prefix
    found = False
    for info in _listing(join, source, key_list):
        name = info.key[len(source_prefix) :]
        # S3 consoles write a marker for the prefix itself.
        if not name or is_ours(info.key, own_prefix=source.own_prefix):
            continue
        # A folder that cannot be listed may hold photos.
        kind = kind_of(name.rstrip("/") if info.problem else name)
        if kind == "other" or (kind == "unknown" and info.problem.endswith(NOT_A_FILE)):
            join.pass_over(info)
            continue
        found = True
        if info.problem:
            join.refuse_source(info, info.problem)
            continue
        try:
            output = output_key(prefix, name, config.output_format, config.oversize)
        except ImageError as error:
            join.refuse_source(info, str(error))
            continue
        if is_same_bucket and output.startswith(source_prefix):
            raise ConfigError(
                f"the output of {info.key!r} would be {output!r}, inside the source "
                f"{source.address}; choose a destination that does not contain the source"
            )
        join.add_source(info, output, is_foreign=is_foreign(name, config.output_format))
    join.check_reroutes()
    if key_list is not None:
        join.refuse_missing(
            f"missing: {key_list.address} names it, but it is not below {source.address}"
        )
    elif not found and not config.only_new:
        count, names = join.passed_over(1)
        if count:
            raise DataError(
                f"{source.address} holds no photos. It has {count} objects, but their names say "
                f"that they are not photos, such as {names[0]!r}; check the prefix"
            )
        raise DataError(
            f"{source.address} is empty (what srgan wrote there does not count); check the prefix"
        )


def _listing(join: Join, source: Place, key_list: KeyList | None) -> Iterator[ObjectInfo]:
    prefix = source.prefix
    if key_list is None:
        yield from source.store.list(prefix)
        return
    for name in listed_names(key_list, source.address):
        join.want(prefix + name)
    ends = join.wanted_range()
    if ends is None:
        raise DataError(f"{key_list.address} names no images")
    # Every wanted key begins with what the first and the last have in common.
    first, last = ends
    length = next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), len(first))  # noqa: B905  # one may be longer
    folder, slash, _ = first[:length].rpartition("/")
    for info in source.store.list(folder + slash):
        if join.is_wanted(info.key):
            yield info


def check_kind(address: str) -> None:
    """`ConfigError` for a manifest whose suffix is not one of the three kinds."""
    if _suffix(address) not in _READERS:
        raise ConfigError(
            f"the suffix of the manifest {address} must be one of {', '.join(_READERS)}"
        )


def listed_names(listed: KeyList, source: str) -> Iterator[str]:
    """Read the paths relative to `source`, one from each row, in the order of the file.

    A row holds such a path, or the whole address of an object below `source`. `DataError` names
    the line (Parquet: the row) and column of the first row that does not. Rows are read one at a
    time, so that a list of millions takes no memory.
    """
    check_kind(listed.address)
    base = f"{source.rstrip('/')}/"
    for where, value in _READERS[_suffix(listed.address)](listed):
        if not isinstance(value, str) or not value:
            raise _error(listed, where, f"column {_COLUMN!r} holds {value!r} instead of a name")
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise _error(listed, where, f"column {_COLUMN!r}: {value!r} is not valid UTF-8")
        if value.startswith(("s3://", "/")) and not value.startswith(base):
            raise _error(listed, where, f"column {_COLUMN!r}: {value!r} is not below {base}")
        yield value.removeprefix(base)


def _suffix(address: str) -> str:
    return Path(address).suffix.lower()


def _csv(listed: KeyList) -> Iterator[Row]:
    lines = csv.reader((text for _, text in _lines(listed)), strict=True)
    try:
        columns = next(lines, [])
        if _COLUMN not in columns:
            raise _error(listed, "line 1", f"no column {_COLUMN!r} in the header {columns}")
        at = columns.index(_COLUMN)
        for row in lines:
            if row:
                yield f"line {lines.line_num}", row[at] if at < len(row) else None
    except csv.Error as error:
        raise _error(listed, f"line {lines.line_num}", f"not valid CSV: {error}") from error


def _jsonl(listed: KeyList) -> Iterator[Row]:
    for where, text in _lines(listed):
        if not text.strip():
            continue
        try:
            value = json.loads(text.rstrip())
        except json.JSONDecodeError as error:
            raise _error(listed, f"{where}, column {error.colno}", error.msg) from error
        except (ValueError, RecursionError) as error:  # thousands of digits, or of brackets
            raise _error(listed, where, f"not a name: {error}") from error
        yield where, value.get(_COLUMN) if isinstance(value, dict) else value


def _parquet(listed: KeyList) -> Iterator[Row]:
    try:
        with pq.ParquetFile(listed.path) as file:
            columns = file.schema_arrow.names
            if _COLUMN not in columns:
                raise _error(listed, "the schema", f"no column {_COLUMN!r}, only {columns}")
            number = 0
            for batch in file.iter_batches(_ROWS, columns=[_COLUMN]):
                for value in batch.column(0).to_pylist():
                    number += 1
                    yield f"row {number}", value
    except pa.ArrowException as error:
        raise DataError(f"the manifest {listed.address} is not valid Parquet: {error}") from error


_READERS: dict[str, Callable[[KeyList], Iterator[Row]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}


def _lines(listed: KeyList) -> Iterator[tuple[str, str]]:
    """Decode line by line, so that an error can name the line that is not UTF-8."""
    with listed.path.open("rb") as file:
        # Excel's "CSV (Macintosh)" ends lines with CR alone; all of it is one line of the file.
        lines = (line for block in file for line in block.splitlines(keepends=True))
        for number, line in enumerate(lines, 1):
            try:
                yield f"line {number}", line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise _error(listed, f"line {number}", f"not valid UTF-8: {error}") from error


def _error(listed: KeyList, where: str, what: str) -> DataError:
    return DataError(f"the manifest {listed.address}, {where}: {what}")
