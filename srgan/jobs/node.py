"""First steps of every Ray job: read its spec, refuse other code, wait for the cluster.

A job is started as ``python -m <module> <spec_key> <job_id>``. What it logs or prints is relayed
to the log of the flow run that follows it.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from srgan.config import Gpu
from srgan.errors import ClusterError, ConfigError, explain
from srgan.jobs import autoscaler
from srgan.keys import run_of
from srgan.logs import configure
from srgan.readable import size
from srgan.services.ray_jobs import DRIVER_MEMORY_BYTES, DRIVER_SHARE, HEAD, RayJobs
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from srgan.version import release_version

logger = logging.getLogger(__name__)

SpecT = TypeVar("SpecT", bound=BaseModel)

_THIS_CLUSTER = "auto"  # Ray knows by itself which cluster a job belongs to
_POLL_S = 2.0
_REPEAT_S = 30.0


def start(spec_key: str, spec_type: type[SpecT]) -> tuple[Settings, S3Store, SpecT]:
    """Return this node's settings, the store, and the job's spec, which lies at `spec_key`.

    The spec's ``release_version`` is checked before its fields: other code may have other fields.
    """
    settings, run = Settings(), run_of(spec_key)
    stage = "evaluate" if "/" in run else run.partition("-")[0]
    configure(settings, sys.stdout, run=run, stage=stage)
    store = open_store(settings)
    raw = json.loads(store.get(spec_key))
    wanted, ours = raw.get("release_version"), release_version()
    if wanted != ours:
        raise ClusterError(
            f"this Ray node runs srgan {ours}, the flow that submitted the job runs {wanted}: "
            f"install the same srgan on the Ray nodes and on the worker"
        )
    try:
        return settings, store, spec_type.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(
            f"{store.uri(spec_key)} is not a {spec_type.__name__}: {explain(error)}"
        ) from error


def connect() -> None:
    """Connect this job to the cluster that it runs on; a second call does nothing."""
    import ray

    if not ray.is_initialized():
        # A driver that reserves memory hands its niceness, 0, on to all workers, which would take
        # the CPUs from Ray's own processes, and they answer for the node. 15 is Ray's default.
        os.environ["RAY_OVERRIDE_JOB_RUNTIME_ENV"] = "1"
        ray.init(runtime_env={"env_vars": {"RAY_worker_niceness": "15"}})


@dataclass(frozen=True, slots=True)
class Need:
    """Processes that must start together, and what each of them needs on its node."""

    what: str
    """Name of the job that needs them, for the log."""
    cpus: float
    gpus: float = 0
    memory_bytes: int = 0
    num: int = 1

    @property
    def bundle(self) -> dict[str, float]:
        """Resources of one process, by Ray's names."""
        found = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_bytes}
        return {name: amount for name, amount in found.items() if amount > 0}

    def __str__(self) -> str:
        each = " + ".join(f"{_told(amount, name)} {name}" for name, amount in self.bundle.items())
        return f"{self.num} × ({each})" if self.num > 1 else f"{each} on one node"


def wait_for_cluster(need: Callable[[], Need], limit_s: float, job_id: str) -> Need:
    """Return what is needed once the cluster has room for it.

    Ray is told of the demand, so a cluster that grows by demand starts nodes for it. `need` is
    called again while nodes come, because it may depend on them. The wait lasts as long as the
    cluster is busy or grows; see `Shortage` for `limit_s`. What is missing, and which jobs run
    beside `job_id`, is logged at once and every 30 seconds.

    The room is given back, because what starts there asks Ray for it again.
    """
    connect()
    shortage = Shortage(limit_s)
    began = next_note = time.monotonic()
    while True:
        asked = need()
        with stated(asked) as has_room:
            while not (found := has_room(_POLL_S)) and need() == asked:
                problem, now = shortage.look(asked), time.monotonic()
                if now >= next_note:
                    waited_s = now - began
                    logger.info(
                        "%s waits: %s (%.0f s); %s", asked.what, problem, waited_s, others(job_id)
                    )
                    next_note = now + _REPEAT_S
        if found and need() == asked:
            return asked


def options_of(need: Need) -> dict[str, Any]:
    """Return Ray's options for one process of a need.

    A process without a GPU sees none: Ray only counts GPUs, and torch takes any that it sees.
    """
    options: dict[str, Any] = {"num_cpus": need.cpus, "num_gpus": need.gpus}
    if need.memory_bytes:
        options["memory"] = need.memory_bytes
    if not need.gpus:
        options["runtime_env"] = {"env_vars": {"CUDA_VISIBLE_DEVICES": ""}}
    return options


@contextmanager
def stated(need: Need) -> Iterator[Callable[[float], bool]]:
    """Keep a placement group within the block; Ray's autoscaler sees it as long as it waits.

    What the block gets waits for so many seconds at most, and says whether there is room. A job
    that dies withdraws its demand, unlike that of `ray.autoscaler.sdk.request_resources`, which
    also overwrites the demand of all other jobs.
    """
    from ray.util import placement_group, remove_placement_group

    group = placement_group([need.bundle] * need.num)
    try:
        yield group.wait
    finally:
        remove_placement_group(group)


class Shortage:
    """Resources that a job lacks, and since when the cluster can never have them."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._possible_at = time.monotonic()

    def look(self, need: Need) -> str:
        """Say in words why `need`, of which Ray has been told, waits.

        `ClusterError` if for `limit_s` seconds the cluster has been too small for it even when
        idle, and no autoscaler has been able to add what is missing.
        """
        nodes, free = node_resources(), free_resources()
        totals = {name: sum(node.get(name, 0) for node in nodes) for name in need.bundle}
        if room(nodes, need.bundle) >= need.num:
            self._possible_at = time.monotonic()
            idle = [
                f"{_told(free.get(name, 0), name)} of {_told(has, name)} {name}"
                for name, has in totals.items()
            ]
            return f"the cluster is busy: {', '.join(idle)} are free, {need} are needed"
        has = ", ".join(f"{_told(has, name)} {name}" for name, has in totals.items())
        problem = f"it has {has}, {need} are needed"
        if hope := autoscaler.outlook(need.bundle):
            self._possible_at = time.monotonic()
            return f"the cluster is too small yet: {problem}; {hope}"
        if time.monotonic() - self._possible_at >= self._limit_s:
            raise ClusterError(
                f"{need.what} could not start within {self._limit_s:.0f} s: the cluster is too "
                f"small: {problem}. Ask for less, add nodes, or raise SRGAN_CLUSTER_WAIT_S."
            )
        return f"the cluster is too small: {problem}"


def node_resources(without: Collection[str] = ()) -> list[dict[str, float]]:
    """Return all resources of each node that is up, by Ray's names (``CPU``, ``GPU``).

    Nodes whose ids are in `without` are left out.
    """
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's, untyped
    return [node["Resources"] for node in nodes if node["Alive"] and node["NodeID"] not in without]


def memory_of(node: Mapping[str, float], num_drivers: int = 1, least_bytes: int = 0) -> int:
    """Bytes of a node for the work of one job; the drivers that run take their part of the head.

    With less than `least_bytes` a job cannot work, so it asks for them, if the node has so much
    beside its own driver, and waits until others have ended.
    """
    all_bytes, driver_bytes = int(node.get("memory", 0)), DRIVER_MEMORY_BYTES * (HEAD in node)
    left, most = (max(0, all_bytes - number * driver_bytes) for number in (num_drivers, 1))
    return max(left, min(least_bytes, most))


def count_drivers() -> int:
    """Count the drivers on the head, this one among them.

    Two jobs that begin at once on a small node would otherwise both wait for the memory of the
    other's driver, for ever.
    """
    return max(1, round((1 - free_resources().get(HEAD, 1)) / DRIVER_SHARE))


def free_resources() -> dict[str, float]:
    """Return what the nodes together have free, by Ray's names."""
    import ray

    free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]  # Ray's
    return free


def room(nodes: Iterable[Mapping[str, float]], bundle: Mapping[str, float]) -> int:
    """Count the processes that the nodes have room for when they are idle."""
    return sum(
        int(min(node.get(name, 0) // amount for name, amount in bundle.items())) for node in nodes
    )


def uses_gpu(gpu: Gpu, nodes: Iterable[Mapping[str, float]]) -> bool:
    """Decide whether a job computes on GPUs, by what the run asks for and the nodes have."""
    if gpu == "auto":
        return any(node.get("GPU", 0) >= 1 for node in nodes)
    return gpu == "required"


def _told(amount: float, name: str) -> str:
    return size(amount) if name == "memory" else f"{amount:g}"


def others(job_id: str) -> str:
    """Name the other running jobs, because this one may be waiting for one of them."""
    try:
        return RayJobs(_THIS_CLUSTER, patience_s=0.0).others(job_id)
    except ClusterError as error:
        return f"what else the cluster runs is unknown: {error}"


Mark = tuple[str, float]
"""Name of the part that ended, and when, in seconds since the epoch, which processes share."""


class Timeline:
    """Times at which the parts of a job's start ended; ``begun`` is the first mark."""

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self.marks: list[Mark] = list(marks) or [("begun", time.time())]

    def end(self, name: str) -> None:
        """Mark that `name` has just ended."""
        self.marks.append((name, time.time()))

    def line(self) -> str:
        """Return the total and its parts: ``14.2 s: driver 4.1 s, workers 8.0 s, …``.

        The clocks of two nodes may differ a little, so negative parts are shown as zero.
        """
        parts = [
            f"{name} {max(0.0, now - before):.1f} s"
            for (_, before), (name, now) in pairwise(self.marks)
        ]
        whole = max(0.0, self.marks[-1][1] - self.marks[0][1])
        return f"{whole:.1f} s: {', '.join(parts)}"
