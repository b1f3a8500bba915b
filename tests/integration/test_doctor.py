"""`srgan doctor` on the real stack: it passes, and set-ups that are broken are named."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import ROOT
from tests.support.running_stack import RunningStack

pytestmark = pytest.mark.integration


def examine(
    stack: RunningStack, *command: str, expected: int, **changes: str
) -> dict[str, dict[str, Any]]:
    """Run the command with other variables; findings by part and check."""
    before = dict(stack.env)
    stack.env.update(changes)
    try:
        done = stack.run(*(command or ("srgan",)), "doctor", "--json", timeout_s=300)
    finally:
        stack.env.clear()
        stack.env.update(before)
    assert done.returncode == expected, done.stdout[-6000:] + done.stderr[-3000:]
    checks = json.loads(done.stdout)["checks"]
    return {f"{each['part']}: {each['check']}": each for each in checks}


def test_the_local_stack_passes(stack: RunningStack) -> None:
    found = examine(stack, expected=0)
    # The disk and memory of the machine that runs the tests may be small.
    outcomes = {
        name: each["outcome"]
        for name, each in found.items()
        if name not in ("this machine: disk", "this machine: memory")
    }
    assert set(outcomes.values()) == {"ok"}, found
    assert "automations" in "".join(outcomes)
    assert found["Ray: code"]["seen"].endswith("here and on 1 nodes")


def test_broken_variables_are_named_all_at_once(stack: RunningStack, tmp_path: Path) -> None:
    wrong = tmp_path / "ray.token"
    wrong.write_text("0" * 64)
    found = examine(
        stack,
        expected=1,
        AWS_SECRET_ACCESS_KEY="wrong",
        MLFLOW_TRACKING_URI=stack.env["MLFLOW_TRACKING_URI"] + "/elsewhere",
        SRGAN_CHECKOUT="/home/somebody/else",
        RAY_AUTH_TOKEN_PATH=str(wrong),
        SRGAN_HOME="/proc/srgan",
    )
    failed = {name: each["seen"] for name, each in found.items() if each["outcome"] == "failed"}
    assert set(failed) == {
        "S3: list",
        "MLflow: server",
        "Prefect: deployments",
        "Ray: token",
        "this machine: folder",
    }
    assert "AWS_SECRET_ACCESS_KEY does not belong" in failed["S3: list"]
    assert f"takes its flows from {ROOT}, not from /home/somebody" in failed["Prefect: deployments"]
    assert "refuses the token" in failed["Ray: token"]


def test_nodes_with_other_code_are_named(stack: RunningStack, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "srgan", tmp_path / "srgan")
    with (tmp_path / "srgan" / "errors.py").open("a") as file:
        file.write("# a change\n")
    found = examine(
        stack,
        *(sys.executable, "-P", "-c", "from srgan.cli import app; app()"),
        expected=1,
        PYTHONPATH=str(tmp_path),
    )
    assert [name for name, each in found.items() if each["outcome"] == "failed"] == ["Ray: code"]
    assert "127.0.0.1 has " in found["Ray: code"]["seen"]
    assert found["Prefect: deployments"]["outcome"] == "not checked"
