"""Everything under a preparation that can be killed, one after the other; `make test-slow`.

After each the version has the shards of one that nobody disturbed.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from srgan.config import DataConfig
from srgan.data.manifest import DatasetManifest, read_latest
from srgan.data.prepare import prepare_dataset
from srgan.keys import shard_key
from tests.support.flow_runs import Run
from tests.support.photos import dead_leaves
from tests.support.places import place
from tests.support.running_stack import RunningStack
from tests.support.training import kill, processes_with
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.slow(group="retraining"),
    pytest.mark.timeout(1200),
]

NUM_PHOTOS = 40
SOURCE = "s3://srgan/raw/disturbed"
# Weighing the detail of many small crops takes long enough to be killed in the middle.
DATA = DataConfig(crop_size=32, least_detail=1.0, shard_bytes=2**20)


class Preparing(Run):
    """A run of the deployment `prepare` for its own dataset."""

    def __init__(self, stack: RunningStack, dataset: str) -> None:
        self._stack = stack
        self.dataset = dataset
        parameters = {
            "source": SOURCE,
            "dataset": dataset,
            "data": DATA.model_dump(mode="json"),
        }
        super().__init__(stack, "prepare/prepare", parameters)

    def training(self) -> list[dict[str, Any]]:
        """The Ray jobs of this flow run, oldest first."""
        jobs = self._jobs.get("/api/jobs/").raise_for_status().json()
        ours = [job for job in jobs if job["submission_id"].startswith(f"{self.id}-prepare-")]
        return sorted(ours, key=lambda job: int(job["start_time"]))

    def wait_for_shards(self) -> None:
        """Wait until the run is in the middle of its work."""
        below = shard_key.below(self.dataset)
        wait_until(lambda: len(list(self._stack.store.list(below))) >= 2, "two shards", 300)


@pytest.fixture(scope="module")
def undisturbed(stack: RunningStack) -> DatasetManifest:
    """The photos in the bucket, and the version that nothing happens to."""
    for seed in range(NUM_PHOTOS):
        stack.store.put(f"raw/disturbed/{seed:02d}.png", dead_leaves(seed + 300, 500, 600))
    prepare_dataset(place(stack.store, "raw/disturbed"), stack.store, "undisturbed", DATA)
    return newest(stack, "undisturbed")


@pytest.fixture
def run(
    stack: RunningStack, undisturbed: DatasetManifest, request: pytest.FixtureRequest
) -> Iterator[Preparing]:
    run = Preparing(stack, request.node.callspec.id if hasattr(request.node, "callspec") else "c")
    try:
        run.wait_for_shards()
        yield run
    finally:
        run.close()


def newest(stack: RunningStack, dataset: str) -> DatasetManifest:
    manifest, _ = read_latest(stack.store, dataset)
    assert manifest is not None
    return manifest.model_copy(update={"dataset": "any"})


def worker(stack: RunningStack, run: Preparing) -> list[int]:
    return processes_with(stack, b"ray::run_preparation")


def driver(stack: RunningStack, run: Preparing) -> list[int]:
    return processes_with(stack, b"srgan.jobs.prepare")


def flow(stack: RunningStack, run: Preparing) -> list[int]:
    return [int(run.now["infrastructure_pid"])]


@pytest.mark.parametrize("victims", [worker, driver, flow], ids=["worker", "driver", "flow"])
def test_a_preparation_survives_the_loss_of_its(
    stack: RunningStack,
    run: Preparing,
    undisturbed: DatasetManifest,
    victims: Callable[[RunningStack, Preparing], list[int]],
) -> None:
    kill(victims(stack, run))
    assert run.wait() == "COMPLETED", run.logs
    assert newest(stack, run.dataset) == undisturbed


def test_a_preparation_that_is_cancelled_leaves_no_process_and_no_version(
    stack: RunningStack, run: Preparing
) -> None:
    run.cancel()
    assert run.wait() == "CANCELLED"
    wait_until(lambda: not [*worker(stack, run), *driver(stack, run)], "the job has ended", 60)
    assert read_latest(stack.store, run.dataset) == (None, None)
