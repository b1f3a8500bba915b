"""Batches of a bulk run that are left: which may be done now, on which node, and how.

A batch that failed is done again after a pause, three times in all, on nodes where it has not
failed. What goes wrong with one of its images costs the others nothing (`srgan.bulk.attempt`).
"""

import logging
import time
from collections import defaultdict, deque
from collections.abc import Set
from dataclasses import dataclass, field
from typing import TypeVar

from srgan.bulk.attempt import BatchAttempt
from srgan.errors import ClusterError, SrganError
from srgan.jobs.failure import failure_of
from srgan.jobs.upscale_news import News
from srgan.jobs.upscale_spec import UpscaleSpec

logger = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 3
"""Attempts of a batch, and of starting workers."""
_PAUSE_S = 5.0
"""Before a second attempt; before each further one it is twice as long."""
_LONGEST_PAUSE_S = 300.0
"""Before a node is tried again."""
_MOST_KILLERS = 10
"""Images of a batch that are named because they end processes; each gives it another attempt."""


@dataclass
class _Past:
    """The attempts at a batch so far."""

    number: int = 0
    nodes: set[str] = field(default_factory=set)
    """Nodes on which it failed."""
    is_fatal: bool = False
    """True once a process has ended in the middle of the batch."""
    killers: list[str] = field(default_factory=list)
    """Keys of images that were alone in work when a process ended."""

    def next(self, job_id: str) -> BatchAttempt:
        """Return how the next attempt goes."""
        number = self.number + 1
        is_last = number >= ATTEMPTS
        return BatchAttempt(number, is_last, self.is_fatal, tuple(self.killers), job_id)


class BatchQueue:
    """Batches that nobody does at the moment, and what their attempts have met."""

    def __init__(self, spec: UpscaleSpec, news: News, job_id: str) -> None:
        """`news` are told why a batch is lost."""
        self._news = news
        self._job_id = job_id
        self.todo = deque(spec.batches)
        """Those that may be done now, first those that have failed."""
        self.resting: dict[int, float] = {}
        """When those that failed a moment ago may be done again."""
        self._past: defaultdict[int, _Past] = defaultdict(_Past)

    @property
    def are_left(self) -> bool:
        """True unless all are done, lost or in work."""
        return bool(self.todo or self.resting)

    def next(self, node: str, nodes: Set[str]) -> int | None:
        """Take one for a node; what failed there is left to workers of other `nodes`."""
        for batch in self.todo:
            failed_on = self._past[batch].nodes
            if node not in failed_on or nodes <= failed_on:
                self.todo.remove(batch)
                return batch
        return None

    def attempt(self, batch: int) -> BatchAttempt:
        """Return how the next attempt goes."""
        return self._past[batch].next(self._job_id)

    def will_need(self, node: str, num_kept: int) -> bool:
        """True if one rests that has not failed on this node, and fewer workers are kept."""
        is_for_it = any(node not in self._past[batch].nodes for batch in self.resting)
        return is_for_it and num_kept < len(self.resting)

    def lose(self, batch: int, node: str, cause: BaseException, has_died: bool) -> None:
        """Have the batch done again after a pause, or write down why it is lost."""
        failure, past = failure_of(cause, self._job_id), self._past[batch]
        attempt = past.next(self._job_id)
        past.number, past.is_fatal = attempt.number, past.is_fatal or has_died
        past.nodes.add(node)
        if has_died and attempt.is_alone and (key := self._news.in_work(batch, attempt)):
            past.killers.append(key)
            message = f"{failure.message} (with only {key!r} in work)"
            failure = failure.model_copy(update={"message": message})
        # An attempt that has named an image has brought the batch on.
        num_failed = past.number - min(len(past.killers), _MOST_KILLERS)
        if num_failed < ATTEMPTS and not is_hopeless(cause):
            pause_s = pause_after(num_failed)
            self.resting[batch] = time.monotonic() + pause_s
            text = "batch %d, attempt %d, failed and is done again in %.0f s: %s"
            logger.warning(text, batch, past.number, pause_s, failure)
            return
        logger.error("batch %d is lost: %s", batch, failure)
        self._news.lost(batch, failure)

    def wake(self) -> list[int]:
        """Return what has rested long enough, and may be done now."""
        found = rested(self.resting)
        self.todo.extendleft(found)
        return found


def is_hopeless(error: BaseException) -> bool:
    """True for what would fail on every node; what one node of a cluster lacks another may have."""
    return isinstance(error, SrganError) and error.hopeless and not isinstance(error, ClusterError)


def pause_after(number: int) -> float:
    """Seconds before another try, after so many that failed."""
    return float(min(_PAUSE_S * 2.0 ** (number - 1), _LONGEST_PAUSE_S))


def rested(resting: dict[T, float]) -> list[T]:
    """Take out what has rested long enough."""
    found = [what for what, at in resting.items() if at <= time.monotonic()]
    for what in found:
        del resting[what]
    return found
