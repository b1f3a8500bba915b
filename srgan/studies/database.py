"""Everything that raters do, in SQLite: an answer is on the disk before the browser is told so.

A task is one question to one rater, with random ids for itself and its pictures. It is answered at
most once: its row holds the answer, and a rater has one row for each position. Undoing deletes the
row, so that a late repetition of the undone answer finds nothing.
"""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from srgan.errors import ConfigError
from srgan.studies.design import StudyDesign
from srgan.studies.parts import Part, Screen, answers_of, preference_of
from srgan.studies.sqlite import Sqlite
from srgan.studies.state import RaterProgress, RaterState, Shown
from srgan.studies.tasks import PairTasks, Task, examples_of, num_tasks, rating_tasks

DATABASE = "ratings.sqlite"

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS raters (
    id TEXT PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    number INTEGER NOT NULL UNIQUE,
    began_at REAL,
    trained_at REAL,
    language TEXT,
    screen TEXT,
    revision INTEGER NOT NULL DEFAULT 0,
    exported INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS tasks (
    id TEXT PRIMARY KEY,
    rater TEXT NOT NULL REFERENCES raters (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,  -- from 0; below 0 for examples
    image TEXT NOT NULL,
    left_method TEXT NOT NULL,
    right_method TEXT,
    repeat INTEGER NOT NULL,
    left_picture TEXT NOT NULL UNIQUE,
    right_picture TEXT UNIQUE,
    answer TEXT,
    seconds REAL,
    pixel_ratio REAL,
    given_at REAL,
    UNIQUE (rater, position)
);
CREATE TABLE IF NOT EXISTS withdrawn (rater TEXT PRIMARY KEY);
"""


class UnknownRaterError(Exception):
    """No rater has this token: it never existed, or its rater has withdrawn."""


class StaleError(Exception):
    """The task is not the current one any more: another tab went on, or it was undone."""


class Database:
    """The ratings of one study. Safe for many threads; one process serves a study."""

    def __init__(self, path: Path, design: StudyDesign) -> None:
        self._design = design
        self._images = {each.name: each for each in design.images}
        self._examples = {each.name: each for each in design.examples}
        self._rating_tasks = lru_cache(maxsize=256)(partial(rating_tasks, design))
        self._pair_tasks: PairTasks | None = None
        self._sql = Sqlite(path, _TABLES)
        with self._changing():
            created_at = self._fact("created_at", design.created_at)
            if created_at != design.created_at:
                raise ConfigError(
                    f"{path} holds ratings of another study {design.name!r}, created at "
                    f"{created_at}; move that file away, or set SRGAN_HOME"
                )
            self.admin_token = self._fact("admin", secrets.token_urlsafe(24))

    def close_connection(self) -> None:
        self._sql.close()

    # Raters.

    def ensure_raters(self, count: int) -> None:
        """Make links until there are `count`."""
        with self._changing():
            while self._sql.value("SELECT count(*) FROM raters") < count:
                self._add_rater()

    def add_rater(self) -> str:
        """Make one more link and return its token."""
        with self._changing():
            return self._add_rater()

    def progress(self) -> list[RaterProgress]:
        """Every link, by number."""
        return [
            RaterProgress(
                number=row["number"],
                token=row["token"],
                began=row["began_at"] is not None,
                done=self._done(row["id"]),
                total=num_tasks(self._design),
            )
            for row in self._sql.rows("SELECT * FROM raters ORDER BY number")
        ]

    def num_finished(self) -> int:
        """Raters who have judged everything."""
        # CROSS, or SQLite would look through all answers for those at the last position.
        query = (
            "SELECT count(*) FROM raters CROSS JOIN tasks ON rater = raters.id "
            "WHERE position = ? AND answer IS NOT NULL"
        )
        return int(self._sql.value(query, num_tasks(self._design) - 1))

    def language_of(self, token: str) -> str | None:
        """The language that a rater began in; None before. `UnknownRaterError` for other tokens."""
        language: str | None = self._rater(token)["language"]
        return language

    def state(self, token: str) -> RaterState:
        """Where a rater is. `UnknownRaterError`, here and below, for a token that nobody has."""
        with self._changing():
            return self._state(self._rater(token))

    def begin(self, token: str, language: str, screen: Screen) -> RaterState:
        """Note that the rater has agreed and has done the screen check."""
        with self._changing():
            rater = self._rater(token)
            self._require_open()
            self._change(
                rater,
                "began_at = coalesce(began_at, ?), language = ?, screen = ?",
                (time.time(), language, screen.model_dump_json()),
            )
            return self._state(self._rater(token))

    def end_training(self, token: str) -> RaterState:
        with self._changing():
            rater = self._rater(token)
            self._require_open()
            if rater["began_at"] is None:
                raise StaleError
            self._change(rater, "trained_at = coalesce(trained_at, ?)", (time.time(),))
            return self._state(self._rater(token))

    def judge(
        self, token: str, task: str, answer: str, seconds: float, pixel_ratio: float
    ) -> RaterState:
        """Store an answer once and return what comes next.

        A repetition changes nothing, even with another answer: the first one counts, for instance
        of two tabs with the same task. `StaleError` for a task that is not there (any more).
        """
        with self._changing():
            rater = self._rater(token)
            self._require_open()
            done = self._done(rater["id"])
            row = self._task(rater["id"], task)
            if row is None or not 0 <= row["position"] <= done or rater["trained_at"] is None:
                raise StaleError
            if row["position"] < done:
                return self._state(rater)
            self._sql.execute(
                "UPDATE tasks SET answer = ?, seconds = ?, pixel_ratio = ?, given_at = ? "
                "WHERE id = ? AND answer IS NULL",
                *(answer, seconds, pixel_ratio, time.time(), task),
            )
            self._change(rater)
            if self._pair_tasks:
                judged = self._task(rater["id"], task)
                assert judged is not None
                self._pair_tasks.add(preference_of(judged))
            state = self._state(rater)
            rest = state.step == "judging" and state.done % self._design.break_after == 0
            return state.model_copy(update={"rest": rest})

    def undo(self, token: str, task: str) -> RaterState:
        """Take back the last answer, which `task` must be; a repetition changes nothing."""
        with self._changing():
            rater = self._rater(token)
            self._require_open()
            last = self._done(rater["id"]) - 1
            row = self._task(rater["id"], task)
            if row is not None and row["position"] == last >= 0:
                self._sql.execute(
                    "DELETE FROM tasks WHERE rater = ? AND position >= ?", rater["id"], last
                )
                self._change(rater)
                if self._pair_tasks:
                    self._pair_tasks.remove([preference_of(row)])
            return self._state(rater)

    def withdraw(self, token: str) -> None:
        """Delete the rater with everything; the link is unknown from now on.

        The rater's id is kept until the exported part is deleted too, see `withdrawn`.
        """
        with self._changing():
            rater = self._rater(token)
            if self._pair_tasks:
                self._pair_tasks.remove(map(preference_of, self._judged(rater["id"])))
            self._sql.execute("INSERT INTO withdrawn VALUES (?)", rater["id"])
            self._sql.execute("DELETE FROM raters WHERE id = ?", rater["id"])
        self._sql.forget()

    def picture(self, token: str, picture: str) -> str | None:
        """SHA-256 of the file behind a picture's id; None if the rater has no such picture."""
        rater = self._rater(token)
        row = self._sql.row(
            "SELECT position, image, left_method, right_method, left_picture FROM tasks "
            "WHERE rater = ? AND (left_picture = ? OR right_picture = ?)",
            *(rater["id"], picture, picture),
        )
        if row is None:
            return None
        images = self._images if row["position"] >= 0 else self._examples
        side = "left_method" if row["left_picture"] == picture else "right_method"
        return images[row["image"]].pictures[row[side]]

    # Parts.

    def exporting(self) -> AbstractContextManager[None]:
        """Wait until nobody else exports: a part that was read before must not come later."""
        return self._sql.alone()

    def parts(self, *, changed: bool = False) -> Iterator[tuple[Part, int]]:
        """Every rater's part with its revision; only those that are to be exported if `changed`."""
        query = "SELECT * FROM raters WHERE revision != exported OR NOT ? ORDER BY number"
        for row in self._sql.rows(query, changed):
            yield self._part(row), row["revision"]

    def note_exported(self, part: Part, revision: int) -> None:
        with self._changing():
            self._sql.execute("UPDATE raters SET exported = ? WHERE id = ?", revision, part.rater)

    def withdrawn(self) -> list[str]:
        """Ids of raters who have withdrawn and whose part may still be in the bucket."""
        return [row["rater"] for row in self._sql.rows("SELECT rater FROM withdrawn")]

    def note_deleted(self, rater: str) -> None:
        with self._changing():
            self._sql.execute("DELETE FROM withdrawn WHERE rater = ?", rater)

    def close_study(self) -> None:
        """Refuse answers from now on."""
        with self._changing():
            self._fact("closed", "1")

    def _part(self, rater: sqlite3.Row) -> Part:
        return Part(
            rater=rater["id"],
            number=rater["number"],
            language=rater["language"],
            began_at=rater["began_at"],
            screen=json.loads(rater["screen"]) if rater["screen"] else None,
            answers=answers_of(self._judged(rater["id"])),
        )

    def _judged(self, rater: str) -> list[sqlite3.Row]:
        return self._sql.rows(
            "SELECT * FROM tasks WHERE rater = ? AND answer IS NOT NULL ORDER BY position", rater
        )

    # Tasks, inside a transaction.

    def _state(self, rater: sqlite3.Row) -> RaterState:
        done, total = self._done(rater["id"]), num_tasks(self._design)
        counts: dict[str, Any] = {"done": done, "total": total}
        if self._is_closed():
            return RaterState(step="closed", **counts)
        if rater["began_at"] is None:
            return RaterState(step="welcome", **counts)
        if rater["trained_at"] is None:
            return RaterState(step="training", examples=self._training(rater["id"]), **counts)
        if done:
            query = "SELECT id FROM tasks WHERE rater = ? AND position = ?"
            counts["undo"] = self._sql.value(query, rater["id"], done - 1)
        if done == total:
            return RaterState(step="done", **counts)
        task = self._shown(rater, done)
        has_next = self._design.judging == "ratings" and done + 1 < total
        following = self._shown(rater, done + 1) if has_next else None
        return RaterState(step="judging", task=task, next=following, **counts)

    def _training(self, rater: str) -> tuple[Shown, ...]:
        found = []
        for index, (task, expected) in enumerate(examples_of(self._design)):
            row = self._made(rater, -1 - index, task)
            found.append(self._as_shown(row).model_copy(update={"expected": expected}))
        return tuple(found)

    def _shown(self, rater: sqlite3.Row, position: int) -> Shown:
        """The task at a position, which is chosen when it is first asked for."""
        query = "SELECT * FROM tasks WHERE rater = ? AND position = ?"
        row = self._sql.row(query, rater["id"], position)
        if row is None:
            row = self._made(rater["id"], position, self._chosen(rater, position))
        return self._as_shown(row)

    def _chosen(self, rater: sqlite3.Row, position: int) -> Task:
        if self._design.judging == "ratings":
            return self._rating_tasks(rater["number"])[position]
        if self._pair_tasks is None:
            rows = self._sql.rows("SELECT * FROM tasks WHERE answer IS NOT NULL ORDER BY given_at")
            self._pair_tasks = PairTasks(self._design, map(preference_of, rows))
        own = [preference_of(row) for row in self._judged(rater["id"])]
        return self._pair_tasks.next(rater["id"], own)

    def _made(self, rater: str, position: int, task: Task) -> sqlite3.Row:
        """The row of a task, which gets random ids if there is none yet."""
        self._sql.execute(
            "INSERT OR IGNORE INTO tasks (id, rater, position, image, left_method, right_method, "
            "repeat, left_picture, right_picture) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(secrets.token_urlsafe(12), rater, position, *task),
            secrets.token_urlsafe(12),
            None if task.right is None else secrets.token_urlsafe(12),
        )
        query = "SELECT * FROM tasks WHERE rater = ? AND position = ?"
        row = self._sql.row(query, rater, position)
        assert row is not None
        return row

    def _as_shown(self, row: sqlite3.Row) -> Shown:
        images = self._images if row["position"] >= 0 else self._examples
        image = images[row["image"]]
        pictures = (row["left_picture"], row["right_picture"])
        return Shown(
            id=row["id"],
            pictures=tuple(each for each in pictures if each),
            width=image.width,
            height=image.height,
        )

    def _task(self, rater: str, task: str) -> sqlite3.Row | None:
        return self._sql.row("SELECT * FROM tasks WHERE id = ? AND rater = ?", task, rater)

    def _done(self, rater: str) -> int:
        """Answers given, which are those of the first positions; looks at one or two of them."""
        query = (
            "SELECT position FROM tasks WHERE rater = ? AND answer IS NOT NULL "
            "ORDER BY position DESC LIMIT 1"
        )
        row = self._sql.row(query, rater)
        return int(row["position"]) + 1 if row else 0

    def _add_rater(self) -> str:
        taken = {row["number"] for row in self._sql.rows("SELECT number FROM raters")}
        number = next(each for each in range(len(taken) + 1) if each not in taken)
        token = secrets.token_urlsafe(16)
        self._sql.execute(
            "INSERT INTO raters (id, token, number) VALUES (?, ?, ?)",
            *(secrets.token_hex(8), token, number),
        )
        return token

    def _rater(self, token: str) -> sqlite3.Row:
        row = self._sql.row("SELECT * FROM raters WHERE token = ?", token)
        if row is None:
            raise UnknownRaterError
        return row

    def _change(self, rater: sqlite3.Row, assigned: str = "", values: tuple[Any, ...] = ()) -> None:
        more = f", {assigned}" if assigned else ""
        self._sql.execute(
            f"UPDATE raters SET revision = revision + 1{more} WHERE id = ?",  # noqa: S608  # ours
            *(*values, rater["id"]),
        )

    def _require_open(self) -> None:
        if self._is_closed():
            raise StaleError

    def _is_closed(self) -> bool:
        return self._sql.row("SELECT 1 FROM facts WHERE name = 'closed'") is not None

    def _fact(self, name: str, value: str) -> str:
        """The value of a fact; the first one that is set stays."""
        self._sql.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", name, value)
        return str(self._sql.value("SELECT value FROM facts WHERE name = ?", name))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._sql.transaction():
            try:
                yield
            except (StaleError, UnknownRaterError):
                raise
            except BaseException:
                self._pair_tasks = None  # it may have heard of what is rolled back
                raise
