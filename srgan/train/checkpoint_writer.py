"""Write checkpoints in the background: parts first, manifest last, old ones deleted."""

import hashlib
import logging
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from srgan.errors import CheckpointError, StorageError
from srgan.keys import part_key
from srgan.refs import to_json
from srgan.storage import ObjectStore
from srgan.train.checkpoint import (
    Manifest,
    Part,
    checkpoint_keys,
    read_manifest,
)
from srgan.train.judge import best_checkpoint

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.5
_MAX_PAUSE_S = 15.0


class CheckpointWriter:
    """Writes one run's checkpoints from a background thread; for rank 0 only.

    It keeps the newest `keep_last`, those at multiples of `keep_every` steps, and the best one
    (`best_checkpoint`).

    A context: leaving it waits for the last checkpoint. An object store that fails is asked again
    for `patience_s` while training goes on. A checkpoint that still cannot be written is logged,
    because it costs only steps; the second in a row, and the final one, end the training.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        keep_last: int = 3,
        keep_every: int | None = None,
        patience_s: float = 60.0,
    ) -> None:
        self._store = store
        self._keep_last = keep_last
        self._keep_every = keep_every
        self._patience_s = patience_s
        self._known: dict[str, Manifest] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._missed = False

    def save(self, manifest: Manifest, parts: dict[str, bytes]) -> None:
        """Start writing; fills in `manifest.parts`. Waits for the checkpoint before it."""
        self._finish_writing(required=self._missed)
        self._writing = self._thread.submit(self._write, manifest, parts)
        if manifest.final:
            self._finish_writing(required=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True)

    def _finish_writing(self, *, required: bool) -> None:
        if self._writing is None:
            return
        error = self._writing.exception()
        if error is not None and (required or not isinstance(error, StorageError)):
            raise error
        if error is not None:
            logger.warning("a checkpoint could not be written, training goes on: %s", error)
        self._missed = error is not None
        self._writing = None

    def _write(self, manifest: Manifest, parts: dict[str, bytes]) -> None:
        described = {
            name: Part(digest=hashlib.sha256(body).hexdigest(), size_bytes=len(body))
            for name, body in parts.items()
        }
        manifest = manifest.model_copy(update={"parts": described})
        for name, part in described.items():
            # Written even if the key exists: the object there may be damaged.
            self._put(part_key(manifest.run, part.digest), parts[name])
        self._put(manifest.key, to_json(manifest), "application/json")
        self._delete_old(manifest)

    def _put(self, key: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        deadline = time.monotonic() + self._patience_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                self._store.put(key, body, content_type=content_type)
                return
            except StorageError as error:
                if time.monotonic() + pause_s > deadline:
                    raise
                logger.warning("asking again in %.1f s: %s", pause_s, error)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)

    def _delete_old(self, newest: Manifest) -> None:
        """Delete checkpoints that need not be kept, manifests before their parts."""
        keys = checkpoint_keys(self._store, newest.run)
        self._learn(keys)
        kept = self._kept(keys)
        dropped = [key for key in keys if key not in kept]
        unused = self._part_keys(dropped)
        if newest.final:
            # Also the leavings of killed writers. Not earlier: their parts look the same as
            # those of a writer that has not written its manifest yet.
            unused = {info.key for info in self._store.list(part_key.below(newest.run))}
        for key in dropped:
            self._store.delete(key)  # before its parts, so that it never points to nothing
        for key in unused - self._part_keys(kept):
            self._store.delete(key)

    def _learn(self, keys: list[str]) -> None:
        """Read manifests that this writer has not seen yet; damaged ones are skipped."""
        known = {}
        for key in keys:
            try:
                known[key] = self._known.get(key) or read_manifest(self._store, key)
            except CheckpointError as error:
                logger.warning("checkpoint %s is damaged: %s", key, error)
        self._known = known

    def _kept(self, keys: list[str]) -> set[str]:
        kept = set(keys[-self._keep_last :])
        for key, manifest in self._known.items():
            if self._keep_every and manifest.step % self._keep_every == 0:
                kept.add(key)
        best = best_checkpoint(self._known.values())
        return kept | ({best.key} if best else set())

    def _part_keys(self, manifest_keys: Iterable[str]) -> set[str]:
        manifests = [self._known[key] for key in manifest_keys if key in self._known]
        return {
            part_key(manifest.run, part.digest)
            for manifest in manifests
            for part in manifest.parts.values()
        }
