"""The real stack, started once per session, and the ways in which a user reaches it."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from srgan.adapters.s3 import S3Store, open_store
from srgan.stack import Stack, deploy

ROOT = Path(__file__).parents[2]


def dead_leaves(seed: int, height: int = 160, width: int = 200) -> bytes:
    """A PNG of random overlapping discs: edges at every scale, as in photographs."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    for _ in range(400):
        x, y = random.integers(0, width), random.integers(0, height)
        radius = 3 + 40 * random.random() ** 3
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 120) -> None:
    """Poll a condition; a timeout names what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain: {what}")
        time.sleep(0.2)


class RunningStack:
    """The services of the session, with the environment that their users need."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.env = {**os.environ, **stack.env(), "PATH": programs, "PYTHONWARNINGS": "ignore"}
        self.store: S3Store = open_store(stack.settings())

    def run(self, *command: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command as a user would after `eval "$(srgan stack env)"`."""
        return subprocess.run(
            command,
            env=self.env,
            cwd=ROOT,
            text=True,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )

    def start_python(self, code: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a Python process in the background; the test ends it by its pid."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-c", code],
                env=self.env,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def python(self, code: str, timeout_s: float = 300) -> str:
        """Run Python code in a fresh process with that environment; returns its stdout."""
        done = self.run(sys.executable, "-c", code, timeout_s=timeout_s)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
        return done.stdout

    def deployment(
        self, name: str, timeout_s: float = 300, **parameters: object
    ) -> subprocess.CompletedProcess[str]:
        """`prefect deployment run NAME --watch` with JSON parameters."""
        return self.run(
            "prefect",
            "deployment",
            "run",
            name,
            "--params",
            json.dumps(parameters),
            "--watch",
            timeout_s=timeout_s,
        )

    def newest_logs(self, flow: str) -> str:
        """Log lines of the newest run of a flow, as its page shows them."""
        newest = ["--flow-name", flow, "--limit", "1", "--output", "json"]
        listed = self.run("prefect", "flow-run", "ls", *newest)
        assert listed.returncode == 0, listed.stderr
        run_id = json.loads(listed.stdout)[0]["id"]
        return self.run("prefect", "flow-run", "logs", run_id, "--head", "--num-logs", "200").stdout


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """All services on free ports in a directory of their own, with the flows deployed."""
    services = Stack(tmp_path_factory.mktemp("stack"))
    try:
        services.up()
        deploy(services)
        yield RunningStack(services)
    finally:
        services.down()
