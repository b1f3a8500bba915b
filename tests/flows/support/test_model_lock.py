"""Two retrainings of one model, started at once on a real Prefect server."""

import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import StateType
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL
from prefect.states import AwaitingRetry

from flows import retrain as retrain_module
from flows.retrain import retrain
from flows.support.model_lock import IfBusy, limit_name, model_lock
from tests.support.checkout import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("prefect_api")


@flow
def train_a_model(model: str, if_busy: IfBusy, do: Callable[[], None]) -> bool:
    """Do as every retraining does, whatever its deployment."""
    with model_lock(model, if_busy) as free:
        if free:
            do()
        return free


class Training:
    """A retraining in a thread that goes on until it is told to end."""

    def __init__(self, model: str, if_busy: IfBusy = "wait") -> None:
        self.began, self.end = threading.Event(), threading.Event()
        self.outcome: Any = None
        context = contextvars.copy_context()  # it knows the tests' server
        self._thread = threading.Thread(target=context.run, args=(self._run, model, if_busy))
        self._thread.start()

    def _run(self, model: str, if_busy: IfBusy) -> None:
        def work() -> None:
            self.began.set()
            self.end.wait(60)

        self.outcome = train_a_model(model, if_busy, work)

    def finish(self) -> None:
        self.end.set()
        self._thread.join(60)


@contextmanager
def training(model: str) -> Iterator[Training]:
    """A retraining that holds the model's lock."""
    started = Training(model)
    try:
        wait_until(started.began.is_set, "the first training has the lock", 60)
        yield started
    finally:
        started.finish()


def slots_taken(model: str) -> int:
    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(limit_name(model)).active_slots


@pytest.mark.slow(group="parts")
def test_of_two_retrainings_started_at_once_the_second_waits_for_the_lock(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    with training("leaves") as first:
        second = Training("leaves")
        wait_until(lambda: "another retraining of leaves" in caplog.text, "the second waits", 60)
        assert slots_taken("leaves") == 1
        assert not second.began.is_set()
        first.finish()
        wait_until(second.began.is_set, "the second has the lock", 60)
        second.finish()
    assert (first.outcome, second.outcome) == (True, True)
    assert slots_taken("leaves") == 0


def test_a_retraining_told_not_to_wait_is_refused_before_it_does_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retrain_module, "prepare", lambda *_: pytest.fail("it prepared photos"))
    with training("roots"):
        state = retrain("s3://b/raw", "roots", "roots", if_busy="refuse", return_state=True)
    assert (state.type, state.name) == (StateType.CANCELLED, "Refused")
    assert "Another retraining of roots is at work" in str(state.message)


def test_models_do_not_wait_for_each_other_and_a_limit_that_was_raised_stays() -> None:
    with training("stems"):
        assert train_a_model("flowers", "refuse", lambda: None)
        with get_client(sync_client=True) as client:
            client.update_global_concurrency_limit(
                limit_name("stems"), GlobalConcurrencyLimitUpdate(limit=2)
            )
        assert train_a_model("stems", "refuse", lambda: None)


def test_a_run_that_is_put_back_has_the_lock_at_once_though_its_dead_process_held_it() -> None:
    code = (
        "import time\n"
        "from prefect.runtime import flow_run\n"
        "from tests.flows.support.test_model_lock import train_a_model\n"
        "def work():\n"
        "    print('HOLDS', flow_run.id, flush=True)\n"
        "    time.sleep(60)\n"
        "train_a_model('bark', 'refuse', work)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value(), "PYTHONWARNINGS": "ignore"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        held = next(line for line in process.stdout if line.startswith("HOLDS"))
        process.kill()
    assert slots_taken("bark") == 1
    assert not train_a_model("bark", "refuse", lambda: None), "another run has to wait"
    with get_client(sync_client=True) as client:
        put_back = client.read_flow_run(UUID(held.split()[1]))
        client.set_flow_run_state(put_back.id, AwaitingRetry(), force=True)
    parameters = {"model": "bark", "if_busy": "refuse", "do": lambda: None}
    assert run_flow(train_a_model, flow_run=put_back, parameters=parameters)
    assert slots_taken("bark") == 0


def test_a_retraining_that_fails_gives_its_turn_back() -> None:
    def fail() -> None:
        raise RuntimeError("no space left")

    with pytest.raises(RuntimeError, match="no space"):
        train_a_model("seeds", "refuse", fail)
    assert slots_taken("seeds") == 0
