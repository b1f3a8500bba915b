"""Entry point of a batch job: ``python -m srgan.jobs.upscale <spec_key> <job_id>``.

The job's driver reserves nothing; its one actor holds a GPU if the cluster has one, else a CPU.
So jobs that do not fit wait in Ray's own queue, and each logs what it waits for.
"""

import logging
import sys
import time
from typing import Any

from srgan.errors import ClusterError
from srgan.jobs.failure import leaving_failure
from srgan.jobs.node import cluster_resources, connect, missing, others, start
from srgan.jobs.upscale_worker import UpscaleSpec, UpscaleWorker

logger = logging.getLogger(__name__)

_FIRST_NOTE_S = 5.0
_REPEAT_S = 30.0


def main(spec_key: str, job_id: str) -> None:
    """Place the worker, wait for it, and log the counts of the batch."""
    import ray

    settings, _, spec = start(spec_key, UpscaleSpec)
    connect()
    total, _ = cluster_resources()
    needed = {"CPU": 1.0, "GPU": 1.0} if total.get("GPU", 0) >= 1 else {"CPU": 1.0}
    # Ray gives a worker as many torch threads as it reserves CPUs.
    actor: Any = ray.remote(num_cpus=1, num_gpus=needed.get("GPU", 0))(UpscaleWorker)
    worker = actor.remote()
    _wait_for_place(worker, needed, f"batch {spec.batch}", settings.cluster_wait_s, job_id)
    logger.info(ray.get(worker.run.remote(spec)))


def _wait_for_place(
    worker: Any, needed: dict[str, float], what: str, limit_s: float, job_id: str
) -> None:
    """Return once the actor lives.

    There is no limit to waiting for a busy cluster, because it is usually busy with another batch
    of the same run. `ClusterError` after `limit_s` seconds if the cluster is too small.
    """
    import ray

    began = time.monotonic()
    ready = worker.ready.remote()
    pause_s = _FIRST_NOTE_S
    while not ray.wait([ready], timeout=pause_s)[0]:
        total, free = cluster_resources()
        too_small = missing(needed, total, total)
        waited_s = time.monotonic() - began
        if too_small and waited_s >= limit_s:
            raise ClusterError(
                f"{what} could not start within {limit_s:.0f} s: {too_small}. Add nodes, or raise "
                "SRGAN_CLUSTER_WAIT_S."
            )
        problem = missing(needed, total, free) or "its process is starting"
        logger.info("%s waits: %s (%.0f s); %s", what, problem, waited_s, others(job_id))
        pause_s = _REPEAT_S
    ray.get(ready)


if __name__ == "__main__":
    with leaving_failure(*sys.argv[1:]):
        main(*sys.argv[1:])
