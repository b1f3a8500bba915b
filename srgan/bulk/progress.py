"""Progress of a bulk run: each batch writes its own to an object, and the flow adds them up."""

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from srgan.bulk.join import Item
from srgan.bulk.records import Record
from srgan.bulk.run import BulkRun
from srgan.errors import StorageError
from srgan.keys import batch_progress_key
from srgan.refs import Sums
from srgan.storage import find_document, write_document

logger = logging.getLogger(__name__)

_SAY_EVERY_S = 5.0


class Finished(Sums):
    """Counts over the images that a batch, or a whole run, has finished with."""

    num_images: int = 0
    num_failed: int = 0
    source_bytes: int = 0
    megapixels: float = 0.0
    """Megapixels of outputs that were made; 0 for images that were done before."""


class BatchProgress:
    """Called with every record of a batch; writes to the log and the store every few seconds.

    Failures are logged at once. Time left is judged by source bytes.
    """

    def __init__(self, run: BulkRun, batch: int, items: Sequence[Item]) -> None:
        self._store = run.destination.store
        self._key = batch_progress_key(run.destination.address, run.name, batch)
        self._batch = batch
        self._num_images = len(items)
        self._total_bytes = sum(item.size_bytes for item in items)
        self._began = self._said = time.monotonic()
        self._now = Finished()

    def __call__(self, row: Record) -> None:
        failed = row.outcome == "failed"
        self._now += Finished(
            num_images=1,
            num_failed=int(failed),
            source_bytes=row.source_bytes,
            megapixels=row.width * row.height / 1e6,
        )
        if failed:
            key = row.source_key
            logger.warning("failed: %r: %s: %s", key, row.reason, row.detail, extra={"key": key})
        now = time.monotonic()
        if now - self._said >= _SAY_EVERY_S or self._now.num_images == self._num_images:
            self._said = now
            self._say(now - self._began)

    def _say(self, seconds: float) -> None:
        now = self._now
        left_s = seconds * (self._total_bytes - now.source_bytes) / max(now.source_bytes, 1)
        logger.info(
            "batch %d: %d of %d images, %.1f output megapixels at %.2f per second, %.0f s left",
            self._batch,
            now.num_images,
            self._num_images,
            now.megapixels,
            now.megapixels / max(seconds, 1e-3),
            left_s,
        )
        with suppress(StorageError):  # only a display; the records are what counts
            write_document(self._store, self._key, now)


class RunProgress:
    """The sum over a run's batches."""

    def __init__(self, run: BulkRun) -> None:
        self._run = run
        self._parts: dict[str, Finished] = {}

    def read_all(self) -> Finished:
        """Add up what all batches have written; a request for each of them."""
        prefix = batch_progress_key.below(self._run.destination.address, self._run.name)
        return self._read(info.key for info in self._run.destination.store.list(prefix))

    def read(self, batches: Iterable[int]) -> Finished:
        """Read again what these batches have written, and add it to what was read of the others."""
        return self._read(
            batch_progress_key(self._run.destination.address, self._run.name, batch)
            for batch in batches
        )

    def _read(self, keys: Iterable[str]) -> Finished:
        for key in keys:
            if (found := find_document(self._run.destination.store, key, Finished)) is not None:
                self._parts[key] = found
        return sum(self._parts.values(), Finished())
