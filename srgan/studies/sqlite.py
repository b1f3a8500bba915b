"""A SQLite file whose transactions are on the disk when they have ended."""

import fcntl
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "secure_delete = ON",  # who withdraws is not left in free pages
    "busy_timeout = 10000",
)


class Sqlite:
    """One connection, which threads use in turn: a transaction takes a few milliseconds."""

    def __init__(self, path: Path, tables: str) -> None:
        """Open a file that only this user can read; `tables` creates what is missing in it."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        for pragma in _PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(tables)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def execute(self, statement: str, *values: Any) -> None:
        with self._lock:
            self._connection.execute(statement, values)

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, *values: Any) -> sqlite3.Row | None:
        """The first row; None if there is none."""
        return next(iter(self.rows(query, *values)), None)

    def value(self, query: str, *values: Any) -> Any:
        """The first value of the first row, which has to be there."""
        return self.rows(query, *values)[0][0]

    def forget(self) -> None:
        """Overwrite what was deleted also in the write-ahead log."""
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other thread or process is in such a block of the same file."""
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything or nothing; on the disk when the block has ended."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
