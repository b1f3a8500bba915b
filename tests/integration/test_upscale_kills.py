"""Everything under a bulk run that can be killed, one after the other; `make test-slow`.

After each all outputs are there with the bytes of a run that nobody disturbed, what was whole at
the kill was not written again, and a further run finds nothing to do.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import bulk_flows
from tests.support.bulk_flows import outputs, register_model
from tests.support.flow_runs import Run
from tests.support.photos import dead_leaves
from tests.support.running_stack import RunningStack
from tests.support.training import kill, object_store_away, processes_with
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow(group="bulk"), pytest.mark.timeout(1200)]

NUM_PHOTOS = 60
NUM_BEFORE = 4
"""Outputs that are there when something is killed."""
SOURCE = "s3://srgan/bulk/photos"
NUM_CHANNELS = 32  # so a batch takes long enough to be killed in the middle


class BulkRun(Run):
    """A run of the deployment `upscale` into its own prefix."""

    def __init__(self, stack: RunningStack, model: str, destination: str) -> None:
        self._stack = stack
        self.destination = destination
        super().__init__(
            stack,
            "upscale/upscale",
            {
                "source": SOURCE,
                "destination": f"s3://srgan/{destination}",
                "model": model,
                "config": {"batch_bytes": 700_000, "precision": "fp32"},
            },
        )

    def training(self) -> list[dict[str, Any]]:
        """The Ray jobs of this flow run's batches, oldest first."""
        jobs = self._jobs.get("/api/jobs/").raise_for_status().json()
        ours = [job for job in jobs if job["submission_id"].startswith(f"{self.id}-upscale-")]
        return sorted(ours, key=lambda job: int(job["start_time"]))

    def wait_for_outputs(self) -> dict[str, tuple[str, str]]:
        """Wait until the run is in the middle of its work; what it has written by then."""
        wait_until(
            lambda: len(outputs(self._stack.store, self.destination)) >= NUM_BEFORE, "outputs", 300
        )
        return outputs(self._stack.store, self.destination)

    def finish(self) -> dict[str, tuple[str, str]]:
        """Wait for the end, which has to be a good one; all outputs."""
        ends = {"COMPLETED", "FAILED", "CANCELLED"}
        wait_until(lambda: self.now["state_type"] in ends, "the run ends", 600)
        assert self.now["state_type"] == "COMPLETED", self.now["state"]
        return outputs(self._stack.store, self.destination)


@pytest.fixture(scope="module")
def model(stack: RunningStack) -> str:
    """Address of a version of random weights, and the photos in the bucket."""
    for seed in range(NUM_PHOTOS):
        stack.store.put(f"bulk/photos/{seed:02d}.png", dead_leaves(seed + 900, 120, 140))
    return register_model(stack, NUM_CHANNELS)


@pytest.fixture(scope="module")
def undisturbed(stack: RunningStack, model: str) -> dict[str, str]:
    """Digests of the outputs of a run that nothing happens to."""
    run = BulkRun(stack, model, "bulk/undisturbed")
    try:
        made = run.finish()
    finally:
        run.close()
    assert len(made) == NUM_PHOTOS
    return {name: token for name, (token, _) in made.items()}


@pytest.fixture
def run(stack: RunningStack, model: str, request: pytest.FixtureRequest) -> Iterator[BulkRun]:
    run = BulkRun(stack, model, f"bulk/{request.node.name}")
    try:
        yield run
    finally:
        run.close()


def test_a_bulk_run_survives_the_loss_of_its_batch_jobs(
    stack: RunningStack, run: BulkRun, model: str, undisturbed: dict[str, str]
) -> None:
    before = run.wait_for_outputs()
    kill(batch_processes(stack))
    expect_whole(stack, run, before, undisturbed)
    assert "FAILED" in run.statuses(), "something was lost"
    expect_nothing_to_do(stack, model, run)


def test_a_bulk_run_survives_the_loss_of_its_flow(
    stack: RunningStack, run: BulkRun, undisturbed: dict[str, str]
) -> None:
    before = run.wait_for_outputs()
    kill([int(run.now["infrastructure_pid"])])
    expect_whole(stack, run, before, undisturbed)
    assert "Revived" in run.history
    assert set(run.statuses()) == {"SUCCEEDED"}, "no job was lost or made twice"


def test_a_bulk_run_survives_the_loss_of_flow_and_jobs_together(
    stack: RunningStack, run: BulkRun, undisturbed: dict[str, str]
) -> None:
    before = run.wait_for_outputs()
    kill([int(run.now["infrastructure_pid"]), *batch_processes(stack)])
    expect_whole(stack, run, before, undisturbed)


def test_a_bulk_run_survives_the_loss_of_the_prefect_worker(
    stack: RunningStack, run: BulkRun, undisturbed: dict[str, str]
) -> None:
    before = run.wait_for_outputs()
    kill(processes_with(stack, b"worker\0start"))
    expect_whole(stack, run, before, undisturbed)


def test_a_bulk_run_survives_a_while_without_the_object_store(
    stack: RunningStack, run: BulkRun, model: str, undisturbed: dict[str, str]
) -> None:
    before = run.wait_for_outputs()
    with object_store_away(stack) as knocks:
        assert run.now["state_type"] == "RUNNING", "the run ended before the store was away"
        wait_until(lambda: knocks() >= 30, "the run asks for the store again and again")
    expect_whole(stack, run, before, undisturbed)
    expect_nothing_to_do(stack, model, run)


def test_a_bulk_run_that_is_cancelled_leaves_no_process_and_writes_nothing_more(
    stack: RunningStack, run: BulkRun
) -> None:
    run.wait_for_outputs()
    run.cancel()
    assert run.wait() == "CANCELLED"
    wait_until(lambda: run.statuses() == ["STOPPED"], "the job is stopped", 60)
    wait_until(lambda: not batch_processes(stack), "its driver and its workers have ended", 60)
    left = outputs(stack.store, run.destination)
    assert len(left) < NUM_PHOTOS, "it was cancelled in the middle"
    # `revive` looks at the cancelled run and leaves it as it is.
    wait_until(lambda: run.says(f"Flow run {run.id}: cancelled"), "revive has looked", 120)
    assert run.now["state_type"] == "CANCELLED"
    assert "Revived" not in run.history
    assert run.statuses() == ["STOPPED"]
    assert not batch_processes(stack)
    assert outputs(stack.store, run.destination) == left


def expect_whole(
    stack: RunningStack,
    run: BulkRun,
    before: dict[str, tuple[str, str]],
    undisturbed: dict[str, str],
) -> None:
    """The run ends with all outputs; none that was there before is newer now."""
    run.finish()
    bulk_flows.expect_whole(stack.store, run.destination, before, undisturbed, f"{run.id}-")


def expect_nothing_to_do(stack: RunningStack, model: str, run: BulkRun) -> None:
    before = outputs(stack.store, run.destination)
    again = BulkRun(stack, model, run.destination)
    try:
        assert again.finish() == before
        assert again.statuses() == [], "no job was needed"
    finally:
        again.close()


def batch_processes(stack: RunningStack) -> list[int]:
    """Drivers of batch jobs, and their workers, which Ray names after the actor."""
    return [
        *processes_with(stack, b"srgan.jobs.upscale"),
        *processes_with(stack, b"ray::UpscaleWorker"),
    ]
