"""`srgan trace` and `srgan gc`, as a shell meets them where services are missing or wrong."""

import os
import subprocess
import sys
from pathlib import Path

SRGAN = str(Path(sys.executable).with_name("srgan"))
AWAY = "http://127.0.0.1:9"


def srgan(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = ("PATH", "HOME", "PYTHONPATH")
    environment = {name: os.environ[name] for name in kept if name in os.environ} | variables
    return subprocess.run(
        [SRGAN, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_trace_of_what_is_no_address_says_what_one_is() -> None:
    done = srgan("trace", "photo.png/", MLFLOW_TRACKING_URI=AWAY)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: 'photo.png/' is not a model's address; expected NAME, models:/"
    )
    assert "s3://" in done.stderr


def test_gc_without_prefect_deletes_nothing_and_says_what_is_missing() -> None:
    done = srgan("gc", "--delete", MLFLOW_TRACKING_URI=AWAY)
    assert done.returncode == 1
    assert "PREFECT_API_URL is not set" in done.stderr


def test_gc_refuses_where_prefect_does_not_answer() -> None:
    done = srgan("gc", PREFECT_API_URL=f"{AWAY}/api", MLFLOW_TRACKING_URI=AWAY)
    assert done.returncode == 1
    assert "error: Prefect's server does not say which flows are running" in done.stderr
    assert "nothing was deleted" in done.stderr
