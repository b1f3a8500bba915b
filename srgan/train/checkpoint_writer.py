"""Writing checkpoints beside the training: parts first, manifest last, old ones deleted."""

import hashlib
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from srgan.errors import CheckpointError, StorageError
from srgan.refs import to_json
from srgan.storage import ObjectStore
from srgan.train.checkpoint import (
    Manifest,
    Part,
    checkpoints_prefix,
    part_key,
    parts_prefix,
    read_manifest,
)

logger = logging.getLogger(__name__)

_NUM_KEPT = 3


class CheckpointWriter:
    """Writes one run's checkpoints from a background thread; for rank 0 alone.

    A context: leaving it waits for the last checkpoint. One that the object store refuses is
    logged, for it costs only steps; the second in a row, and the final one, end the training.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._missed = False

    def save(self, manifest: Manifest, parts: dict[str, bytes]) -> None:
        """Start writing; `manifest.parts` is filled in here. Waits for the one before it."""
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
            # Written even where the key exists: what lies there may be damaged.
            self._store.put(part_key(manifest.run, part.digest), parts[name])
        self._store.put(manifest.key, to_json(manifest), content_type="application/json")
        _delete_old(self._store, manifest)


def _delete_old(store: ObjectStore, newest: Manifest) -> None:
    """Keep the newest checkpoints of a run, which its final one is among, and their parts."""
    keys = sorted(info.key for info in store.list(checkpoints_prefix(newest.run)))
    kept, dropped = keys[-_NUM_KEPT:], keys[:-_NUM_KEPT]
    unused = _part_keys(store, dropped)
    if newest.final:
        # Also what killed writers left behind. Not earlier: their parts look the same as those
        # of a writer that has not come to its manifest yet.
        unused = {info.key for info in store.list(parts_prefix(newest.run))}
    for key in dropped:
        store.delete(key)  # before its parts: a manifest never points to nothing
    for key in unused - _part_keys(store, kept):
        store.delete(key)


def _part_keys(store: ObjectStore, manifest_keys: list[str]) -> set[str]:
    needed: set[str] = set()
    for key in manifest_keys:
        try:
            manifest = read_manifest(store, key)
        except CheckpointError as error:
            logger.warning("checkpoint %s is damaged: %s", key, error)
            continue
        needed |= {part_key(manifest.run, part.digest) for part in manifest.parts.values()}
    return needed
