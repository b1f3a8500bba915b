"""A training run that loses its flow process, then its driver, and is cancelled at last."""

import os
import signal
import time
from pathlib import Path

import pytest

from srgan.recipes import tiny
from tests.support.flow_runs import Run
from tests.support.photos import dead_leaves
from tests.support.running_stack import Notebook, RunningStack
from tests.support.training import training_workers
from tests.support.waiting import wait_until

# Many more steps than the test lets it make.
ENDLESS = tiny().model_copy(
    update={"pretrain": tiny().pretrain.model_copy(update={"steps": 10**6, "checkpoint_every": 20})}
)
PARAMETERS = {
    "source": "s3://srgan/raw/lost",
    "dataset": "lost",
    "model": "lost-x4",
    "recipe": ENDLESS.model_dump(mode="json"),
    "num_workers": 1,
}


def driver_pid(job_id: str) -> int:
    """The process that Ray started for a job; its shell wrapper is not meant."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended in between
            if job_id.encode() in words:
                return int(process.name)
    raise AssertionError(f"no process of job {job_id}")


def give_way(stack: RunningStack) -> None:
    """Leave the cores to other tests: how fast the endless training is does not matter."""
    for pid in training_workers(stack):
        os.setpriority(os.PRIO_PROCESS, pid, 19)


def makes_progress(run: Run, stack: RunningStack) -> bool:
    """Whether the first job has trained so many steps that there is something to lose."""
    jobs = run.training()
    name = jobs[0]["metadata"]["run"] if jobs else "none"
    return stack.store.head(f"runs/{name}/progress.json") is not None


def test_a_hopeless_failure_on_the_cluster_ends_the_flow_after_one_job(
    stack: RunningStack, notebook: Notebook
) -> None:
    """The node refuses the spec, which names no release of this project."""
    printed = notebook.run(
        "from prefect import flow\n"
        "from flows.support.jobs import run_job\n"
        "from srgan.config import Config\n"
        "from srgan.errors import ClusterError\n"
        "from srgan.versions.services import open_services\n"
        "class Spec(Config): pass\n"
        "@flow\n"
        "def refused():\n"
        "    run_job(services=open_services(), label='refused', run='refused',\n"
        "            module='srgan.jobs.upscale', spec=Spec())\n"
        "try:\n"
        "    refused()\n"
        "except ClusterError as error:\n"
        "    print('RESULT', error)"
    )
    error = next(line for line in printed.splitlines() if line.startswith("RESULT "))
    assert "trying again would not help: ClusterError: this Ray node runs srgan" in error
    assert len(list(stack.store.list("runs/refused/jobs/"))) == 1


@pytest.mark.slow(group="retraining")
def test_lost_processes_cost_no_training_and_a_cancel_stops_the_job(stack: RunningStack) -> None:
    for seed in range(6):
        stack.store.put(f"raw/lost/{seed}.png", dead_leaves(seed + 100))
    run = Run(stack, "retrain/retrain", PARAMETERS)
    try:
        wait_until(lambda: makes_progress(run, stack), "training makes progress", 240)
        give_way(stack)
        first = run.training()[0]["submission_id"]

        os.kill(int(run.now["infrastructure_pid"]), signal.SIGKILL)
        wait_until(lambda: run.says(f"attaching to job {first}"), "the run attaches to its job")
        assert run.statuses() == ["RUNNING"]
        assert "Revived" in run.history

        os.kill(driver_pid(first), signal.SIGKILL)
        wait_until(lambda: run.statuses() == ["FAILED", "RUNNING"], "the next attempt starts")

        # Twice where the worker reports the end of the process late; never because of a cancel.
        num_revivals = run.history.count("Revived")
        began = time.monotonic()
        run.cancel()
        wait_until(lambda: run.statuses() == ["FAILED", "STOPPED"], "the job is stopped", 30)
        wait_until(lambda: run.now["state_type"] == "CANCELLED", "the run is cancelled", 30)
        print(f"cancelled within {time.monotonic() - began:.0f} s")
        # `revive` looked at the cancelled run and left it as it is.
        wait_until(lambda: run.says(f"Flow run {run.id}: cancelled"), "revive has looked", 60)
        assert run.history.count("Revived") == num_revivals, run.history
        assert run.now["state_type"] == "CANCELLED"
    finally:
        run.close()
