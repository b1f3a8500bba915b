"""Join listings with earlier records in a temporary file: flat memory for any number of keys.

A merge of sorted streams would be enough only if outputs sorted like their sources. They do not
once the extension changes (``a.jpg`` < ``a.k.jpg``, but ``a.k.png`` < ``a.png``). So SQLite sorts,
on disk, and uses the memory of its page cache alone.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from srgan.errors import ConfigError
from srgan.images.entries import INSTEAD
from srgan.refs import Ref
from srgan.storage import ObjectInfo

_CACHE_KIB = 20 * 1024

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE source (key TEXT PRIMARY KEY, token TEXT, bytes INTEGER, output TEXT, problem TEXT,
    is_other INTEGER DEFAULT 0, is_foreign INTEGER DEFAULT 0) WITHOUT ROWID;
CREATE UNIQUE INDEX one_source_per_output ON source (output);
CREATE TABLE wanted (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE output (key TEXT PRIMARY KEY, token TEXT) WITHOUT ROWID;
CREATE TABLE record (source TEXT, source_token TEXT, output_token TEXT,
    PRIMARY KEY (source, source_token, output_token)) WITHOUT ROWID;
"""

# Whatever the name says, the content may be of a format that cannot be written.
_ELSEWHERE = ", ".join(f"source.output || '{suffix}'" for suffix in INSTEAD)

_COVERED = f"""EXISTS (SELECT 1 FROM record JOIN output ON output.token = record.output_token
    WHERE record.source = source.key AND record.source_token = source.token
      AND output.key IN (source.output, source.output || :suffix, {_ELSEWHERE}))"""  # noqa: S608  # constants

PASSED_OVER = "passed_over"
"""Output token in the record of a source that is not a photo."""

_PASSED_OVER = f"""EXISTS (SELECT 1 FROM record WHERE record.source = source.key
    AND record.source_token = source.token AND record.output_token = '{PASSED_OVER}')"""  # noqa: S608  # constants

FAILED = "failed"
"""Output token in the record of a source that failed before, where that is not tried again."""

FAILED_ONCE = "failed in "
"""Begins the output token in the record of a source that a busy node may have failed on; the name
of the part follows, so that runs are counted."""
_MOST_RUNS = 3
"""Runs in which a source has failed when it is left out."""

_FAILED_BEFORE = f"""((SELECT total(iif(record.output_token = '{FAILED}', {_MOST_RUNS},
        record.output_token GLOB '{FAILED_ONCE}*'))
    FROM record WHERE record.source = source.key AND record.source_token = source.token)
    >= {_MOST_RUNS})"""  # noqa: S608  # constants

_UNSETTLED = f"NOT is_other AND NOT {_COVERED} AND NOT {_PASSED_OVER}"

_TODO = f"output IS NOT NULL AND {_UNSETTLED} AND NOT {_FAILED_BEFORE}"

_REFUSED = f"problem IS NOT NULL AND NOT {_FAILED_BEFORE}"


class Item(Ref):
    """One source to upscale."""

    key: str
    token: str
    size_bytes: int
    output: str
    """Key of the output in the destination's bucket."""


class Join:
    """Sources, outputs and records of one plan; closing deletes the file."""

    def __init__(self, reroute_suffix: str = "") -> None:
        """`reroute_suffix` is appended to outputs that are too large for their format."""
        self._suffix = {"suffix": reroute_suffix}
        # The empty name is a private file that spills to disk; a crash does not leave it behind.
        self._database = sqlite3.connect("")
        self._database.executescript(_TABLES)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def want(self, key: str) -> None:
        """Add a source that a manifest names; twice is the same as once."""
        self._database.execute("INSERT OR IGNORE INTO wanted VALUES (?)", (key,))

    def is_wanted(self, key: str) -> bool:
        """True if the manifest names a source."""
        query = "SELECT 1 FROM wanted WHERE key = ?"
        return self._database.execute(query, (key,)).fetchone() is not None

    def wanted_range(self) -> tuple[str, str] | None:
        """First and last key that is wanted; None if nothing is."""
        first, last = self._database.execute("SELECT min(key), max(key) FROM wanted").fetchone()
        return None if first is None else (first, last)

    def refuse_missing(self, problem: str) -> None:
        """Record every wanted source that was not added as failed."""
        self._database.execute(
            "INSERT INTO source SELECT key, '', 0, NULL, ?, 0, 0 FROM wanted "
            "WHERE key NOT IN (SELECT key FROM source)",
            (problem,),
        )

    def add_source(self, source: ObjectInfo, output: str, *, is_foreign: bool = False) -> None:
        """Add a source to upscale; `ConfigError` naming both if another has the same output.

        `is_foreign`: its format cannot be written, so a suffix is appended to its output.
        """
        row = (source.key, source.token, source.size_bytes, output, None, is_foreign)
        try:
            self._database.execute("INSERT INTO source VALUES (?, ?, ?, ?, ?, 0, ?)", row)
        except sqlite3.IntegrityError as error:
            (other,) = self._database.execute(
                "SELECT key FROM source WHERE output = ?", (output,)
            ).fetchone()
            raise ConfigError(
                f"{other!r} and {source.key!r} would both be written to {output!r}; rename one, "
                "or keep each file's own format (output_format 'same')"
            ) from error

    def check_reroutes(self) -> None:
        """`ConfigError` if an output of another format could be written over another's."""
        too_large = ("too large for its format", "or set oversize to 'refuse'")
        foreign = ("of a format that cannot be written", "or choose an output_format")
        ways = [(self._suffix["suffix"], False, too_large)]
        ways += [(suffix, True, foreign) for suffix in INSTEAD]
        for suffix, only_foreign, (why, remedy) in ways:
            clash = self._database.execute(
                "SELECT one.key, other.key, other.output FROM source AS one JOIN source AS other "
                "ON other.output = one.output || :suffix "
                "WHERE :suffix != '' AND one.is_foreign >= :only_foreign",
                {"suffix": suffix, "only_foreign": only_foreign},
            ).fetchone()
            if clash is not None:
                one, other, output = clash
                raise ConfigError(
                    f"{one!r}, if it is {why}, and {other!r} would both be written to {output!r}; "
                    f"rename one, {remedy}"
                )

    def refuse_source(self, source: ObjectInfo, problem: str) -> None:
        """Add a source that is recorded as failed without being read."""
        row = (source.key, source.token, source.size_bytes, None, problem)
        self._database.execute("INSERT INTO source VALUES (?, ?, ?, ?, ?, 0, 0)", row)

    def pass_over(self, source: ObjectInfo) -> None:
        """Add a source that is not a photo by its name."""
        row = (source.key, source.token, source.size_bytes)
        self._database.execute("INSERT INTO source VALUES (?, ?, ?, NULL, NULL, 1, 0)", row)

    def add_output(self, output: ObjectInfo) -> None:
        """Add an object of the destination."""
        self._database.execute("INSERT INTO output VALUES (?, ?)", (output.key, output.token))

    def add_records(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Add (source key, source token, output token) of outputs with the plan's own stamp."""
        self._database.executemany("INSERT OR IGNORE INTO record VALUES (?, ?, ?)", rows)

    def count(self) -> tuple[int, int, int]:
        """Count all sources, sources to upscale, and their bytes."""
        (total,) = self._database.execute("SELECT count(*) FROM source").fetchone()
        todo, size = self._database.execute(
            f"SELECT count(*), coalesce(sum(bytes), 0) FROM source "  # noqa: S608  # constants
            f"WHERE {_TODO}",
            self._suffix,
        ).fetchone()
        return total, todo, size

    def count_refused(self) -> int:
        """Count sources that are recorded as failed without being read."""
        query = f"SELECT count(*) FROM source WHERE {_REFUSED}"  # noqa: S608  # constants
        (refused,) = self._database.execute(query).fetchone()
        return int(refused)

    def count_failed_before(self) -> int:
        """Count sources that are left out because they failed in an earlier run."""
        (failed,) = self._database.execute(
            f"SELECT count(*) FROM source "  # noqa: S608  # constants
            f"WHERE {_UNSETTLED} AND {_FAILED_BEFORE}",
            self._suffix,
        ).fetchone()
        return int(failed)

    def passed_over(self, num_keys: int) -> tuple[int, tuple[str, ...]]:
        """Count sources that are known not to be photos, and give the first few of their keys."""
        where = f"is_other OR {_PASSED_OVER}"
        (count,) = self._database.execute(
            f"SELECT count(*) FROM source WHERE {where}"  # noqa: S608  # constants
        ).fetchone()
        rows = self._database.execute(
            f"SELECT key FROM source WHERE {where} ORDER BY key LIMIT ?",  # noqa: S608  # constants
            (num_keys,),
        )
        return count, tuple(key for (key,) in rows)

    def bytes_above(self, largest: int) -> int:
        """Sum the bytes of sources to upscale that are larger than `largest` bytes."""
        (size,) = self._database.execute(
            f"SELECT coalesce(sum(bytes), 0) FROM source "  # noqa: S608  # constants
            f"WHERE bytes > :largest AND {_TODO}",
            self._suffix | {"largest": largest},
        ).fetchone()
        return int(size)

    def todo(self) -> Iterator[Item]:
        """Sources that no record covers, in the order of keys.

        A record covers a source if it was made from this source, unchanged, and its output is still
        the object at the output's key.
        """
        rows = self._database.execute(
            f"SELECT key, token, bytes, output FROM source "  # noqa: S608  # constants
            f"WHERE {_TODO} ORDER BY key",
            self._suffix,
        )
        for key, token, size, output in rows:
            yield Item(key=key, token=token, size_bytes=size, output=output)

    def refused(self) -> Iterator[tuple[ObjectInfo, str]]:
        """Refused sources with their problem, in the order of keys."""
        rows = self._database.execute(
            f"SELECT key, token, bytes, problem FROM source "  # noqa: S608  # constants
            f"WHERE {_REFUSED} ORDER BY key"
        )
        for key, token, size, problem in rows:
            yield ObjectInfo(key, token, size), problem
