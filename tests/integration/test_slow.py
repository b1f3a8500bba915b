"""Kills and waits that take minutes; `make test-slow` runs them."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.photos import dead_leaves
from tests.support.running_stack import RunningStack
from tests.support.waiting import wait_until

NUM_PHOTOS = 40


@pytest.mark.slow(group="retraining")
def test_more_workers_than_the_cluster_has_is_said_at_once_and_ends_at_the_limit(
    stack: RunningStack,
) -> None:
    for seed in range(4):
        stack.store.put(f"raw/crowd/{seed}.png", dead_leaves(seed + 400))
    done = stack.deployment(
        "retrain/retrain",
        timeout_s=500,
        source="s3://srgan/raw/crowd",
        dataset="crowd",
        model="crowd-x4",
        recipe="tiny",
        num_workers=8,
    )
    assert done.returncode == 1
    logs = stack.newest_logs("train")
    assert "the cluster is too small" in logs, logs
    assert "num_workers 8" in logs, logs
    assert "8 × (1 CPU) are needed" in logs, logs


@pytest.mark.slow(group="bulk")
def test_a_bulk_run_whose_worker_and_flow_are_killed_loses_and_repeats_nothing(
    stack: RunningStack, tmp_path: Path
) -> None:
    for seed in range(NUM_PHOTOS):
        stack.store.put(f"raw/many/{seed:02d}.png", dead_leaves(seed + 500, 200, 240))
    trained = stack.deployment(
        "retrain/retrain",
        source="s3://srgan/raw/many",
        dataset="many",
        model="many-x4",
        recipe="tiny",
    )
    assert trained.returncode == 0, trained.stdout[-6000:]
    log = tmp_path / "flow.log"
    flow = stack.start_python(_upscaling("killed"), log)
    try:
        wait_until(lambda: len(_outputs(stack, "killed")) >= 3, "the first outputs", 180)
        for pid in _batch_processes():
            os.kill(pid, signal.SIGKILL)
        os.kill(flow.pid, signal.SIGKILL)
    finally:
        flow.kill()
        flow.wait()
    before = _outputs(stack, "killed")
    assert 0 < len(before) < NUM_PHOTOS
    stack.python(_upscaling("killed"), timeout_s=400)
    stack.python(_upscaling("undisturbed"), timeout_s=400)
    after = _outputs(stack, "killed")
    assert before.items() <= after.items()  # what was whole was not written again
    assert after == _outputs(stack, "undisturbed")
    assert len(after) == NUM_PHOTOS


def _upscaling(destination: str) -> str:
    return (
        "from flows.upscale import upscale\n"
        "from srgan.config import UpscaleConfig\n"
        f"upscale('s3://srgan/raw/many', 's3://srgan/{destination}', 'many-x4',"
        " UpscaleConfig(batch_bytes=200_000))"
    )


def _outputs(stack: RunningStack, destination: str) -> dict[str, str]:
    """Change token, which here is a digest of the bytes, by relative path."""
    return {
        info.key.removeprefix(f"{destination}/"): info.token
        for info in stack.store.list(f"{destination}/")
        if "/_srgan/" not in info.key
    }


def _batch_processes() -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended in between
            if b"srgan.jobs.upscale" in words:
                found.append(int(process.name))
    return found
