"""Workers of one bulk run: each does batch after batch, and a batch that one loses, another does.

The pool asks Ray for all its workers at once and begins as soon as the first is there. So a busy
cluster serves the run with what is free, and a cluster that grows by demand sees the demand. What
the batches that are left do not need, the pool gives back at once, so that the cluster can shrink.
"""

import json
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import ray
from ray.exceptions import RayActorError

from srgan.config import UpscaleConfig
from srgan.errors import ClusterError
from srgan.jobs.failure import failure_of, unwrapped
from srgan.jobs.node import Need, Shortage, node_resources, others, uses_gpu
from srgan.jobs.upscale import UpscaleSpec
from srgan.keys import batch_run, bulk_job_run, failure_key, progress_key
from srgan.services import ray_metrics
from srgan.storage import ObjectStore, write_document

logger = logging.getLogger(__name__)

_ATTEMPTS = 3
"""Attempts of a batch, and starts of workers that fail one after the other."""
_FIRST_NOTE_S = 5.0
_REPEAT_S = 30.0


class Pool:
    """The workers of a run and the batches that are left."""

    def __init__(
        self, spec: UpscaleSpec, worker: type, store: ObjectStore, job_id: str, limit_s: float
    ) -> None:
        """`store` takes the failures of batches; `limit_s` bounds the wait for a larger cluster."""
        nodes = node_resources()
        self._use_gpu = uses_gpu(spec.config.gpu, nodes)
        self._num_cpus = worker_cpus(spec.config, nodes, self._use_gpu)
        self._class = worker
        self._spec = spec
        self._store = store
        self._job_id = job_id
        self._limit_s = limit_s
        self._todo = deque(spec.batches)
        self._attempts: dict[int, int] = {}
        self._working: dict[Any, tuple[Any, int | None]] = {}
        """By what is awaited: a worker, and its batch or None while it starts."""
        self._num_ended = 0
        self._num_lost_starts = 0

    def run(self) -> None:
        """Return when every batch has its records, or a failure that says why not.

        `ClusterError` if the cluster is too small for one worker until the time limit, also after
        it has lost its nodes, or if workers die while they start.
        """
        self._start_workers(min(self._spec.config.max_workers, len(self._todo)))
        idle_since, pause_s, shortage = time.monotonic(), _FIRST_NOTE_S, Shortage(self._limit_s)
        while self._working:
            self._show()
            done, _ = ray.wait(list(self._working), timeout=pause_s)
            for each in done:
                self._handle(each)
            if done or any(batch is not None for _, batch in self._working.values()):
                idle_since, pause_s = time.monotonic(), _FIRST_NOTE_S
                shortage = Shortage(self._limit_s)
            else:
                self._say_waiting(time.monotonic() - idle_since, shortage)
                pause_s = _REPEAT_S

    def _start_workers(self, number: int) -> None:
        # Ray gives a worker as many torch threads as it reserves CPUs.
        actor: Any = ray.remote(num_cpus=self._num_cpus, num_gpus=int(self._use_gpu))(self._class)
        for _ in range(number):
            worker = actor.remote(self._spec, self._num_cpus)
            self._working[worker.ready.remote()] = worker, None

    def _stop_waiting(self, number: int) -> None:
        """Withdraw the demand for so many of the workers that have not begun."""
        starting = [each for each, (_, batch) in self._working.items() if batch is None]
        for each in starting[:number]:
            worker, _ = self._working.pop(each)
            ray.kill(worker)

    def _handle(self, ended: Any) -> None:
        worker, batch = self._working.pop(ended)
        try:
            line = ray.get(ended)
        except RayActorError as error:
            self._lose(batch, error)
            if self._todo:
                self._start_workers(1)
            return
        except Exception as error:  # what the batch raised; the worker is well
            self._lose(batch, error)
        else:
            self._num_lost_starts = 0
            if batch is not None:
                logger.info(line)
                self._count()
            elif self._replaced(worker):
                return
        self._give(worker)

    def _give(self, worker: Any) -> None:
        """Hand out the next batch, and let workers go that will have nothing to do."""
        if self._todo:
            batch = self._todo.popleft()
            self._working[worker.run.remote(batch)] = worker, batch
        else:
            ray.kill(worker)
        waiting = sum(batch is None for _, batch in self._working.values())
        self._stop_waiting(max(0, waiting - len(self._todo)))

    def _replaced(self, worker: Any) -> bool:
        """Start a worker, and those that wait with it, again if its node has more CPUs for it.

        Until the first node with GPUs has come, nobody knows how many CPUs it has for each.
        """
        num_cpus = worker_cpus(self._spec.config, node_resources(), self._use_gpu)
        if num_cpus == self._num_cpus:
            return False
        self._num_cpus = num_cpus
        ray.kill(worker)
        waiting = sum(batch is None for _, batch in self._working.values())
        self._stop_waiting(waiting)
        self._start_workers(waiting + 1)
        return True

    def _lose(self, batch: int | None, error: Exception) -> None:
        """Put the batch back to be done next, or write down why it is lost."""
        cause = unwrapped(error)
        if batch is None:
            self._num_lost_starts += 1
            if self._num_lost_starts == _ATTEMPTS:
                raise ClusterError(
                    f"{_ATTEMPTS} workers died while they started: {cause}"
                ) from error
            logger.warning("a worker died while it started: %s", cause)
            return
        failure = failure_of(cause, self._job_id)
        attempt = self._attempts[batch] = self._attempts.get(batch, 0) + 1
        if attempt < _ATTEMPTS and not failure.hopeless:
            logger.warning(
                "batch %d, attempt %d, failed and is done again: %s", batch, attempt, failure
            )
            self._todo.appendleft(batch)
            return
        logger.error("batch %d is lost: %s", batch, failure)
        write_document(self._store, failure_key(batch_run(self._spec.run, batch)), failure)
        self._count()

    def _count(self) -> None:
        """Tell the flow that the run gets on, so that it goes on after a lost driver."""
        self._num_ended += 1
        report = {"step": self._num_ended, "steps": len(self._spec.batches)}
        self._store.put(
            progress_key(bulk_job_run(self._spec.run)),
            json.dumps(report).encode(),
            content_type="application/json",
        )

    def _show(self) -> None:
        working = sum(batch is not None for _, batch in self._working.values())
        run = bulk_job_run(self._spec.run)
        ray_metrics.show_batches(run, waiting=len(self._todo), working=working)

    def _say_waiting(self, waited_s: float, shortage: Shortage) -> None:
        """Log what the run waits for; `ClusterError` if the cluster stays too small."""
        need = Need("the run", cpus=self._num_cpus, gpus=int(self._use_gpu))
        problem = shortage.look(need)
        logger.info("the run waits: %s (%.0f s); %s", problem, waited_s, others(self._job_id))


def worker_cpus(config: UpscaleConfig, nodes: Iterable[Mapping[str, float]], use_gpu: bool) -> int:
    """CPUs of one worker, by the resources of the nodes that are up.

    The CPUs of a node with GPUs are shared by its GPUs, so that decoding and encoding keep up; a
    worker without a GPU has one CPU. `config.cpus_per_worker` decides otherwise.
    """
    if config.cpus_per_worker or not use_gpu:
        return config.cpus_per_worker or 1
    shares = [node.get("CPU", 1) // node["GPU"] for node in nodes if node.get("GPU", 0) >= 1]
    return int(max(1, min(shares, default=1)))
