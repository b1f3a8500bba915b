"""`srgan doctor` on the real stack: it passes, and set-ups that are broken are named."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import ROOT
from tests.support.running_stack import RunningStack


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


@pytest.mark.slow(group="parts")
def test_broken_variables_are_named_all_at_once(stack: RunningStack, tmp_path: Path) -> None:
    wrong = tmp_path / "ray.token"
    wrong.write_text("0" * 64)
    found = examine(
        stack,
        expected=1,
        AWS_SECRET_ACCESS_KEY="wrong",
        MLFLOW_TRACKING_URI=stack.env["MLFLOW_TRACKING_URI"] + "/elsewhere",
        RAY_AUTH_TOKEN_PATH=str(wrong),
        SRGAN_HOME="/proc/srgan",
    )
    failed = {name: each["seen"] for name, each in found.items() if each["outcome"] == "failed"}
    assert set(failed) == {
        "S3: list",
        "MLflow: server",
        "Ray: token",
        "this machine: folder",
    }
    assert "AWS_SECRET_ACCESS_KEY does not belong" in failed["S3: list"]
    assert "refuses the token" in failed["Ray: token"]


@pytest.mark.slow(group="parts")
def test_deployments_and_nodes_of_another_checkout_are_named(
    stack: RunningStack, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "prefect.yaml", tmp_path)
    for name in ("srgan", "flows"):
        shutil.copytree(ROOT / name, tmp_path / name)
    with (tmp_path / "srgan" / "errors.py").open("a") as file:
        file.write("# a change\n")
    flow = tmp_path / "flows" / "revive.py"
    flow.write_text(flow.read_text().replace("(flow_run_id: str)", "(flow_run_id: str, x: int)"))
    found = examine(
        stack,
        *(sys.executable, "-P", "-c", "from srgan.cli import app; app()"),
        expected=1,
        PYTHONPATH=str(tmp_path),
    )
    failed = {name: each["seen"] for name, each in found.items() if each["outcome"] == "failed"}
    assert set(failed) == {"Prefect: deployments", "Ray: code"}
    assert "revive " in failed["Prefect: deployments"]
    assert re.fullmatch(r"here is \S+, but \S+ has \S+", failed["Ray: code"])
