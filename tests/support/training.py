"""A training stage on the running stack, as a flow in its own process."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from srgan.config import PretrainConfig
from srgan.data.prepare import prepare_dataset
from srgan.recipes import tiny
from srgan.refs import CheckpointRef, DatasetRef
from srgan.stack.processes import find_processes
from srgan.stack.state import runtime_folder
from srgan.stack.supervisor import Supervisor
from srgan.train.checkpoint import checkpoint_keys
from tests.support.flow_process import FlowProcess
from tests.support.photos import dead_leaves
from tests.support.places import place
from tests.support.ports import closed_door
from tests.support.running_stack import RunningStack, Shell
from tests.support.waiting import wait_until


def prepare_leaves(stack: Shell, dataset: str, first_seed: int) -> DatasetRef:
    """Six drawn photos as a dataset of the tiny recipe."""
    for seed in range(6):
        stack.store.put(f"raw/{dataset}/{seed}.png", dead_leaves(seed + first_seed))
    return prepare_dataset(place(stack.store, f"raw/{dataset}"), stack.store, dataset, tiny().data)


class Training(FlowProcess):
    """The `train` flow of one stage, under its own run name."""

    def __init__(
        self,
        stack: Shell,
        dataset: DatasetRef,
        stage: PretrainConfig,
        log: Path,
        *,
        num_workers: int = 2,
    ) -> None:
        self._stack = stack
        self.num_workers = num_workers
        code = (
            "from flows.train import train\n"
            "from srgan.config import PretrainConfig\n"
            "from srgan.refs import DatasetRef\n"
            f"ref = DatasetRef.model_validate_json({dataset.model_dump_json()!r})\n"
            f"stage = PretrainConfig.model_validate_json({stage.model_dump_json()!r})\n"
            f"result = train(ref, stage, num_workers={num_workers}, force=True)\n"
            "print('RESULT', result.model_dump_json())"
        )
        super().__init__(stack, code, log)

    def wait_for(self, pattern: str, timeout_s: float = 240) -> None:
        """Wait for a line of the flow's log."""
        self.wait(lambda: re.search(pattern, self.text) is not None, pattern, timeout_s)

    def wait_for_checkpoint(self) -> None:
        """Wait until there is something to go on from."""
        self.wait_for(r"runs/(pretrain-[0-9a-f]{16})/progress")
        self.wait(lambda: bool(self.checkpoints()), "the first checkpoint", 240)

    def checkpoints(self) -> list[str]:
        """Keys of the checkpoints that there are."""
        found = re.search(r"runs/(pretrain-[0-9a-f]{16})/progress", self.text)
        assert found is not None
        return checkpoint_keys(self._stack.store, found[1])

    def finish(self, timeout_s: float = 400) -> CheckpointRef:
        """The result of the flow; every process of the job must have ended soon after it."""
        self.wait_for_end(timeout_s)
        wait_until(lambda: not job_processes(self._stack), "no process of the job is left", 60)
        return CheckpointRef.model_validate_json(_result(self.text))

    def resumed_at(self) -> list[int]:
        """Steps that the stage went on from, in turn."""
        return [int(step) for step in re.findall(r"resuming \S+ at step (\d+)", self.text)]


def kill(pids: list[int]) -> None:
    """SIGKILL; at least one there must be."""
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def training_workers(stack: Shell) -> list[int]:
    """Ray names a training process after the actor that it runs."""
    return processes_with(stack, b"RayTrainWorker")


def job_processes(stack: Shell) -> list[int]:
    """Drivers, controllers and workers of training jobs."""
    return [
        *training_workers(stack),
        *processes_with(stack, b"TrainController"),
        *processes_with(stack, b"srgan.jobs.train"),
    ]


def processes_with(stack: Shell, words: bytes) -> list[int]:
    """The stack's processes whose command line contains some bytes."""
    ours = find_processes(runtime_folder(Path(stack.env["SRGAN_HOME"])))
    return sorted(process.pid for process in ours if words in _command(process.pid))


@contextmanager
def object_store_away(stack: RunningStack) -> Iterator[Callable[[], int]]:
    """Kill the object store, which is away within the block.

    What the block gets says how many connections have been asked for in vain since then.
    """
    supervisor = Supervisor(runtime_folder(Path(stack.env["SRGAN_HOME"])))
    with ThreadPoolExecutor(1) as thread:
        # First, or it would be back at once; then wait, because it serves on while it ends.
        stopped = thread.submit(supervisor.stop, ["s3"])
        wait_until(lambda: supervisor.programs()["s3"].state == "STOPPING", "the store stops")
        kill(processes_with(stack, b"weed\0"))
        stopped.result(60)
    try:
        with closed_door(stack.stack.state.ports["s3"]) as knocks:
            yield knocks
    finally:
        supervisor.start("s3")


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""  # it has ended in between


def _result(printed: str) -> str:
    line = next(line for line in printed.splitlines() if line.startswith("RESULT "))
    return line.removeprefix("RESULT ")
