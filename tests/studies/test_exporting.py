"""Ratings in the bucket: whole parts, whatever happens between two exports."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from srgan.errors import StorageError
from srgan.services.s3 import S3Store
from srgan.storage import ObjectInfo
from srgan.studies import exporting
from srgan.studies.database import Database
from srgan.studies.exporting import export_parts, try_export
from srgan.studies.parts import Screen, judgements_of, read_parts
from tests.support.studies import SCREEN, design_by_hand

STUDY = design_by_hand()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "ratings.sqlite", STUDY)
    opened.ensure_raters(2)
    yield opened
    opened.close_connection()


def rate(database: Database, number: int, *scores: int) -> None:
    token = database.progress()[number].token
    database.begin(token, "en", Screen.model_validate(SCREEN))
    state = database.end_training(token)
    for score in scores:
        assert state.task is not None
        state = database.judge(token, state.task.id, str(score), 1.0, 1.0)


def exported(store: S3Store) -> list[list[int]]:
    return [[e.score for e in part.judgements] for part in read_parts(store, "spring")]  # type: ignore[union-attr]


def test_a_part_grows_and_is_written_only_when_it_has_changed(
    database: Database, object_store: S3Store
) -> None:
    rate(database, 0, 4, 5)
    export_parts(object_store, "spring", database)
    export_parts(object_store, "spring", database)
    assert exported(object_store) == [[4, 5]]
    rate(database, 0, 1)
    rate(database, 1, 2)
    changed = [part.number for part, _ in database.parts(changed=True)]
    assert changed == [0, 1]
    export_parts(object_store, "spring", database)
    assert exported(object_store) == [[4, 5, 1], [2]]
    assert list(database.parts(changed=True)) == []
    kept = judgements_of(read_parts(object_store, "spring"))
    assert [each.score for each in kept] == [4, 5, 1, 2]  # type: ignore[union-attr]


def test_an_export_that_died_before_it_was_noted_is_repeated_without_doubling(
    database: Database, object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate(database, 0, 4, 5)
    with monkeypatch.context() as patch:
        patch.setattr(
            Database, "note_exported", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            export_parts(object_store, "spring", database)
    rate(database, 0, 3)
    export_parts(object_store, "spring", database)
    assert exported(object_store) == [[4, 5, 3]]


def test_what_is_rated_while_a_part_is_written_is_in_the_next_one(
    database: Database, object_store: S3Store
) -> None:
    rate(database, 0, 4)
    ((part, revision),) = list(database.parts(changed=True))
    rate(database, 0, 5)
    database.note_exported(part, revision)
    export_parts(object_store, "spring", database)
    assert exported(object_store) == [[4, 5]]


def test_a_rater_who_withdraws_is_deleted_from_the_bucket_too(
    database: Database, object_store: S3Store
) -> None:
    rate(database, 0, 4)
    rate(database, 1, 5)
    export_parts(object_store, "spring", database)
    database.withdraw(database.progress()[0].token)
    export_parts(object_store, "spring", database)
    assert exported(object_store) == [[5]]
    assert database.withdrawn() == []


def test_a_rater_who_withdraws_while_the_part_is_written_is_gone_after_the_same_export(
    database: Database, object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate(database, 0, 4)
    leaves = database.progress()[0].token
    write = exporting.write_document

    def write_late(*given: Any) -> str:
        database.withdraw(leaves)
        return write(*given)

    monkeypatch.setattr(exporting, "write_document", write_late)
    export_parts(object_store, "spring", database)
    assert exported(object_store) == []


def test_a_part_that_is_deleted_while_the_parts_are_read_is_left_out(
    database: Database, object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate(database, 0, 4)
    rate(database, 1, 5)
    export_parts(object_store, "spring", database)
    listed = S3Store.list

    def list_early(store: S3Store, prefix: str) -> Iterator[ObjectInfo]:
        found = list(listed(store, prefix))
        if database.progress()[0].done == 1:
            database.withdraw(database.progress()[0].token)
            export_parts(object_store, "spring", database)
        return iter(found)

    monkeypatch.setattr(S3Store, "list", list_early)
    assert exported(object_store) == [[5]]


def test_two_who_export_at_once_do_not_bring_back_who_withdraws(
    database: Database, object_store: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`srgan mos close` beside the server: it has read a part when the rater leaves."""
    rate(database, 0, 4)
    leaves = database.progress()[0].token
    server = Thread(target=export_parts, args=(object_store, "spring", database))
    write = exporting.write_document

    def write_late(*given: Any) -> str:
        database.withdraw(leaves)
        server.start()
        server.join(0.3)
        return write(*given)

    monkeypatch.setattr(exporting, "write_document", write_late)
    closing = Database(tmp_path / "ratings.sqlite", STUDY)
    export_parts(object_store, "spring", closing)
    closing.close_connection()
    server.join(30)
    assert exported(object_store) == []


def test_a_store_that_does_not_answer_costs_nothing_but_time(
    database: Database,
    object_store: S3Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise StorageError("s3://srgan is away")

    rate(database, 0, 4)
    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "put", refuse)
        try_export(object_store, "spring", database)
    assert "not exported yet: s3://srgan is away" in caplog.text
    try_export(object_store, "spring", database)
    assert exported(object_store) == [[4]]
