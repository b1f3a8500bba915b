"""The watch over one process; `test_ranks` has several."""

import logging

import pytest

from srgan.errors import StorageError
from srgan.services.s3 import S3Store
from srgan.train.stall import Watch
from tests.support.waiting import wait_until

LIMIT_S = 2.0


def test_a_stall_is_reported_once_and_so_is_its_end(
    object_store: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Watch(object_store, "run", limit_s=LIMIT_S) as watch:
        watch.step(7)
        wait_until(lambda: "no step for" in caplog.text, "a report")
        assert "rank 0, 7 steps done, is in" in caplog.text
        assert "wait_until(lambda" in caplog.text, "the stack of the thread that trains"
        watch.step(8)
        wait_until(lambda: "rank 0 goes on at step 8" in caplog.text, "its end")
    assert caplog.text.count("run has stalled: no step for") == 1


def test_a_stage_that_ends_takes_its_sign_of_life_away(object_store: S3Store) -> None:
    with Watch(object_store, "run", limit_s=LIMIT_S):
        key = "runs/run/ranks/0.json"
        wait_until(lambda: object_store.head(key) is not None, "a heartbeat")
    assert object_store.head(key) is None


def test_a_store_that_is_away_stops_neither_watch_nor_training(
    object_store: S3Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise StorageError("away")

    with Watch(object_store, "run", limit_s=LIMIT_S):
        with monkeypatch.context() as patch:
            patch.setattr(object_store, "put", refuse)
            wait_until(lambda: "could not write its heartbeat: away" in caplog.text, "a warning")
        wait_until(lambda: "no step for" in caplog.text, "a report once it is back")
