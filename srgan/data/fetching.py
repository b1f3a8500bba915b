"""Shards that are fetched while training runs: first what the next batch needs, then the others."""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from srgan.data.manifest import Shard
from srgan.data.shards import PARALLEL, ShardCache
from srgan.readable import duration, size

logger = logging.getLogger(__name__)

_PAUSE_S = 10.0
"""Time between two attempts to fetch what no batch waits for."""
_TOLD_WAIT_S = 1.0


class FetchedShards(Sequence[NDArray[np.uint8]]):
    """Shards of one dataset as read-only maps, which a thread fetches into the cache. A context.

    They are fetched in the order of `hold`, those that `bring` waits for before all others. An
    error of the object store is raised by `bring`; a shard that nobody waits for is tried again
    later.
    """

    def __init__(self, cache: ShardCache, dataset: str, shards: Sequence[Shard]) -> None:
        self._cache = cache
        self._dataset = dataset
        self._shards = shards
        self.sizes = [shard.npy_bytes for shard in shards]
        """Size of each shard on the disk."""
        self.wait_s = 0.0
        """Seconds that `bring` has waited so far."""
        self._held: Sequence[int] = ()
        self._urgent: list[int] = []
        self._maps: dict[int, NDArray[np.uint8]] = {}
        self._failed: dict[int, Exception] = {}
        self._pause_until = 0.0
        self._began, self._complete, self._closed = time.monotonic(), False, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="shards", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:  # type: ignore[override]  # no slices
        """The map of a shard; fetched if it is not there."""
        found = self._maps.get(index)
        return self.bring([index])[0] if found is None else found

    def hold(self, indexes: Sequence[int], *, first: Iterable[int]) -> None:
        """Fetch these and keep them, `first` before the others; let go of all others.

        What was let go of is needed again only after all others, so the cache deletes it first.
        """
        if indexes == self._held:
            return
        with self._changed:
            self._held = indexes
            self._urgent += (index for index in first if index not in self._maps)
            for index in self._maps.keys() - set(indexes):
                del self._maps[index]
                self._cache.set_aside(self._shards[index])
            self._changed.notify_all()

    def bring(self, indexes: Iterable[int]) -> list[NDArray[np.uint8]]:
        """Wait for these and return them; `StorageError` or `ConfigError` if one cannot be had."""
        wanted = list(indexes)
        begun = time.monotonic()
        with self._changed:
            missing = [index for index in wanted if index not in self._maps]
            if missing:
                for index in missing:
                    self._failed.pop(index, None)  # of somebody who no longer waits
                while not self._ask_for(wanted):
                    self._changed.wait()
                self._note_wait(len(missing), time.monotonic() - begun)
            found = [self._maps[index] for index in wanted]
            for index in set(missing) - set(self._held):
                del self._maps[index]
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self._maps.clear()

    def _ask_for(self, wanted: list[int]) -> bool:
        """True if all are there; otherwise make sure that they are fetched."""
        assert not self._closed
        for index in wanted:
            if index in self._failed:
                raise self._failed.pop(index)
        # Again each time: another thread may have let go of one in between.
        missing = [index for index in wanted if index not in self._maps]
        if new := [index for index in missing if index not in self._urgent]:
            self._urgent += new
            self._changed.notify_all()
        return not missing

    def _note_wait(self, num_shards: int, seconds: float) -> None:
        self.wait_s += seconds
        if seconds > _TOLD_WAIT_S:
            logger.info(
                "waited %.1f s for %d shards of %s from the object store, %.1f s so far",
                seconds,
                num_shards,
                self._dataset,
                self.wait_s,
            )

    def _work(self) -> None:
        while (group := self._next_group()) is not None:
            try:
                maps = self._cache.fetch(self._dataset, [self._shards[index] for index in group])
            except Exception as error:  # raised again by `bring`, so that no one waits for ever
                self._note_failure(group, error)
                continue
            with self._changed:
                kept = {*self._held, *self._urgent}
                self._maps |= {i: m for i, m in zip(group, maps, strict=True) if i in kept}
                self._urgent = [index for index in self._urgent if index not in self._maps]
                self._changed.notify_all()
            del maps
            self._tell_when_complete()

    def _next_group(self) -> list[int] | None:
        """Wait for something to fetch; None when this is closed."""
        with self._changed:
            while not self._closed:
                if self._urgent:
                    return list(dict.fromkeys(self._urgent))[:PARALLEL]
                pause_s = self._pause_until - time.monotonic()
                missing = [index for index in self._held if index not in self._maps]
                if missing and pause_s <= 0:
                    return missing[:PARALLEL]
                self._changed.wait(pause_s if missing else None)
        return None

    def _note_failure(self, group: list[int], error: Exception) -> None:
        with self._changed:
            waited_for = set(group) & set(self._urgent)
            self._failed |= dict.fromkeys(waited_for, error)
            self._urgent = [index for index in self._urgent if index not in waited_for]
            self._pause_until = time.monotonic() + _PAUSE_S
            self._changed.notify_all()
        if not waited_for:
            logger.warning("shards are fetched again in %g s: %s", _PAUSE_S, error)

    def _tell_when_complete(self) -> None:
        if not self._complete and self._held and all(i in self._maps for i in self._held):
            self._complete = True
            logger.info(
                "%d shards of %s, %s, are on this node after %s",
                len(self._maps),
                self._dataset,
                size(sum(self.sizes[index] for index in self._held)),
                duration(time.monotonic() - self._began),
            )
