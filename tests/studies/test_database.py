"""Answers in SQLite: exactly once, in order, deleted when their rater withdraws."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from srgan.errors import ConfigError
from srgan.mos.ratings import Rating
from srgan.studies.database import Database, StaleError, UnknownRaterError
from srgan.studies.parts import Screen
from srgan.studies.state import State
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


def start(database: Database, token: str) -> State:
    database.begin(token, "en", Screen.model_validate(SCREEN))
    return database.end_training(token)


def judge(database: Database, token: str, answer: str = "3", task: str | None = None) -> State:
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


def test_an_answer_counts_once_however_often_it_comes(database: Database, token: str) -> None:
    first = database.state(token).task
    assert first is not None
    assert judge(database, token, "4", first.id).done == 1
    assert judge(database, token, "4", first.id).done == 1
    assert judge(database, token, "2", first.id).done == 1, "the other tab comes too late"
    assert scores(database) == [4]


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


def test_a_break_is_due_after_as_many_answers_as_the_design_says(tmp_path: Path) -> None:
    database = Database(tmp_path / "b.sqlite", design_by_hand(break_after=4))
    token = database.add_rater()
    start(database, token)
    rests = [judge(database, token).rest for _ in range(18)]
    assert [index + 1 for index, rest in enumerate(rests) if rest] == [4, 8, 12, 16]
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
