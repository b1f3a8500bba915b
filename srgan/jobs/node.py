"""First steps of every Ray job: read its spec, refuse other code, wait for the cluster.

A job is started as ``python -m <module> <spec_key> <job_id>``. What it logs or prints is relayed
to the log of the flow run that follows it.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from srgan.errors import ClusterError, ConfigError, explain
from srgan.readable import size
from srgan.services.ray_jobs import RayJobs
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
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    settings = Settings()
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
    """Resources that must be free before something starts."""

    what: str
    """Name of the job that needs them, for the log."""
    cpus: float
    gpus: float = 0
    memory_bytes: int = 0

    @property
    def resources(self) -> dict[str, float]:
        """Amounts by Ray's names."""
        found = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_bytes}
        return {name: amount for name, amount in found.items() if amount > 0}


def wait_for_cluster(need: Callable[[], Need], limit_s: float, job_id: str) -> Need:
    """Return what is needed once it is free.

    `need` is called each time, because it may depend on the nodes that have joined. The wait lasts
    as long as the cluster is busy. A cluster that is too small is an error after `limit_s` seconds,
    because a node that starts late may make it large enough. What is missing, and which jobs run
    beside `job_id`, is logged at once and every 30 seconds.
    """
    connect()
    shortage = Shortage(limit_s)
    began = next_note = time.monotonic()
    while problem := shortage.look(asked := need()):
        now = time.monotonic()
        if now >= next_note:
            waited_s = now - began
            logger.info("%s waits: %s (%.0f s); %s", asked.what, problem, waited_s, others(job_id))
            next_note = now + _REPEAT_S
        time.sleep(_POLL_S)
    return asked


class Shortage:
    """Resources that a job lacks, and since when the cluster has been too small for it."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._large_enough_at = time.monotonic()

    def look(self, need: Need) -> str | None:
        """Say in words why `need` cannot be placed now; None if it can.

        `ClusterError` if the cluster has been too small for `limit_s` seconds.
        """
        total, free = cluster_resources()
        problem = too_small(need.resources, total)
        if problem is None:
            self._large_enough_at = time.monotonic()
            return too_busy(need.resources, total, free)
        if time.monotonic() - self._large_enough_at >= self._limit_s:
            raise ClusterError(
                f"{need.what} could not start within {self._limit_s:.0f} s: {problem}. Ask for "
                "less, add nodes, or raise SRGAN_CLUSTER_WAIT_S."
            )
        return problem


def cluster_resources() -> tuple[dict[str, float], dict[str, float]]:
    """Return all and free resources of the cluster, by Ray's names (``CPU``, ``GPU``)."""
    import ray

    total = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray's, untyped
    free = ray.available_resources()  # type: ignore[no-untyped-call]  # Ray's, untyped
    return total, free


def too_small(needed: Mapping[str, float], total: Mapping[str, float]) -> str | None:
    """Say in words why `needed` would not fit an idle cluster; None if it would."""
    for name, amount in needed.items():
        has = total.get(name, 0)
        if has < amount:
            return (
                f"the cluster is too small: it has {_told(has, name)} {name}, "
                f"{_told(amount, name)} are needed"
            )
    return None


def too_busy(
    needed: Mapping[str, float], total: Mapping[str, float], free: Mapping[str, float]
) -> str | None:
    """Say in words why `needed` does not fit beside what runs; None if it does."""
    for name, amount in needed.items():
        idle = free.get(name, 0)
        if idle < amount:
            return (
                f"the cluster is busy: {_told(idle, name)} of {_told(total[name], name)} {name} "
                f"are free, {_told(amount, name)} are needed"
            )
    return None


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
