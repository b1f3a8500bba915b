"""A run of the tests that is ended from outside takes its services with it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.support.checkout import ROOT
from tests.support.waiting import wait_until
from tests.support.warden import marked

HELD = """
import subprocess, sys, time
from pathlib import Path

import pytest

@pytest.mark.slow(group="parts")  # those that use servers name their file otherwise
def test_that_is_held(FIXTURES):
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    subprocess.Popen(sleeper, start_new_session=True)
    Path(HERE, "held").touch()
    time.sleep(600)
"""


@contextmanager
def held_run(folder: Path, fixtures: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run of one test that has started its services and does not end by itself."""
    held = HELD.replace("FIXTURES", fixtures).replace("HERE", repr(str(folder)))
    (folder / "test_held.py").write_text(held)
    with (folder / "log").open("wb") as log:
        run = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "pyproject.toml"),
                *(f"--rootdir={ROOT}", f"--basetemp={folder / 'temp'}"),
                *("-m", "slow", "-p", "tests.conftest", *options, str(folder / "test_held.py")),
            ],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(
            lambda: (folder / "held").exists() or run.poll() is not None, "the test holds", 240
        )
        assert run.poll() is None, (folder / "log").read_text()
        yield run
    finally:
        run.kill()
        run.wait()


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs; one that nobody has asked how it ended does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_and_expect_nothing_left(run: subprocess.Popen[bytes], number: int) -> set[str]:
    """Names of the processes that there were, also of those that are nobody's children."""
    started = processes_of(run)
    names = {process.name() for process in started}
    run.send_signal(number)
    run.wait(60)
    wait_until(lambda: not any(map(is_alive, started)), "all that was started has ended", 60)
    return names


def processes_of(run: subprocess.Popen[bytes]) -> set[psutil.Process]:
    """Its descendants, and what has its mark: the supervisor of the stack is nobody's child."""
    descendants = psutil.Process(run.pid).children(recursive=True)
    found = set(descendants)
    for process in descendants:
        with suppress(psutil.Error):
            for mark in process.environ().keys() - os.environ.keys():
                if mark.startswith("PYTEST_RUN_"):
                    found |= marked(mark)
    return found


@pytest.mark.parametrize(
    ("number", "options"),
    [
        (signal.SIGTERM, []),
        pytest.param(signal.SIGTERM, ["-n1"], marks=pytest.mark.slow(group="parts")),
        pytest.param(signal.SIGKILL, ["-n1"], marks=pytest.mark.slow(group="parts")),
    ],
    ids=["asked", "asked with workers", "killed with workers"],
)
def test_a_run_that_is_ended_leaves_no_object_store_and_no_detached_process(
    tmp_path: Path, number: int, options: list[str]
) -> None:
    with held_run(tmp_path, "object_server", *options) as run:
        assert "weed" in end_and_expect_nothing_left(run, number)
    if number == signal.SIGTERM:
        assert "KeyboardInterrupt" in (tmp_path / "log").read_text(), "and says how far it came"


@pytest.mark.slow(group="parts")
def test_a_run_that_is_ended_leaves_nothing_of_the_stack(tmp_path: Path) -> None:
    fixtures = "stack, object_server, mlflow_settings, prefect_api"
    with held_run(tmp_path, fixtures, "-n1", "-p", "tests.integration.conftest") as run:
        names = end_and_expect_nothing_left(run, signal.SIGTERM)
    assert {"weed", "mlflow", "raylet"} <= names, names
