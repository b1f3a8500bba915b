"""Workers of one bulk run: each does batch after batch, and a batch that one loses, another does.

The pool asks Ray for all its workers at once and begins as soon as the first is there. So a busy
cluster serves the run with what is free, and a cluster that grows by demand sees the demand. What
the batches that are left do not need, the pool gives back at once, so that the cluster can shrink.

Whatever goes wrong with a worker ends it. Another one starts, because nobody knows in which state a
process is whose batch failed, and the batch goes to another node if the run has a worker there. A
node on which a worker could not start, or failed at a batch, gets none for a while, each time for
longer until a batch is done there.

| a worker is | and has | what is awaited of it | what follows |
|---|---|---|---|
| waiting | asked for room | its node | starting, or it asks again for what nodes have now |
| starting | room on a node | that it is ready | working; idle, ended if no batch is for it |
| working | a batch | the end of the batch | working; idle, ended if no batch is for it |
| idle | nothing to do | nothing | working, when a batch has rested that failed elsewhere |

From each state it ends when it fails or is lost.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any, Literal

import ray
from ray.exceptions import RayError, RayTaskError

from srgan.errors import ClusterError, SrganError
from srgan.jobs.autoscaler import is_starting
from srgan.jobs.failure import unwrapped
from srgan.jobs.node import (
    Need,
    Shortage,
    count_drivers,
    node_resources,
    options_of,
    others,
    room,
    uses_gpu,
)
from srgan.jobs.upscale_batches import ATTEMPTS, BatchQueue, is_hopeless, pause_after, rested
from srgan.jobs.upscale_need import worker_need
from srgan.jobs.upscale_news import News
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.keys import bulk_job_run
from srgan.services import ray_metrics
from srgan.storage import ObjectStore

logger = logging.getLogger(__name__)

_NODE_LABEL = "ray.io/node-id"
"""Ray's own label of each node."""
_FIRST_NOTE_S = 5.0
_REPEAT_S = 30.0


@dataclass
class _Worker:
    actor: Any
    need: Need
    """Resources that it has asked for."""
    state: Literal["waiting", "starting", "working", "idle"] = "waiting"
    node: str = ""
    """Id of its node; empty while it waits."""
    batch: int = -1
    """Number of the batch while it works."""


class Pool:
    """The workers of a run and the batches that are left."""

    def __init__(
        self, spec: UpscaleSpec, worker: type, store: ObjectStore, job_id: str, limit_s: float
    ) -> None:
        """`store` takes the news of the run; `limit_s` bounds the wait for a larger cluster."""
        self._use_gpu = uses_gpu(spec.config.gpu, node_resources())
        self._class = worker
        self._spec = spec
        self._news = News(spec, store)
        self._job_id = job_id
        self._limit_s = limit_s
        self._said: Need | None = None
        self._batches = BatchQueue(spec, self._news, job_id)
        self._resting_nodes: dict[str, float] = {}
        """When a node on which workers failed may have one again, by its id, which is empty if a
        worker died before it knew it."""
        self._awaited: dict[Any, _Worker] = {}
        """Workers that are not idle, by what is awaited of them."""
        self._idle: list[_Worker] = []
        """Kept for batches that rest and failed on other nodes only."""
        self._failures: dict[str, int] = {}
        """Starts and batches that failed on a node, one for each time that it was put to rest;
        forgotten when a batch is done there. A start proves little: what fails may come later."""
        self._well_at = 0.0
        """When the run last had a worker that had started, or when it began."""

    def run(self) -> None:
        """Return when every batch has its records, or a failure that says why not.

        `ClusterError` if the cluster is too small for one worker until the time limit, also after
        it has lost its nodes. If no worker can start until then, what the last of them raised.
        `StorageError` if the failure of a batch cannot be written.
        """
        self._well_at = time.monotonic()
        self._fill()
        idle_since, note_at, shortage = 0.0, 0.0, Shortage(self._limit_s)
        has_moved = True
        while self._awaited or self._batches.are_left:
            if has_moved or not self._waits():
                idle_since = time.monotonic()
                note_at, shortage = idle_since + _FIRST_NOTE_S, Shortage(self._limit_s)
            elif time.monotonic() >= note_at:
                self._say_waiting(time.monotonic() - idle_since, shortage)
                note_at = time.monotonic() + _REPEAT_S
            if self._has_started():
                self._well_at = time.monotonic()
            self._show()
            times = [*self._batches.resting.values(), *self._resting_nodes.values()]
            ended = self._wait(min([note_at, *times]))
            for each in ended:
                self._handle(each)
            self._wake()
            self._news.write_failures()
            has_moved = bool(ended)
        self._show()
        self._news.close()

    def _waits(self) -> bool:
        """True if no worker has room, and no node rests."""
        are_waiting = all(each.state == "waiting" for each in self._all())
        return bool(self._awaited) and are_waiting and not self._resting_nodes

    def _has_started(self) -> bool:
        """True if a worker works, or could."""
        return any(each.state in ("working", "idle") for each in self._all())

    def _all(self) -> list[_Worker]:
        return [*self._awaited.values(), *self._idle]

    def _count(self, *states: str) -> int:
        return sum(each.state in states for each in self._all())

    def _wait(self, until: float) -> list[Any]:
        """Wait for the next answer of a worker."""
        timeout_s = max(0.0, until - time.monotonic())
        if not self._awaited:
            time.sleep(timeout_s)
            return []
        done, _ = ray.wait(list(self._awaited), timeout=timeout_s)
        return done

    def _fill(self) -> None:
        """Start as many workers as the batches need that may be done now."""
        busy = self._count("working")
        most = self._spec.config.max_workers - len(self._idle)
        number = min(most, busy + len(self._batches.todo)) - len(self._awaited)
        if number <= 0:
            return
        need = self._need()
        if need != self._said:
            self._say(need)
        # Ray gives a worker as many torch threads as it reserves CPUs.
        make: Any = ray.remote(**options_of(need), **self._elsewhere())(self._class)
        for _ in range(number):
            device = "cuda" if need.gpus else "cpu"
            actor = make.remote(self._spec, int(need.cpus), device, need.memory_bytes)
            self._awaited[actor.where.remote()] = _Worker(actor, need)

    def _elsewhere(self) -> dict[str, Any]:
        """Ray's option that keeps workers off the nodes that rest."""
        nodes = ",".join(filter(None, self._resting_nodes))
        return {"label_selector": {_NODE_LABEL: f"!in({nodes})"}} if nodes else {}

    def _need(self) -> Need:
        nodes, drivers = node_resources(), count_drivers()
        return worker_need(self._spec.config, nodes, self._use_gpu, drivers)

    def _ask_again(self) -> None:
        """Ask for the workers that wait for room again, by the nodes that may have them now."""
        self._withdraw(self._count("waiting"))
        self._fill()

    def _withdraw(self, number: int) -> None:
        """End so many of the workers that wait or start, first those that wait."""
        states = {ref: each.state for ref, each in self._awaited.items()}
        waiting = [ref for ref, state in states.items() if state == "waiting"]
        starting = [ref for ref, state in states.items() if state == "starting"]
        for ref in (waiting + starting)[:number]:
            ray.kill(self._awaited.pop(ref).actor)

    def _handle(self, ended: Any) -> None:
        worker = self._awaited.pop(ended)
        try:
            answer = ray.get(ended)
        except Exception as error:  # of the worker, or Ray's where the worker is lost
            self._replace(worker, error)
            return
        match worker.state:
            case "waiting":
                self._begin(worker, answer)
            case "starting":
                self._give(worker)
            case "working":
                logger.info(answer)
                self._news.done()
                for node in (worker.node, ""):
                    self._failures.pop(node, None)
                self._give(worker)

    def _begin(self, worker: _Worker, node: str) -> None:
        """Have a worker start that has room, unless it has asked before there was a node to fit.

        Until then nobody knows how much memory, nor how many CPUs, a node has for it. What it
        reserves is enough otherwise, also if larger nodes have come, or drivers have gone.
        """
        need = self._need()
        if need.cpus > worker.need.cpus or (need.memory_bytes and not worker.need.memory_bytes):
            ray.kill(worker.actor)
            self._ask_again()
            return
        worker.state, worker.node = "starting", node
        self._awaited[worker.actor.ready.remote()] = worker

    def _give(self, worker: _Worker) -> None:
        """Hand out the next batch, and let workers go that will have nothing to do."""
        batch = self._batches.next(worker.node, {each.node for each in self._all()} - {""})
        if batch is not None:
            worker.state, worker.batch = "working", batch
            attempt = self._batches.attempt(batch)
            self._awaited[worker.actor.run.remote(batch, attempt)] = worker
        elif self._batches.will_need(worker.node, len(self._idle)):
            worker.state = "idle"
            self._idle.append(worker)
        else:
            ray.kill(worker.actor)
        self._withdraw(max(0, self._count("waiting", "starting") - len(self._batches.todo)))

    def _replace(self, worker: _Worker, error: Exception) -> None:
        """End a worker that failed or is lost, and start another if one is needed."""
        # Also one that is only out of reach: it would go on, and keep its CPUs and GPU.
        ray.kill(worker.actor)
        cause = unwrapped(error)
        if worker.state != "working":
            self._lose_start(worker.node, cause)
            return
        # A worker that raises still lives; of any other only Ray tells.
        has_died = isinstance(error, RayError) and not isinstance(error, RayTaskError)
        self._batches.lose(worker.batch, worker.node, cause, has_died)
        if not is_hopeless(cause):
            self._doubt(worker.node)
        self._fill()

    def _lose_start(self, node: str, cause: BaseException) -> None:
        """Keep workers off a node for a while, and ask for them elsewhere meanwhile.

        What the worker raised, or a `ClusterError` if it died, if there is nothing to hope for.
        """
        if is_hopeless(cause):
            self._withdraw(self._count("waiting"))
            if not self._all():
                raise cause
            text = "a worker could not start; the run goes on with %d: %s"
            logger.warning(text, len(self._all()), cause)
            return
        if node in self._resting_nodes:  # because of another worker
            logger.warning("another worker could not start: %s", cause)
        else:
            number = self._failures.get(node, 0) + 1
            if number >= ATTEMPTS and self._is_last(node):
                if isinstance(cause, SrganError):
                    raise cause
                raise ClusterError(f"{number} workers could not start: {cause}") from cause
            pause_s = self._rest(node)
            text = "a worker could not start; its node gets another in %.0f s: %s"
            logger.warning(text, pause_s, cause)
        if node:
            self._ask_again()

    def _doubt(self, node: str) -> None:
        """Keep workers off a node on which a batch failed, for a while; those that work go on.

        Else a node whose workers start and fail at every batch would take one after the other, each
        sooner than a good node takes its next. An image that is bad does not put a healthy node to
        rest for long: the first batch that is done there ends the doubt, at the latest the third
        attempt at this one, which records the image. Meanwhile the pause is that of the batch.
        """
        if node not in self._resting_nodes:
            pause_s = self._rest(node)
            logger.warning("node %s, where it failed, gets no worker for %.0f s", node, pause_s)
            self._ask_again()

    def _is_last(self, node: str) -> bool:
        """True if the run has a worker nowhere else, and no other node could have one.

        Until the time limit is over, nodes may be on their way; longer only while an autoscaler
        starts some.
        """
        if self._has_started() or any(each.node not in ("", node) for each in self._all()):
            return False
        if time.monotonic() - self._well_at < self._limit_s:
            return False
        bundle = self._need().bundle
        elsewhere = node_resources([node, *self._resting_nodes])
        return not node or (room(elsewhere, bundle) == 0 and not is_starting())

    def _rest(self, node: str) -> float:
        """Keep workers off a node once more; returns for how many seconds."""
        number = self._failures[node] = self._failures.get(node, 0) + 1
        pause_s = pause_after(number)
        self._resting_nodes[node] = time.monotonic() + pause_s
        return pause_s

    def _wake(self) -> None:
        """Go on with what has rested long enough."""
        batches, nodes = self._batches.wake(), rested(self._resting_nodes)
        if batches or nodes:
            for each in list(self._idle):
                self._idle.remove(each)
                self._give(each)
        if nodes:
            self._ask_again()
        elif batches:
            self._fill()

    def _show(self) -> None:
        waiting = len(self._batches.todo) + len(self._batches.resting)
        run = bulk_job_run(self._spec.run)
        ray_metrics.show_batches(run, waiting=waiting, working=self._count("working"))

    def _say(self, need: Need) -> None:
        """Log on what the run computes."""
        self._said = need
        device = "GPUs" if self._use_gpu else "CPUs"
        if self._spec.config.gpu == "auto" and not self._use_gpu:
            device += ", because no node has a GPU (gpu: required waits for one)"
        most = min(self._spec.config.max_workers, len(self._spec.batches))
        logger.info("at most %d workers on %s; each takes %s", most, device, need)

    def _say_waiting(self, waited_s: float, shortage: Shortage) -> None:
        """Log what the run waits for; `ClusterError` if the cluster stays too small."""
        need = self._need()
        if any(each.need != need for each in self._awaited.values()):
            self._ask_again()  # the nodes have changed
        problem = shortage.look(need)
        logger.info("the run waits: %s (%.0f s); %s", problem, waited_s, others(self._job_id))
