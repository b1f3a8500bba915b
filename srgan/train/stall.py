"""Report stalled training: every rank's last step, and what its threads are doing."""

import logging
import sys
import threading
import time
import traceback
from typing import Self

from srgan.errors import StorageError
from srgan.keys import rank_key
from srgan.refs import Ref
from srgan.storage import ObjectStore, find_document, write_document
from srgan.train import ranks

logger = logging.getLogger(__name__)

_BEATS_PER_LIMIT = 4
_BEATS_TO_SILENCE = 2  # a rank alive may miss one between two looks
_MAX_FRAMES = 12
_LEAVE_S = 10.0
_OUR_THREADS = ("batches", "checkpoint", "shards")


class Heartbeat(Ref):
    """A rank's sign of life in the bucket."""

    rank: int
    number: int
    """Counts up, so that two heartbeats never look the same."""
    step: int
    """Steps done."""
    stack: str | None
    """Stacks of its threads, once it has made no step for the limit."""


class Watch:
    """Watches this rank from a separate thread; a context, entered by the training thread.

    Every rank writes a heartbeat at once, and then four times within `limit_s`. Once this rank has
    made no step for `limit_s`, and the others have had time to answer, the lowest rank that is
    alive logs one report about all. It ends nothing: a collective that waits in vain has its own
    time limit, after which Ray Train restarts the workers.
    """

    def __init__(self, store: ObjectStore, run: str, *, limit_s: float) -> None:
        self._store = store
        self._run = run
        self._limit_s = limit_s
        self._rank, self._num_ranks = ranks.rank(), ranks.num_ranks()
        self._step = 0
        self._moved = time.monotonic()
        self._number = 0
        self._training = threading.get_ident()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stall-watch", daemon=True)

    def step(self, done: int) -> None:
        """Note that `done` steps are done; costs nothing."""
        self._step, self._moved = done, time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        self._thread.join(_LEAVE_S)  # a daemon, which may hang in a store that is away
        if error is None and self._number:
            try:
                self._store.delete(rank_key(self._run, self._rank))
            except StorageError as refusal:
                logger.warning("a heartbeat is left behind: %s", refusal)

    def _watch(self) -> None:
        before: dict[int, str] = {}
        beats_stalled = 0
        pause_s = 0.0  # the first at once, because a process may freeze before its first step
        while not self._ended.wait(pause_s):
            pause_s = self._limit_s / _BEATS_PER_LIMIT
            stalls = time.monotonic() - self._moved > self._limit_s
            if beats_stalled > _BEATS_TO_SILENCE and not stalls:
                logger.info("%s: rank %d goes on at step %d", self._run, self._rank, self._step)
            beats_stalled = beats_stalled + 1 if stalls else 0
            try:
                self._beat(self._stack() if stalls else None)
                if beats_stalled == 1:
                    before = self._tokens()
                if beats_stalled == 1 + _BEATS_TO_SILENCE:
                    self._report(before)
            except StorageError as error:
                logger.warning("rank %d could not write its heartbeat: %s", self._rank, error)

    def _beat(self, stack: str | None) -> None:
        self._number += 1
        beat = Heartbeat(rank=self._rank, number=self._number, step=self._step, stack=stack)
        write_document(self._store, rank_key(self._run, self._rank), beat)

    def _tokens(self) -> dict[int, str]:
        """Change token of the latest heartbeat of each rank that ever wrote one."""
        heads = {
            rank: self._store.head(rank_key(self._run, rank)) for rank in range(self._num_ranks)
        }
        return {rank: head.token for rank, head in heads.items() if head}

    def _report(self, before: dict[int, str]) -> None:
        now = self._tokens()
        alive = {rank for rank, token in now.items() if before.get(rank) != token}
        if self._rank != min(alive | {self._rank}):
            return
        lines = [
            f"{self._run} has stalled: no step for {time.monotonic() - self._moved:.0f} s "
            f"(SRGAN_STALL_S is {self._limit_s:g})"
        ]
        for rank in range(self._num_ranks):
            beat = find_document(self._store, rank_key(self._run, rank), Heartbeat)
            lines.append(_describe(rank, beat, alive=rank in alive or rank == self._rank))
        logger.warning("%s", "\n".join(lines))

    def _stack(self) -> str:
        """Innermost Python frames of the training thread and of the threads that work for it."""
        frames = sys._current_frames()
        texts = []
        for thread in threading.enumerate():
            ours = thread.ident == self._training or thread.name.startswith(_OUR_THREADS)
            if ours and thread.ident in frames:
                stack = traceback.extract_stack(frames[thread.ident])[-_MAX_FRAMES:]
                name = "training" if thread.ident == self._training else thread.name
                texts.append(f"  thread {name}:\n" + "".join(traceback.format_list(stack)))
        return "".join(texts)


def _describe(rank: int, beat: Heartbeat | None, *, alive: bool) -> str:
    if beat is None:
        return f"rank {rank} has not begun"
    if not alive:
        return (
            f"rank {rank}, last seen after step {beat.step}, has no heartbeat: its process is "
            f"frozen or gone, or cannot reach the object store"
        )
    if beat.stack is None:
        return f"rank {rank} is at step {beat.step} and running"
    return f"rank {rank}, {beat.step} steps done, is in\n{beat.stack.rstrip()}"
