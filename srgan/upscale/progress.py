"""How far a bulk run is: each batch says so in an object of its own, the flow adds them up."""

import logging
import time
from contextlib import suppress

from srgan.errors import StorageError
from srgan.keys import batch_progress_prefix
from srgan.refs import Ref, to_json
from srgan.storage import ObjectStore
from srgan.upscale.records import Record

logger = logging.getLogger(__name__)

_SAY_EVERY_S = 5.0


class Progress(Ref):
    """Counts over the images that a batch, or a whole run, is through with; they add up."""

    num_images: int = 0
    num_failed: int = 0
    source_bytes: int = 0
    megapixels: float = 0.0
    """Of outputs made; none for images that were done before."""

    def __add__(self, other: "Progress") -> "Progress":
        return Progress(
            num_images=self.num_images + other.num_images,
            num_failed=self.num_failed + other.num_failed,
            source_bytes=self.source_bytes + other.source_bytes,
            megapixels=self.megapixels + other.megapixels,
        )


class BatchProgress:
    """Told of every record of a batch; says so in the log and in the bucket every few seconds.

    Failures are logged at once. Time left is judged by source bytes.
    """

    def __init__(
        self, store: ObjectStore, key: str, *, batch: int, num_images: int, total_bytes: int
    ) -> None:
        self._store = store
        self._key = key
        self._batch = batch
        self._num_images = num_images
        self._total_bytes = total_bytes
        self._began = self._said = time.monotonic()
        self._now = Progress()

    def __call__(self, row: Record) -> None:
        failed = row.outcome == "failed"
        self._now += Progress(
            num_images=1,
            num_failed=int(failed),
            source_bytes=row.source_bytes,
            megapixels=row.width * row.height / 1e6,
        )
        if failed:
            logger.warning("failed: %r: %s: %s", row.source_key, row.reason, row.detail)
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
        with suppress(StorageError):  # a display; the records are what counts
            self._store.put(self._key, to_json(now), content_type="application/json")


class RunProgress:
    """The sum over a run's batches, read again only where something has changed."""

    def __init__(self, store: ObjectStore, destination: str, run: str) -> None:
        self._store = store
        self._prefix = batch_progress_prefix(destination, run)
        self._tokens: dict[str, str] = {}
        self._parts: dict[str, Progress] = {}

    def read(self) -> Progress:
        """`StorageError` when the store is away."""
        for info in self._store.list(self._prefix):
            if self._tokens.get(info.key) != info.token:
                self._parts[info.key] = Progress.model_validate_json(self._store.get(info.key))
                self._tokens[info.key] = info.token
        return sum(self._parts.values(), Progress())
