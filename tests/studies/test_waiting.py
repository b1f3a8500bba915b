"""A study that ends by itself, and who is told."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from srgan.errors import OrchestratorError, StorageError
from srgan.services import prefect_runs
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.storage import write_document
from srgan.studies import waiting
from srgan.studies.database import Database
from srgan.studies.design import Closed, find_end
from srgan.studies.parts import Screen, read_parts
from srgan.studies.waiting import try_end
from tests.support.studies import SCREEN, design_by_hand

RUN = "0c2d7c5e-8f0e-4b5e-9c51-0d4b6f0c9a11"
STUDY = design_by_hand(num_images=1, enough=2, num_raters=3, flow_run=RUN)
WITH_PREFECT = Settings(PREFECT_API_URL="http://127.0.0.1:9/api")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "ratings.sqlite", STUDY)
    opened.ensure_raters(3)
    yield opened
    opened.close_connection()


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Flow runs that Prefect was asked to resume; it does so at the second time."""
    asked: list[str] = []

    def resume(run_id: str) -> bool:
        asked.append(run_id)
        return len(asked) > 1

    monkeypatch.setattr(prefect_runs, "resume_flow_run", resume)
    return asked


def finish(database: Database, number: int, num_answers: int = 3) -> None:
    token = database.progress()[number].token
    database.begin(token, "en", Screen.model_validate(SCREEN))
    state = database.end_training(token)
    for _ in range(num_answers):
        assert state.task is not None
        state = database.judge(token, state.task.id, "4", 1.0, 1.0)


def test_a_study_ends_when_enough_raters_have_judged_everything(
    object_store: S3Store, database: Database, resumed: list[str]
) -> None:
    finish(database, 0)
    finish(database, 1, num_answers=2)
    assert not try_end(object_store, STUDY, database, WITH_PREFECT)
    assert find_end(object_store, "spring") is None
    finish(database, 2)
    assert not try_end(object_store, STUDY, database, WITH_PREFECT), "the run is not suspended yet"
    assert try_end(object_store, STUDY, database, WITH_PREFECT)
    assert resumed == [RUN, RUN]
    end = find_end(object_store, "spring")
    assert end is not None
    assert (end.num_raters, end.num_judgements) == (3, 8)
    assert sum(len(part.judgements) for part in read_parts(object_store, "spring")) == 8
    assert {database.state(each.token).step for each in database.progress()} == {"closed"}


def test_a_study_that_nobody_gave_an_end_goes_on(
    object_store: S3Store, tmp_path: Path, resumed: list[str]
) -> None:
    study = design_by_hand(num_images=1)
    database = Database(tmp_path / "open.sqlite", study)
    database.ensure_raters(1)
    finish(database, 0)
    assert not try_end(object_store, study, database, WITH_PREFECT)
    assert database.state(database.progress()[0].token).step == "done"
    assert (find_end(object_store, "spring"), resumed) == (None, [])
    database.close_connection()


def test_a_study_that_was_closed_elsewhere_takes_no_answers_here(
    object_store: S3Store, database: Database, resumed: list[str]
) -> None:
    end = Closed(closed_at="now", num_raters=1, num_judgements=3)
    write_document(object_store, "studies/spring/closed.json", end)
    try_end(object_store, STUDY, database, WITH_PREFECT)
    assert database.state(database.progress()[0].token).step == "closed"
    assert (find_end(object_store, "spring"), resumed) == (end, [RUN])


def test_without_prefect_it_is_said_how_the_flow_run_is_resumed(
    object_store: S3Store,
    database: Database,
    resumed: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    finish(database, 0)
    finish(database, 1)
    assert try_end(object_store, STUDY, database, Settings(PREFECT_API_URL=None))
    assert f"PREFECT_API_URL is not set: resume flow run {RUN}, which waits for study spring" in (
        caplog.text
    )
    assert resumed == []


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("resume_waiting", OrchestratorError("Prefect's server is away")),
        ("close_study", StorageError("s3://srgan is away")),
    ],
)
def test_the_end_waits_for_a_service_that_is_away(
    object_store: S3Store,
    database: Database,
    resumed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
    error: Exception,
) -> None:
    finish(database, 0)
    finish(database, 1)

    def refuse(*_: object) -> bool:
        raise error

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(waiting, place, refuse)
        assert not try_end(object_store, STUDY, database, WITH_PREFECT)
    assert f"the end of the study has to wait: {error}" in caplog.text
    try_end(object_store, STUDY, database, WITH_PREFECT)
    assert try_end(object_store, STUDY, database, WITH_PREFECT)
    assert find_end(object_store, "spring") is not None
