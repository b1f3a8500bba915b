"""Answers in SQLite: exactly once, in order, deleted when their rater withdraws."""

import sqlite3
import struct
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from srgan.errors import ConfigError
from srgan.mos.ratings import Preference, Rating
from srgan.studies import database as database_module
from srgan.studies.database import Database, StaleError, UnknownRaterError
from srgan.studies.design import StudyDesign
from srgan.studies.parts import Screen
from srgan.studies.state import RaterState
from srgan.studies.tasks import PairTasks
from tests.support.studies import SCREEN, design_by_hand


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "ratings.sqlite", design_by_hand())
    opened.ensure_raters(2)
    yield opened
    opened.close_connection()


@pytest.fixture
def token(database: Database) -> str:
    """A rater who has begun and been trained."""
    token = database.progress()[0].token
    start(database, token)
    return token


def start(database: Database, token: str) -> RaterState:
    database.begin(token, "en", Screen.model_validate(SCREEN))
    return database.end_training(token)


def judge(database: Database, token: str, answer: str = "3", task: str | None = None) -> RaterState:
    if task is None:
        current = database.state(token).task
        assert current is not None
        task = current.id
    return database.judge(token, task, answer, 1.0, 1.0)


def scores(database: Database) -> list[int]:
    """Every score that is in the changed parts, in the order of ratings."""
    found = [each for part, _ in database.parts(changed=True) for each in part.judgements]
    return [each.score for each in found if isinstance(each, Rating)]


def test_a_rater_goes_from_welcome_over_training_to_the_end(database: Database) -> None:
    token = database.progress()[0].token
    assert database.state(token).step == "welcome"
    with pytest.raises(StaleError):
        database.end_training(token)
    state = database.begin(token, "ko", Screen.model_validate(SCREEN))
    assert (state.step, len(state.examples)) == ("training", 2)
    assert [each.expected for each in state.examples] == ["1", "5"]
    assert database.language_of(token) == "ko"
    state = database.end_training(token)
    for done in range(18):
        assert (state.step, state.done, state.total) == ("judging", done, 18)
        assert (state.next is None) == (done == 17)
        expected = state.next
        state = judge(database, token)
        assert state.task == expected, "the browser has fetched the right pictures"
    assert (state.step, state.task) == ("done", None)


def test_who_begins_again_began_when_they_began(database: Database, token: str) -> None:
    (before,) = [part.began_at for part, _ in database.parts() if part.began_at]
    database.begin(token, "ko", Screen.model_validate(SCREEN))
    (part,) = [part for part, _ in database.parts() if part.began_at]
    assert (part.began_at, part.language) == (before, "ko")
    assert database.state(token).step == "judging", "the training is not asked for again"


def test_an_answer_counts_once_however_often_it_comes(database: Database, token: str) -> None:
    first = database.state(token).task
    assert first is not None
    assert judge(database, token, "4", first.id).done == 1
    assert judge(database, token, "4", first.id).done == 1
    assert judge(database, token, "2", first.id).done == 1, "the other tab comes too late"
    assert scores(database) == [4]


def test_an_answer_that_comes_again_is_nothing_new_to_export(
    database: Database, token: str
) -> None:
    first = database.state(token).task
    assert first is not None
    judge(database, token, "4", first.id)
    for part, revision in database.parts(changed=True):
        database.note_exported(part, revision)
    judge(database, token, "4", first.id)
    assert list(database.parts(changed=True)) == []


def test_threads_that_send_one_answer_at_once_store_one(database: Database, token: str) -> None:
    first = database.state(token).task
    assert first is not None
    threads = [
        threading.Thread(target=judge, args=(database, token, answer, first.id))
        for answer in "12345" * 4
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(scores(database)) == 1
    assert database.state(token).done == 1


def test_only_the_current_task_can_be_answered(database: Database, token: str) -> None:
    following = database.state(token).next
    assert following is not None
    with pytest.raises(StaleError):
        judge(database, token, "3", following.id)
    other = database.progress()[1].token
    foreign = start(database, other).task
    assert foreign is not None
    with pytest.raises(StaleError):
        judge(database, token, "3", foreign.id)
    assert database.picture(token, foreign.pictures[0]) is None


def test_an_example_is_not_an_answer(database: Database) -> None:
    token = database.progress()[0].token
    example = database.begin(token, "en", Screen.model_validate(SCREEN)).examples[0]
    with pytest.raises(StaleError):
        judge(database, token, "1", example.id)
    database.end_training(token)
    with pytest.raises(StaleError):
        judge(database, token, "1", example.id)
    assert scores(database) == []


def test_undo_takes_the_last_answer_back_and_a_late_copy_of_it_is_refused(
    database: Database, token: str
) -> None:
    judge(database, token, "5")
    second = database.state(token).task
    assert second is not None
    state = judge(database, token, "1")
    assert state.undo == second.id
    state = database.undo(token, second.id)
    assert (state.done, scores(database)) == (1, [5])
    assert state.task is not None
    assert state.task.id != second.id
    with pytest.raises(StaleError):
        judge(database, token, "1", second.id)
    assert database.undo(token, second.id).done == 1, "a repetition takes nothing more back"
    judge(database, token, "2")
    assert scores(database) == [5, 2]


def test_an_example_cannot_be_taken_back(database: Database) -> None:
    token = database.progress()[0].token
    examples = database.begin(token, "en", Screen.model_validate(SCREEN)).examples
    database.undo(token, examples[0].id)
    assert database.state(token).examples == examples


def test_everything_is_there_after_the_process_was_opened_again(
    database: Database, token: str, tmp_path: Path
) -> None:
    judge(database, token, "5")
    again = Database(tmp_path / "ratings.sqlite", design_by_hand())
    assert again.state(token) == database.state(token)
    assert again.admin_token == database.admin_token
    assert [each.token for each in again.progress()] == [e.token for e in database.progress()]
    again.close_connection()
    with pytest.raises(ConfigError, match="another study 'spring', created at"):
        Database(tmp_path / "ratings.sqlite", design_by_hand(created_at="later"))


def test_nobody_else_can_read_the_file(database: Database, tmp_path: Path) -> None:
    assert (tmp_path / "ratings.sqlite").stat().st_mode & 0o077 == 0


def test_withdrawing_deletes_everything_also_from_the_file(
    database: Database, token: str, tmp_path: Path
) -> None:
    for _ in range(5):
        judge(database, token)
    (part, _) = next(database.parts(changed=True))
    database.withdraw(token)
    for call in (database.state, database.language_of, database.withdraw):
        with pytest.raises(UnknownRaterError):
            call(token)
    assert list(database.parts(changed=True)) == []
    assert database.withdrawn() == [part.rater]
    database.note_deleted(part.rater)
    database.close_connection()
    for file in tmp_path.iterdir():
        data = file.read_bytes()
        assert token.encode() not in data
        assert part.rater.encode() not in data
    reopened = Database(tmp_path / "ratings.sqlite", design_by_hand())
    reopened.ensure_raters(2)
    assert [each.number for each in reopened.progress()] == [0, 1], "another rater takes the place"
    reopened.close_connection()


def test_a_withdrawn_answer_is_not_in_the_file_whatever_sqlite_does_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def careless(*given: Any, **options: Any) -> sqlite3.Connection:
        """As a SQLite that was built without SQLITE_SECURE_DELETE."""
        connection = connect(*given, **options)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    monkeypatch.setattr(sqlite3, "connect", careless)
    database = Database(tmp_path / "ratings.sqlite", design_by_hand())
    stays, leaves = database.add_rater(), database.add_rater()
    for token in (stays, leaves):
        start(database, token)
    traces = []
    for seconds in (1.2345678, 9.8765432):
        task = database.state(leaves).task
        assert task is not None
        traces += [task.id.encode(), task.pictures[0].encode(), struct.pack(">d", seconds)]
        database.judge(leaves, task.id, "3", seconds, 1.0)
        judge(database, stays)
    assert all(raw(tmp_path).count(trace) for trace in traces), "the test knows what to look for"
    database.withdraw(leaves)
    assert [trace for trace in traces if trace in raw(tmp_path)] == []
    database.close_connection()


def raw(folder: Path) -> bytes:
    """Every byte of a database, with its write-ahead log."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


@pytest.mark.parametrize(("break_after", "breaks"), [(4, [4, 8, 12, 16]), (9, [9])])
def test_a_break_is_due_after_as_many_answers_as_the_design_says_but_not_at_the_end(
    tmp_path: Path, break_after: int, breaks: list[int]
) -> None:
    database = Database(tmp_path / "b.sqlite", design_by_hand(break_after=break_after))
    token = database.add_rater()
    start(database, token)
    rests = [judge(database, token).rest for _ in range(18)]
    assert [index + 1 for index, rest in enumerate(rests) if rest] == breaks
    database.close_connection()


def test_a_closed_study_takes_no_answer_and_lets_raters_withdraw(
    database: Database, token: str
) -> None:
    task = database.state(token).task
    assert task is not None
    database.close_study()
    assert database.state(token).step == "closed"
    with pytest.raises(StaleError):
        judge(database, token, "3", task.id)
    database.withdraw(token)


def test_raters_have_finished_with_their_last_answer(database: Database, token: str) -> None:
    for done in range(18):
        assert database.num_finished() == 0, done
        state = judge(database, token)
    assert database.num_finished() == 1
    assert state.undo is not None
    database.undo(token, state.undo)
    assert database.num_finished() == 0


def test_pairs_are_chosen_one_by_one_and_undoing_one_forgets_it(tmp_path: Path) -> None:
    study = design_by_hand(judging="pairs", judgements_per_rater=18, num_images=6)
    database = Database(tmp_path / "p.sqlite", study)
    token = database.add_rater()
    state = start(database, token)
    for answer in ("left", "right", "same"):
        assert state.task is not None
        assert len(state.task.pictures) == 2
        assert state.next is None
        state = database.judge(token, state.task.id, answer, 1.0, 1.0)
    assert state.undo is not None
    state = database.undo(token, state.undo)
    assert state.done == 2
    while state.step == "judging":
        assert state.task is not None
        state = database.judge(token, state.task.id, "same", 1.0, 1.0)
    (part, _) = next(database.parts(changed=True))
    pairs = {(e.image, frozenset((e.left, e.right))) for e in part.judgements}  # type: ignore[union-attr]
    assert len(part.judgements) == len(pairs) == 18
    database.close_connection()


@pytest.fixture
def pairs(tmp_path: Path) -> Iterator[Database]:
    """A study in which two raters compare all 18 pairs."""
    study = design_by_hand(judging="pairs", judgements_per_rater=18, num_images=6)
    opened = Database(tmp_path / "p.sqlite", study)
    opened.ensure_raters(2)
    yield opened
    opened.close_connection()


def compared(database: Database, number: int) -> list[tuple[str, frozenset[str]]]:
    """Image and methods of each pair that rater `number` has judged, in order."""
    (part,) = (part for part, _ in database.parts() if part.number == number)
    found = [each for each in part.judgements if isinstance(each, Preference)]
    return [(each.image, frozenset((each.left, each.right))) for each in found]


def test_a_pair_that_was_taken_back_is_asked_again(pairs: Database) -> None:
    token = pairs.progress()[0].token
    state = start(pairs, token)
    for _ in range(18):
        state = judge(pairs, token, "left")
    last = compared(pairs, 0)[-1]
    assert state.undo is not None
    assert pairs.undo(token, state.undo).step == "judging"
    assert judge(pairs, token, "right").step == "done"
    assert compared(pairs, 0)[-1] == last, "it is the only pair that is left"
    assert len(set(compared(pairs, 0))) == 18


def test_the_choice_of_pairs_forgets_who_withdraws(
    pairs: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[Preference] = []
    monkeypatch.setattr(PairTasks, "remove", lambda _, given: forgotten.extend(given))
    stays, leaves = (each.token for each in pairs.progress())
    for token in (stays, leaves):
        start(pairs, token)
        judge(pairs, token, "same")
    given = compared(pairs, 1)
    pairs.withdraw(leaves)
    assert [(e.image, frozenset((e.left, e.right))) for e in forgotten] == given


def test_the_choice_of_pairs_forgets_an_answer_that_was_not_stored(
    pairs: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[int] = []

    class Counting(PairTasks):
        def __init__(self, study: StudyDesign, given: Iterable[Preference]) -> None:
            given = list(given)
            known.append(len(given))
            super().__init__(study, given)

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(database_module, "PairTasks", Counting)
    token = pairs.progress()[0].token
    start(pairs, token)
    judge(pairs, token, "left")
    with monkeypatch.context() as patch:
        patch.setattr(Counting, "next", fail)
        with pytest.raises(RuntimeError):
            judge(pairs, token, "left")
    assert judge(pairs, token, "left").done == 2
    assert known == [0, 2], "made again of both answers, each once"
