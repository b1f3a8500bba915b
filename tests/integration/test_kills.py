"""Everything under a training that can be killed, one after the other; `make test-slow`.

After each the stage ends with the weights of one that nobody disturbed, to the bit.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from srgan.config import PretrainConfig
from srgan.recipes import tiny
from srgan.refs import DatasetRef
from srgan.stack.environment import service_environment
from srgan.train.checkpoint import read_manifest
from tests.support.flow_runs import Run
from tests.support.running_stack import RunningStack
from tests.support.training import (
    Training,
    job_processes,
    kill,
    object_store_away,
    prepare_leaves,
    processes_with,
    training_workers,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(1200)
training_group = pytest.mark.slow(group="training")
nodes_group = pytest.mark.slow(group="nodes")

STAGE = PretrainConfig.model_validate(
    {**tiny().pretrain.model_dump(), "steps": 600, "checkpoint_every": 20}
)


@pytest.fixture(scope="module")
def dataset(stack: RunningStack) -> DatasetRef:
    return prepare_leaves(stack, "kills", 700)


@pytest.fixture(scope="module")
def undisturbed(
    stack: RunningStack, dataset: DatasetRef, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Digest of the weights of a stage that nothing happens to."""
    training = Training(stack, dataset, STAGE, tmp_path_factory.mktemp("undisturbed") / "log")
    try:
        return training.finish().digest
    finally:
        training.close()


@pytest.fixture
def training(stack: RunningStack, dataset: DatasetRef, tmp_path: Path) -> Iterator[Training]:
    """The same stage once more, with a checkpoint to go on from."""
    training = Training(stack, dataset, STAGE, tmp_path / "log")
    try:
        training.wait_for_checkpoint()
        yield training
    finally:
        training.close()


@training_group
def test_a_stage_survives_the_loss_of_all_its_workers(
    stack: RunningStack, training: Training, undisturbed: str
) -> None:
    victims = training_workers(stack)
    assert len(victims) == 2
    kill(victims)
    assert training.finish().digest == undisturbed
    assert training.resumed_at()[0] > 0


@training_group
def test_a_stage_survives_the_loss_of_the_ray_head(
    stack: RunningStack, training: Training, undisturbed: str
) -> None:
    kill(processes_with(stack, b"gcs_server"))
    result = training.finish()
    assert training.resumed_at()[0] > 0
    assert result.digest == undisturbed
    assert "starting the next attempt" in training.text


@training_group
def test_a_stage_survives_a_while_without_the_object_store(
    stack: RunningStack, training: Training, undisturbed: str
) -> None:
    with object_store_away(stack):
        assert training.runs, "the stage ended before the store was away"
        training.wait_for("asking again|could not be written")
    assert training.finish().digest == undisturbed


@nodes_group
def test_a_stage_waits_for_a_second_node_when_it_has_lost_one(
    stack: RunningStack, dataset: DatasetRef, tmp_path: Path
) -> None:
    node = _add_node(stack, tmp_path / "node-1.log")
    training = Training(stack, dataset, STAGE, tmp_path / "log", num_workers=4)
    try:
        training.wait_for_checkpoint()
        assert len(training_workers(stack)) == 4
        raylets = processes_with(stack, b"raylet/raylet")
        own = [pid for pid in raylets if _is_child(pid, node.pid)]
        kill(own)
        node.wait(timeout=60)
        # Two of its workers are left without the others: the stage waits for a second node.
        wait_until(lambda: len(training_workers(stack)) < 4, "the workers are gone")
        node = _add_node(stack, tmp_path / "node-2.log")
        result = training.finish(600)
    finally:
        training.close()
        node.terminate()
        node.wait()
    assert result.step == STAGE.steps
    assert training.resumed_at()[0] > 0


@nodes_group
def test_an_elastic_stage_goes_on_with_the_node_that_is_left(
    stack: RunningStack, dataset: DatasetRef, tmp_path: Path
) -> None:
    node = _add_node(stack, tmp_path / "node.log")
    elastic = STAGE.model_copy(update={"min_workers": 2})
    training = Training(stack, dataset, elastic, tmp_path / "log", num_workers=4)
    try:
        training.wait_for_checkpoint()
        assert len(training_workers(stack)) == 4
        kill([pid for pid in processes_with(stack, b"raylet/raylet") if _is_child(pid, node.pid)])
        node.wait(timeout=60)
        result = training.finish(600)
    finally:
        training.close()
        node.terminate()
        node.wait()
    assert result.step == STAGE.steps
    assert training.resumed_at()[0] > 0
    assert read_manifest(stack.store, result.key).num_ranks == 2


@training_group
def test_a_run_needs_one_job_although_its_prefect_worker_is_killed(
    stack: RunningStack, dataset: DatasetRef
) -> None:
    recipe = tiny().model_copy(update={"pretrain": STAGE, "adversarial": None})
    run = Run(
        stack,
        "train-recipe/train-recipe",
        {
            "dataset": dataset.dataset,
            "recipe": recipe.model_dump(mode="json"),
            "num_workers": 2,
            "force": True,
        },
    )
    try:
        wait_until(lambda: run.statuses() == ["RUNNING"], "the job runs", 240)
        kill(processes_with(stack, b"worker\0start"))
        wait_until(lambda: run.now["state_type"] == "COMPLETED", "the run completes", 400)
        assert run.statuses() == ["SUCCEEDED"], "one job was enough"
        wait_until(lambda: not job_processes(stack), "no process of the job is left", 60)
    finally:
        run.close()


def _add_node(stack: RunningStack, log: Path) -> subprocess.Popen[bytes]:
    """A second raylet of two CPUs on this machine; ended by its pid."""
    state = stack.stack.state
    environment = service_environment(state)
    del environment["RAY_ADDRESS"]  # that is the job server's
    with log.open("wb") as output:
        return subprocess.Popen(
            [
                "ray",
                "start",
                f"--address=127.0.0.1:{state.ports['ray_gcs']}",
                "--node-ip-address=127.0.0.1",
                "--num-cpus=2",
                "--object-store-memory=268435456",
                "--disable-usage-stats",
                "--block",
            ],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _is_child(pid: int, parent: int) -> bool:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]) == parent
