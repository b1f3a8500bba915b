"""How many training workers a cluster gets, and with what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_CPU_WORKERS = 2
_MAX_CPUS_PER_GPU = 4  # the GPU computes; its worker cuts patches and launches kernels


@dataclass(frozen=True, slots=True)
class Workers:
    """What Ray Train is asked for."""

    num_workers: int
    cpus_per_worker: int
    use_gpu: bool

    def __str__(self) -> str:
        gpu = " and a GPU" if self.use_gpu else ""
        return f"{self.num_workers} workers with {self.cpus_per_worker} CPU{gpu} each"


def plan_workers(
    nodes: Sequence[Mapping[str, Any]], num_workers: int | None, batch_size: int
) -> Workers:
    """Workers for the nodes that `ray.nodes()` lists.

    Without `num_workers` they are as many as there are GPUs (or two on CPUs), or the next smaller
    number that divides `batch_size`.

    A cluster with GPUs trains on them, one worker each. The CPUs are shared out as far as every
    worker still finds a node: workers beyond that would be waited for without end. A cluster
    too small for `num_workers` gets a plan with one CPU each, which the wait then refuses.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    num_gpus = int(sum(resources.get("GPU", 0) for resources in alive))
    wanted = num_workers or _largest_divisor(batch_size, num_gpus or _CPU_WORKERS)
    most = _MAX_CPUS_PER_GPU if num_gpus else int(max((r.get("CPU", 0) for r in alive), default=1))
    for cpus in range(most, 1, -1):
        if sum(_fitting(resources, cpus, num_gpus > 0) for resources in alive) >= wanted:
            return Workers(wanted, cpus, num_gpus > 0)
    return Workers(wanted, 1, num_gpus > 0)


def _largest_divisor(number: int, limit: int) -> int:
    return next(each for each in range(limit, 0, -1) if number % each == 0)


def _fitting(resources: Mapping[str, float], cpus: int, use_gpu: bool) -> int:
    places = int(resources.get("CPU", 0) // cpus)
    return min(places, int(resources.get("GPU", 0))) if use_gpu else places
