"""CPUs and memory that each worker of a bulk run reserves, by the nodes that are up.

Nobody knows on which node a worker will start, so all of them reserve the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from srgan.config import UpscaleConfig
from srgan.jobs.node import Need, memory_of, room

_LEAST_BYTES = 2**29
"""A worker's process without an image."""


def worker_need(
    config: UpscaleConfig,
    nodes: Iterable[Mapping[str, float]],
    use_gpu: bool,
    num_drivers: int = 1,
) -> Need:
    """Return what a worker reserves, by the resources of the nodes and drivers that are up.

    The memory is the most that it takes, or a node's share for each of its workers, if that is
    enough for `config.memory_bytes`; then fewer images wait in it. If no node has enough, it is all
    that one has: most images are smaller. It is 0 until a node has the CPUs (and a GPU), because
    one that is started for the run may have less memory.
    """
    nodes = list(nodes)
    cpus = worker_cpus(config, nodes, use_gpu)
    alone = Need("the run", cpus=cpus, gpus=int(use_gpu))
    shares = [
        _share(config, cpus, memory_of(node, num_drivers, _LEAST_BYTES), most)
        for node in nodes
        if (most := room([node], alone.bundle))
    ]
    # The smallest, as with CPUs: a node without a worker costs more than images that do not wait.
    # A node with less than enough does not count, because workers on all others would then take
    # more than they reserve. Where no node has enough, as much as possible is reserved in all.
    enough = [share for share in shares if share >= config.memory_bytes]
    memory_bytes = min(enough, default=0) or max(
        shares, key=lambda share: share * sum(other >= share for other in shares), default=0
    )
    return replace(alone, memory_bytes=memory_bytes)


def _share(config: UpscaleConfig, cpus: int, memory_bytes: int, most: int) -> int:
    """Memory of each worker on a node that has CPUs (and GPUs) for at `most` so many."""
    number = min(most, config.max_workers, memory_bytes // config.memory_bytes)
    return min(config.worker_bytes(cpus), memory_bytes // max(1, number))


def worker_cpus(config: UpscaleConfig, nodes: Iterable[Mapping[str, float]], use_gpu: bool) -> int:
    """CPUs of one worker, by the resources of the nodes that are up.

    The CPUs of a node with GPUs are shared by its GPUs, so that decoding and encoding keep up; a
    worker without a GPU has one CPU. `config.cpus_per_worker` decides otherwise.
    """
    if config.cpus_per_worker or not use_gpu:
        return config.cpus_per_worker or 1
    shares = [node.get("CPU", 1) // node["GPU"] for node in nodes if node.get("GPU", 0) >= 1]
    return int(max(1, min(shares, default=1)))
