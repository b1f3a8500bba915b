"""Start of a batch job's driver; the batch itself is tested in `tests/integration`."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["srgan.jobs.upscale", "flows.upscale"])
def test_what_only_waits_for_a_batch_starts_without_what_computes_it(module: str) -> None:
    code = (
        f"import {module}, sys\n"
        "print(sorted({'torch', 'mlflow', 'skimage', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "[]"
