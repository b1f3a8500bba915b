"""A study by a flow on the whole stack: it outlives worker and server, and ends by its raters."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from srgan.promotion.opinions import read_studies
from tests.support.checkout import ROOT
from tests.support.commands import SRGAN
from tests.support.flow_runs import Run
from tests.support.ports import free_ports
from tests.support.running_stack import RunningStack
from tests.support.studies import Rater, photo_set
from tests.support.training import kill, processes_with
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow(group="studies")

MODELS = """
from srgan.settings import Settings
from srgan.versions.services import Services
from srgan.versions.shipped import import_shipped
services = Services(Settings(), print)
for name in ("shipped", "shipped:sharp"):
    print(import_shipped(services, name, "judged")[0].version)
"""


class Server:
    """`srgan mos serve` in the environment of the stack."""

    def __init__(self, stack: RunningStack, home: Path) -> None:
        port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}"
        self._output = home / "served.txt"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [SRGAN, "mos", "serve", "judged", "--port", str(port)],
                env={**stack.env, "SRGAN_HOME": str(home)},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._answers, "the server answers", 60)

    @property
    def tokens(self) -> list[str]:
        lines = self._output.read_text().splitlines()
        return [line.rpartition("/r/")[2] for line in lines if line.startswith("rater ")]

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._output.read_text()
        try:
            return httpx.get(f"{self.url}/static/study.css").status_code == 200
        except httpx.TransportError:
            return False

    def rate(self, number: int) -> int:
        """Answer everything as rater `number`; return how much that was."""
        with httpx.Client(base_url=self.url, timeout=30) as client:
            rater = Rater(client, self.tokens[number])
            state = rater.start()
            while state["step"] == "judging":
                answer = rater.judge(state["task"]["id"], str(1 + (state["done"] + number) % 5))
                state = answer.raise_for_status().json()
            return int(state["done"])


@pytest.fixture
def run(stack: RunningStack) -> Iterator[Run]:
    """A run of the deployment for two versions that come with srgan."""
    assert stack.python(MODELS).split() == ["1", "2"]
    photo_set(stack.store, seeds=(21, 22), size=(64, 80))
    named = {"name": "judged", "model": "judged", "version": 2, "eval_set": "own"}
    started = Run(stack, "study/study", {**named, "raters": 2})
    yield started
    started.close()


def test_a_study_outlives_its_worker_and_is_ended_by_its_last_rater(
    stack: RunningStack, run: Run, tmp_path: Path
) -> None:
    wait_until(lambda: run.now["state_name"] == "Suspended", "it waits", 300, every_s=1)
    wait_until(lambda: not processes_of(run), "there is no process of it", 30)
    kill(processes_with(stack, b"worker\0start"))
    server = Server(stack, tmp_path)
    try:
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(server.rate, range(2))) == [8, 8]
        assert run.wait(300) == "COMPLETED"
    finally:
        server.process.terminate()
        server.process.wait(30)
    assert run.history.count("Suspended") == 1
    (kept,) = read_studies(stack.store, "judged").values()
    assert len(kept.ratings) == 16
    run.tells("study judged: 16 ratings by 2 raters")


def processes_of(run: Run) -> list[Path]:
    """Processes whose environment names the flow run."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                environment = (process / "environ").read_bytes()
            except OSError:
                continue  # it has ended, or is somebody else's
            if run.id.encode() in environment:
                found.append(process)
    return found
