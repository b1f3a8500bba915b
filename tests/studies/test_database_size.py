"""The work of a page is the same for the hundredth rating and for the ten thousandth."""

import sqlite3
from pathlib import Path

import pytest

from srgan.studies.database import Database
from srgan.studies.parts import Screen
from srgan.studies.sqlite import Sqlite
from srgan.studies.state import RaterState
from tests.support.studies import SCREEN, design_by_hand

OTHERS = 200
ANSWERS = 18


class Meter:
    """Counts the steps of SQLite's virtual machine, which do not depend on the machine."""

    def __init__(self, database: Database) -> None:
        sql = database._sql
        assert isinstance(sql, Sqlite)
        self._connection: sqlite3.Connection = sql._connection
        self._steps = 0
        self._connection.set_progress_handler(self._step, 10)

    def _step(self) -> int:
        self._steps += 1
        return 0

    def take(self) -> int:
        """Steps since the last call, in tens."""
        steps, self._steps = self._steps, 0
        return steps


def work(database: Database, token: str) -> dict[str, int]:
    """Steps of everything that a rater's page asks for."""
    meter = Meter(database)
    state = database.state(token)
    assert state.task is not None
    meter.take()
    found = {}
    state = database.state(token)
    found["state"] = meter.take()
    assert state.task is not None
    assert database.picture(token, state.task.pictures[-1])
    found["picture"] = meter.take()
    state = database.judge(token, state.task.id, _answer(state), 1.0, 1.0)
    found["judge"] = meter.take()
    assert state.undo is not None
    database.undo(token, state.undo)
    found["undo"] = meter.take()
    return found


def _answer(state: RaterState) -> str:
    assert state.task is not None
    return "3" if len(state.task.pictures) == 1 else "left"


def fill(path: Path) -> None:
    """Add the answers of many raters, as if they had been given."""
    with sqlite3.connect(path) as connection:
        for rater in range(OTHERS):
            values = (f"r{rater}", f"t{rater}", 100 + rater)
            connection.execute("INSERT INTO raters (id, token, number) VALUES (?, ?, ?)", values)
            connection.executemany(
                "INSERT INTO tasks (id, rater, position, image, left_method, right_method, "
                "repeat, left_picture, right_picture, answer, seconds, pixel_ratio, given_at) "
                "VALUES (?, ?, ?, 'photos/0.png', 'plain', 'nearest', 0, ?, ?, 'left', 1, 1, 1)",
                [
                    (f"{rater}-{n}", f"r{rater}", n, f"l{rater}-{n}", f"p{rater}-{n}")
                    for n in range(ANSWERS)
                ],
            )
    connection.close()


@pytest.mark.parametrize("judging", ["ratings", "pairs"])
def test_a_page_costs_the_same_whatever_others_have_rated(tmp_path: Path, judging: str) -> None:
    path = tmp_path / "ratings.sqlite"
    database = Database(path, design_by_hand(judging=judging, judgements_per_rater=18))
    token = database.add_rater()
    database.begin(token, "en", Screen.model_validate(SCREEN))
    state = database.end_training(token)
    for _ in range(3):
        assert state.task is not None
        state = database.judge(token, state.task.id, _answer(state), 1.0, 1.0)
    before = work(database, token)
    fill(path)
    after = work(database, token)
    database.close_connection()
    grown = {
        name: (steps, after[name]) for name, steps in before.items() if after[name] > steps + 5
    }
    assert grown == {}
