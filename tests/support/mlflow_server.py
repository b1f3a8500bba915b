"""A real MLflow server for tests, with proxied artifacts as in the local stack."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_LIMIT_S = 120.0


@contextmanager
def run_mlflow_server(home: Path, port: int, host: str = "127.0.0.1") -> Iterator[str]:
    """Address of a server on a port of `host` that keeps everything below `home`."""
    address = f"http://{host}:{port}"
    with (home / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("mlflow")),
                "server",
                f"--host={host}",
                f"--port={port}",
                "--workers=1",
                f"--backend-store-uri=sqlite:///{home}/mlflow.db",
                "--serve-artifacts",
                f"--artifacts-destination={home}/artifacts",
            ],
            env={
                **os.environ,
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                # A colon-less PYTHONWARNINGS of the tests would turn the server's into errors.
                "PYTHONWARNINGS": "ignore",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_healthy(address, process, home / "mlflow.log")
        yield address
    finally:
        process.terminate()
        process.wait(30)


def server_pids(port: int) -> list[int]:
    """The process that was started for a port, and the one of its that listens there."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue  # it has ended in between
        words = command.replace(b"=", b"\0").split(b"\0")
        if b"mlflow" in command and b"--port" in words and str(port).encode() in words:
            found.append(int(entry.name))
    return found


def _wait_until_healthy(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + _START_LIMIT_S
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError) as error:
            if process.poll() is not None or time.monotonic() > limit:
                tail = log.read_text(errors="replace")[-2000:]
                raise AssertionError(f"MLflow did not start ({error}):\n{tail}") from error
            time.sleep(0.2)
