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

PASSED_OVER = "passed_over"
"""Output token in the record of a source that is not a photo."""
FAILED = "failed"
"""Output token in the record of a source that failed before, where that is not tried again."""
FAILED_ONCE = "failed in "
"""Begins the output token in the record of a source that a busy node may have failed on; the name
of the part follows, so that runs are counted."""
_MOST_RUNS = 3
"""Runs in which a source has failed when it is left out."""

_SCHEMA = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{_CACHE_KIB};

CREATE TABLE wanted (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE output (key TEXT PRIMARY KEY, token TEXT) WITHOUT ROWID;
CREATE TABLE record (source TEXT, source_token TEXT, output_token TEXT,
    PRIMARY KEY (source, source_token, output_token)) WITHOUT ROWID;

-- kind: 'photo', 'foreign' (a photo of a format that cannot be written), 'bad' (its problem is
-- known without reading it) or 'other' (not a photo by its name).
CREATE TABLE source (key TEXT PRIMARY KEY, token TEXT, bytes INTEGER, kind TEXT, output TEXT,
    problem TEXT) WITHOUT ROWID;
CREATE UNIQUE INDEX one_source_per_output ON source (output);

-- What may have been appended to an output's key.
CREATE TABLE suffix (text TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE VIEW judged AS SELECT key, token, bytes, output, problem, CASE
    WHEN kind = 'other' OR EXISTS (
        SELECT 1 FROM record WHERE record.source = source.key
        AND record.source_token = source.token AND output_token = '{PASSED_OVER}'
    ) THEN 'passed over'
    -- Made from this source, unchanged, and its output is still the object at the output's key.
    WHEN EXISTS (
        SELECT 1 FROM record CROSS JOIN suffix CROSS JOIN output
        WHERE record.source = source.key AND record.source_token = source.token
        AND output.key = source.output || suffix.text AND output.token = record.output_token
    ) THEN 'covered'
    WHEN {_MOST_RUNS} <= (
        SELECT total(iif(output_token = '{FAILED}', {_MOST_RUNS},
            output_token GLOB '{FAILED_ONCE}*'))
        FROM record WHERE record.source = source.key AND record.source_token = source.token
    ) THEN 'failed before'
    WHEN kind = 'bad' THEN 'refused'
    ELSE 'to do' END AS state
FROM source;
"""  # noqa: S608  # constants


class Item(Ref):
    """One source to upscale."""

    key: str
    token: str
    size_bytes: int
    output: str
    """Key of the output in the destination's bucket."""
    output_exists: bool = True
    """False if the destination had nothing at this key when the run was planned, with any suffix
    that may be appended. Batches of earlier releases do not say so."""


class Join:
    """Sources, outputs and records of one plan; closing deletes the file."""

    def __init__(self, reroute_suffix: str = "") -> None:
        """`reroute_suffix` is appended to outputs that are too large for their format."""
        self._reroute_suffix = reroute_suffix
        # The empty name is a private file that spills to disk; a crash does not leave it behind.
        self._database = sqlite3.connect("")
        self._database.executescript(_SCHEMA)
        suffixes = {"", reroute_suffix, *INSTEAD}
        self._database.executemany("INSERT INTO suffix VALUES (?)", ((each,) for each in suffixes))

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
            "INSERT INTO source SELECT key, '', 0, 'bad', NULL, ? FROM wanted "
            "WHERE key NOT IN (SELECT key FROM source)",
            (problem,),
        )

    def add_source(self, source: ObjectInfo, output: str, *, is_foreign: bool = False) -> None:
        """Add a source to upscale; `ConfigError` naming both if another has the same output.

        `is_foreign`: its format cannot be written, so a suffix is appended to its output.
        """
        kind = "foreign" if is_foreign else "photo"
        row = (source.key, source.token, source.size_bytes, kind, output)
        try:
            self._database.execute("INSERT INTO source VALUES (?, ?, ?, ?, ?, NULL)", row)
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
        ways = [(self._reroute_suffix, False, too_large)]
        ways += [(suffix, True, foreign) for suffix in INSTEAD]
        for suffix, only_foreign, (why, remedy) in ways:
            clash = self._database.execute(
                "SELECT one.key, other.key, other.output FROM source AS one JOIN source AS other "
                "ON other.output = one.output || :suffix "
                "WHERE :suffix != '' AND (one.kind = 'foreign' OR NOT :only_foreign)",
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
        row = (source.key, source.token, source.size_bytes, problem)
        self._database.execute("INSERT INTO source VALUES (?, ?, ?, 'bad', NULL, ?)", row)

    def pass_over(self, source: ObjectInfo) -> None:
        """Add a source that is not a photo by its name."""
        row = (source.key, source.token, source.size_bytes)
        self._database.execute("INSERT INTO source VALUES (?, ?, ?, 'other', NULL, NULL)", row)

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
            "SELECT count(*), coalesce(sum(bytes), 0) FROM judged WHERE state = 'to do'"
        ).fetchone()
        return total, todo, size

    def count_refused(self) -> int:
        """Count sources that are recorded as failed without being read."""
        return self._count("refused")

    def count_failed_before(self) -> int:
        """Count sources that are left out because they failed in an earlier run."""
        return self._count("failed before")

    def passed_over(self, num_keys: int) -> tuple[int, tuple[str, ...]]:
        """Count sources that are known not to be photos, and give the first few of their keys."""
        rows = self._database.execute(
            "SELECT key FROM judged WHERE state = 'passed over' ORDER BY key LIMIT ?", (num_keys,)
        )
        return self._count("passed over"), tuple(key for (key,) in rows)

    def bytes_above(self, largest: int) -> int:
        """Sum the bytes of sources to upscale that are larger than `largest` bytes."""
        query = "SELECT coalesce(sum(bytes), 0) FROM judged WHERE bytes > ? AND state = 'to do'"
        (size,) = self._database.execute(query, (largest,)).fetchone()
        return int(size)

    def todo(self) -> Iterator[Item]:
        """Sources that no record covers, in the order of keys."""
        rows = self._database.execute(
            "SELECT key, token, bytes, output, EXISTS (SELECT 1 FROM suffix CROSS JOIN output "
            "WHERE output.key = judged.output || suffix.text) "
            "FROM judged WHERE state = 'to do' ORDER BY key"
        )
        for key, token, size, output, exists in rows:
            yield Item(
                key=key, token=token, size_bytes=size, output=output, output_exists=bool(exists)
            )

    def refused(self) -> Iterator[tuple[ObjectInfo, str]]:
        """Refused sources with their problem, in the order of keys."""
        rows = self._database.execute(
            "SELECT key, token, bytes, problem FROM judged WHERE state = 'refused' ORDER BY key"
        )
        for key, token, size, problem in rows:
            yield ObjectInfo(key, token, size), problem

    def _count(self, state: str) -> int:
        query = "SELECT count(*) FROM judged WHERE state = ?"
        (count,) = self._database.execute(query, (state,)).fetchone()
        return int(count)
