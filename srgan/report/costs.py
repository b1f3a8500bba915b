"""Cluster time of the jobs of a run: one small object per job, written as it ends.

A driver that is killed with SIGKILL writes none; its time is missing from the sum.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from srgan.errors import StorageError
from srgan.keys import cost_key
from srgan.refs import Ref
from srgan.storage import ObjectStore, read_document, write_document

logger = logging.getLogger(__name__)


class Cost(Ref):
    """CPUs and GPUs that one Ray job reserved, and for how long."""

    job: str
    """``<root flow run>-<stage>-<attempt>``."""
    stage: str
    cpus: int
    gpus: int
    seconds: float
    """Seconds from the moment that the cluster had room for the job to its end."""

    @property
    def cpu_seconds(self) -> float:
        """CPUs times seconds: reserved, busy or not."""
        return self.cpus * self.seconds

    @property
    def gpu_seconds(self) -> float:
        """GPUs times seconds: reserved, busy or not."""
        return self.gpus * self.seconds


@contextmanager
def counting(
    store: ObjectStore, run: str, job_id: str, *, stage: str, cpus: int, gpus: int
) -> Iterator[None]:
    """Record what the block cost, even if it fails. If the write fails, that is only a warning."""
    began = time.monotonic()
    try:
        yield
    finally:
        cost = Cost(job=job_id, stage=stage, cpus=cpus, gpus=gpus, seconds=time.monotonic() - began)
        try:
            write_document(store, cost_key(run, job_id), cost)
        except StorageError as error:
            logger.warning("costs of job %s could not be written: %s", job_id, error)


def read_costs(store: ObjectStore, run: str) -> list[Cost]:
    """Return the costs of all jobs that made `run` so far, whichever flow run started them."""
    keys = [info.key for info in store.list(cost_key.below(run)) if info.key.endswith(".json")]
    return [read_document(store, key, Cost) for key in sorted(keys)]
