"""The server as a process: killed at any moment, it loses and doubles nothing."""

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from srgan.mos.ratings import Rating
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.studies.design import StudyDesign, find_end
from srgan.studies.parts import Part, read_parts
from tests.support.commands import SRGAN
from tests.support.ports import free_ports
from tests.support.studies import SCREEN, Rater, rendered
from tests.support.waiting import wait_until


class Process:
    """`srgan mos serve` of one study, which can be killed and started again."""

    def __init__(self, settings: Settings, home: Path, study: str) -> None:
        assert settings.s3_access_key is not None
        assert settings.s3_secret_key is not None
        self._environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": settings.require("s3_endpoint_url"),
            "AWS_ACCESS_KEY_ID": settings.s3_access_key.get_secret_value(),
            "AWS_SECRET_ACCESS_KEY": settings.s3_secret_key.get_secret_value(),
            "SRGAN_BUCKET": settings.bucket,
            "SRGAN_HOME": str(home),
            "PREFECT_API_URL": "",
        }
        self._output = home / "output.txt"
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = [SRGAN, "mos", "serve", study, "--port", str(self.port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                self.command, env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )
        wait_until(self._answers, "the server answers", 60, every_s=0.05)

    def again(self) -> subprocess.CompletedProcess[str]:
        """The same command while the server runs."""
        return subprocess.run(
            self.command,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def end(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(30)

    @property
    def tokens(self) -> list[str]:
        lines = self._output.read_text().splitlines()
        return [line.rpartition("/r/")[2] for line in lines if line.startswith("rater ")]

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _answers(self) -> bool:
        assert self.is_running, self._output.read_text()
        try:
            return httpx.get(f"{self.url}/static/study.css").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def study(object_store: S3Store) -> StudyDesign:
    return rendered(object_store, repeats=0.34)


@pytest.fixture
def process(study: StudyDesign, s3_settings: Settings, tmp_path: Path) -> Iterator[Process]:
    started = Process(s3_settings, tmp_path, study.name)
    started.start()
    yield started
    if started.is_running:
        started.end(signal.SIGKILL)


def scores(part: Part) -> list[int]:
    return [each.score for each in part.judgements if isinstance(each, Rating)]


def persist(url: str, token: str, given: list[int], seed: int) -> None:
    """Rate everything as the page does: send an answer until it is stored, sometimes twice."""
    chance = random.Random(seed)
    with httpx.Client(base_url=url, timeout=10) as client:
        rater = Rater(client, token)

        def until_stored(call: object) -> dict[str, object]:
            while True:
                try:
                    answer = call()  # type: ignore[operator]
                except httpx.TransportError:
                    continue
                if answer.status_code == 200:
                    return dict(answer.json())

        state = until_stored(lambda: client.get(f"{rater.base}/state"))
        if state["step"] != "judging":
            until_stored(lambda: rater.post("/begin", agreed=True, language="en", screen=SCREEN))
            state = until_stored(lambda: rater.post("/trained"))
        while state["step"] == "judging":
            task = str(state["task"]["id"])  # type: ignore[index]
            score = chance.randint(1, 5)
            given.append(score)
            for _ in range(chance.randint(1, 2)):
                state = until_stored(lambda: rater.judge(task, str(score)))  # noqa: B023  # called at once


@pytest.mark.slow(group="studies")  # kills, and fifty raters
def test_a_server_killed_again_and_again_loses_and_doubles_nothing(
    process: Process, object_store: S3Store
) -> None:
    given: list[list[int]] = [[], []]
    raters = [
        threading.Thread(target=persist, args=(process.url, token, kept, seed))
        for seed, (token, kept) in enumerate(zip(process.tokens, given, strict=True))
    ]
    for each in raters:
        each.start()
    kills = 0
    while any(each.is_alive() for each in raters) and kills < 5:
        kills += 1
        process.end(signal.SIGKILL)
        process.start()
    for each in raters:
        each.join(120)
    process.end(signal.SIGTERM)
    parts = read_parts(object_store, "spring")
    assert [scores(part) for part in parts] == given
    assert [len(each) for each in given] == [12, 12]
    assert kills


def test_a_second_server_of_a_study_is_refused_and_its_end_exports_the_last_ratings(
    process: Process, object_store: S3Store
) -> None:
    again = process.again()
    assert again.returncode == 2
    assert "study spring is served here already, by process" in again.stderr
    with httpx.Client(base_url=process.url) as client:
        rater = Rater(client, process.tokens[0])
        rater.judge(rater.start()["task"]["id"], "4")
    process.end(signal.SIGTERM)
    assert [scores(part) for part in read_parts(object_store, "spring")] == [[4]]


@pytest.mark.slow(group="studies")  # waits for the next export
def test_a_server_closes_its_study_when_enough_raters_have_judged_everything(
    s3_settings: Settings, object_store: S3Store, tmp_path: Path
) -> None:
    rendered(object_store, name="short", num_raters=2, enough=1, flow_run="0c2d")
    process = Process(s3_settings, tmp_path, "short")
    process.start()
    try:
        given: list[int] = []
        persist(process.url, process.tokens[0], given, seed=0)
        wait_until(lambda: find_end(object_store, "short") is not None, "it ends", 60)
        with httpx.Client(base_url=process.url) as client:
            assert Rater(client, process.tokens[1]).get()["step"] == "closed"
    finally:
        process.end(signal.SIGTERM)
    assert [scores(part) for part in read_parts(object_store, "short")] == [given]
    assert "resume flow run 0c2d, which waits for study short" in process.output


@pytest.mark.slow(group="studies")  # kills, and fifty raters
def test_raters_at_once_do_not_disturb_each_other(
    s3_settings: Settings, object_store: S3Store, tmp_path: Path
) -> None:
    rendered(object_store, num_raters=50, name="crowd")
    process = Process(s3_settings, tmp_path, "crowd")
    process.start()
    try:
        given: list[list[int]] = [[] for _ in range(50)]
        with ThreadPoolExecutor(50) as pool:
            list(
                pool.map(
                    lambda seed: persist(process.url, process.tokens[seed], given[seed], seed),
                    range(50),
                )
            )
    finally:
        process.end(signal.SIGTERM)
    found = {part.number: scores(part) for part in read_parts(object_store, "crowd")}
    assert found == dict(enumerate(given))
    assert {len(each) for each in given} == {9}
