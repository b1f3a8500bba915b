"""A worker of a bulk run that fails as its test wants; alone here, because Ray imports its file."""

import json
import os
import time
from pathlib import Path
from typing import Any

import psutil
import ray

from srgan.bulk.attempt import BatchAttempt
from srgan.errors import ClusterError, ConfigError, StorageError
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.stack.processes import is_alive


class Worker:
    """Notes what it does in a folder; `destination` is that folder.

    ``plan.json`` there says what happens at each attempt of a batch, and at every ``start``. A
    worker cannot start on the node that is ``blind``. With ``bad`` in it, the first worker is alone
    on its node, and all others are on one where this fails: ``batches``.
    """

    def __init__(self, spec: UpscaleSpec, num_cpus: int, device: str, memory_bytes: int) -> None:
        self._name = f"{os.getpid()} with {num_cpus} CPUs"
        self._folder = Path(spec.destination)
        self._plan = json.loads((self._folder / "plan.json").read_text())
        reserved = ray.get_runtime_context().get_assigned_resources()
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
        told = {"device": device, "told": memory_bytes, "sees": gpus}
        self._note(f"started.{os.getpid()}", {**told, **reserved})
        self._node = ray.get_runtime_context().get_node_id()
        if "bad" in self._plan:
            self._node = "good" if self._is_first() else "bad"
        if spec.run == "stillborn":
            os._exit(1)

    def where(self) -> str:
        return self._node

    def ready(self) -> None:
        if self._plan.get("blind") == self._node:
            self._note(f"lost.{os.getpid()}")
            raise ClusterError("node-2 does not see the folder")
        match self._plan.get("start"):
            case "sees no folder":
                raise ClusterError("node-1 does not see the folder")
            case "cannot read":
                raise StorageError("away")
            case "is hopeless":
                raise ConfigError("for ever")

    def run(self, batch: int, attempt: BatchAttempt) -> str:
        number = len(list(self._folder.glob(f"{batch}-*")))
        (self._folder / f"{batch}-{number}").write_text(self._name)
        if self._plan.get("bad") == "batches" and self._node == "bad":
            self._note(f"bad.{batch}")
            raise ClusterError("node-2 cannot start a decoder")
        plan = self._plan.get(str(batch), {})
        time.sleep(0.05)
        match plan.get(str(number)) or plan.get("always"):
            case "dies":
                os._exit(1)
            case "is joined":
                while len({path.read_text() for path in self._folder.glob("*-*")}) < 2:
                    time.sleep(0.1)
            case "hangs":
                time.sleep(600)
            case "fails":
                raise RuntimeError("again")
            case "is hopeless":
                raise ConfigError("for ever")
            case "is alone":
                self._wait_for_the_end_of_the_first(batch)
        if "bad" in self._plan:
            self._wait_for_the_bad_node()
        return f"batch {batch} done"

    def _is_first(self) -> bool:
        try:
            (self._folder / "good").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _note(self, name: str, note: dict[str, Any] | None = None) -> None:
        (self._folder / name).write_text(json.dumps(note))

    def _wait_for_the_end_of_the_first(self, batch: int) -> None:
        pid = int((self._folder / f"{batch}-0").read_text().split()[0])
        deadline = time.monotonic() + 20
        while _runs(pid):
            if time.monotonic() > deadline:
                raise RuntimeError(f"process {pid} is still at work on batch {batch}")
            time.sleep(0.1)

    def _wait_for_the_bad_node(self) -> None:
        """Be busy until the other node has failed at all that it can get."""
        while len(list(self._folder.glob("bad.*"))) < 2:
            time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        return is_alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False
