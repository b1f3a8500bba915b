"""The ways in which a user reaches the running services."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from srgan.stack import Stack
from tests.support.checkout import ROOT


class Notebook:
    """A Python process that stays open: what a test runs in it pays for imports once."""

    _LOOP = (
        "import contextlib, io, json, sys, traceback\n"
        "for line in sys.stdin:\n"
        "    out, error = io.StringIO(), ''\n"
        "    try:\n"
        "        with contextlib.redirect_stdout(out):\n"
        "            exec(json.loads(line), {'__name__': '__main__'})\n"
        "    except BaseException:\n"
        "        error = traceback.format_exc()\n"
        "    print(json.dumps([out.getvalue(), error]), flush=True)\n"
    )

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", self._LOOP],
                env=env,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )

    def run(self, code: str) -> str:
        """Return all that a cell prints; an error of the cell fails the test."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, self._log.read_text(errors="replace")[-6000:]
        printed, error = json.loads(answer)
        assert not error, printed[-6000:] + error
        return str(printed)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class Shell:
    """A user's shell, whose environment leads to running services."""

    def __init__(self, env: dict[str, str], settings: Settings) -> None:
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.env = {**os.environ, **env, "PATH": programs, "PYTHONWARNINGS": "ignore"}
        self.store: S3Store = open_store(settings)

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


class RunningStack(Shell):
    """The services of the session, with the environment that their users need."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack.env(), stack.settings())
        self.stack = stack

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

    def prefect(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Ask Prefect's server; this costs much less than its command."""
        deadline = time.monotonic() + 20
        while True:
            answer = httpx.request(
                method,
                self.env["PREFECT_API_URL"] + path,
                json=body,
                params=query,
                timeout=30,
                trust_env=False,
            )
            # The server says so while its SQLite is busy; Prefect's own client asks again too.
            if answer.status_code != 503 or time.monotonic() > deadline:
                return answer.raise_for_status().json()
            time.sleep(0.5)

    def newest_logs(self, flow: str) -> str:
        """Log lines of the newest run of a flow."""
        newest = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_DESC", "limit": 1}
        (run,) = self.prefect("POST", "/flow_runs/filter", newest)
        return self.logs(run["id"])

    def logs(self, run_id: str) -> str:
        """The first 200 log lines of a flow run."""
        lines = {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC"}
        found = self.prefect("POST", "/logs/filter", lines)
        return "\n".join(line["message"] for line in found)
