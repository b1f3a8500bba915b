"""Checkpoints: manifest and parts; read, verified, written in the background, old ones deleted."""

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field

from srgan.config import GeneratorConfig
from srgan.config.networks import DISTANCES
from srgan.errors import CheckpointError, DocumentError, NewerFormatError, StorageError
from srgan.keys import checkpoint_key, part_key
from srgan.refs import CheckpointRef, Ref, to_json
from srgan.storage import ObjectStore, find_document
from srgan.train.course import Course

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.5
_MAX_PAUSE_S = 15.0


class CheckpointPart(Ref):
    """One content-addressed object of a checkpoint."""

    digest: str
    """SHA-256 of its bytes, also the last piece of its key."""
    size_bytes: int


class CheckpointManifest(Ref):
    """One complete checkpoint; written after all its parts."""

    format: Literal["srgan-checkpoint-1"] = "srgan-checkpoint-1"
    run: str
    stage: str
    step: int
    """Steps done."""
    final: bool
    """True for the checkpoint that the stage ended with."""
    generator: GeneratorConfig
    config: dict[str, Any]
    """The whole stage config, as JSON."""
    dataset_version: str
    pairs_version: str | None = None
    """Version of the dataset of pairs; None if the stage has none."""
    init_from: str | None
    """Digest of the generator that the stage started from."""
    init_run: str | None = None
    """Name of the run that made it."""
    numerics_version: str = ""
    """Numerics version in the run's name; empty in checkpoints of earlier releases."""
    release_version: str = Field(validation_alias=AliasChoices("release_version", "code_version"))
    """Version of the code that wrote it."""
    num_ranks: int
    metrics: dict[str, float]
    """Latest validation."""
    validated_at: int = 0
    """Step of that validation; if it is `step`, the figures are those of these weights."""
    parts: dict[str, CheckpointPart]
    course: Course | None = None
    """Way of an adversarial stage up to here."""

    @property
    def key(self) -> str:
        return checkpoint_key(self.run, self.step)

    @property
    def weights(self) -> CheckpointPart:
        """The generator that evaluation and upscaling use: the average if there is one."""
        return self.parts.get("ema") or self.parts["generator"]

    @property
    def chosen(self) -> str | None:
        """Why an adversarial stage hands on the checkpoint that it does; None for other stages."""
        return self.course.chosen if self.course else None

    def ref(self, mlflow_run_id: str | None) -> CheckpointRef:
        """The value that the pipeline passes on."""
        return CheckpointRef(
            run=self.run,
            stage=self.stage,
            step=self.step,
            key=self.key,
            digest=self.weights.digest,
            dataset_version=self.dataset_version,
            mlflow_run_id=mlflow_run_id,
            metrics=self.metrics,
            chosen=self.chosen,
        )


def checkpoint_keys(store: ObjectStore, run: str) -> list[str]:
    """Keys of the manifests of a run's checkpoints, the oldest first."""
    return sorted(info.key for info in store.list(checkpoint_key.below(run)))


def read_manifest(store: ObjectStore, key: str) -> CheckpointManifest:
    """Manifest at `key`; a missing or malformed one is a `CheckpointError`.

    `NewerFormatError` for one of a newer release.
    """
    try:
        manifest = find_document(store, key, CheckpointManifest)
    except NewerFormatError:
        raise  # it is whole; to skip it as a damaged one would train its steps again
    except DocumentError as error:
        raise CheckpointError(str(error)) from error
    if manifest is None:
        raise CheckpointError(f"there is no checkpoint at {store.uri(key)}")
    if manifest.key != key:
        raise CheckpointError(f"{store.uri(key)} is the manifest of {manifest.key}")
    return manifest


def newest_manifest(store: ObjectStore, run: str) -> CheckpointManifest | None:
    """Manifest of a run's newest checkpoint, whose parts are not read; None without a checkpoint.

    A malformed one is a `CheckpointError`.
    """
    keys = checkpoint_keys(store, run)
    return read_manifest(store, keys[-1]) if keys else None


def history_of(store: ObjectStore, ref: CheckpointRef) -> Iterator[CheckpointManifest]:
    """Manifests of the stage that made a checkpoint and of those before it, the newest first.

    It ends at random weights, or at a run that is not there: weights of others, a deleted run.
    """
    manifest: CheckpointManifest | None = read_manifest(store, ref.key)
    while manifest is not None:
        yield manifest
        before = manifest.init_run
        manifest = newest_manifest(store, before) if before else None


def read_part(store: ObjectStore, run: str, part: CheckpointPart) -> bytes:
    """One part, verified; missing or altered bytes are a `CheckpointError`."""
    key = part_key(run, part.digest)
    body = store.find(key)
    if body is None:
        raise CheckpointError(f"{store.uri(key)} is missing")
    found = hashlib.sha256(body).hexdigest()
    if found != part.digest:
        raise CheckpointError(
            f"{store.uri(key)} holds {len(body)} bytes of SHA-256 {found}, expected "
            f"{part.size_bytes} bytes of {part.digest}"
        )
    return body


def read_parts(store: ObjectStore, manifest: CheckpointManifest) -> dict[str, bytes]:
    """All parts of a checkpoint by name, verified."""
    return {name: read_part(store, manifest.run, part) for name, part in manifest.parts.items()}


def read_generator(store: ObjectStore, ref: CheckpointRef) -> bytes:
    """The generator file (`models.interchange`) that `ref` names, verified.

    `CheckpointError` when the checkpoint is missing, altered or has another digest.
    """
    manifest = read_manifest(store, ref.key)
    if manifest.weights.digest != ref.digest:
        raise CheckpointError(
            f"{store.uri(ref.key)} holds generator {manifest.weights.digest}, expected {ref.digest}"
        )
    return read_part(store, manifest.run, manifest.weights)


def newest_checkpoint(
    store: ObjectStore, run: str
) -> tuple[CheckpointManifest, dict[str, bytes]] | None:
    """The newest intact checkpoint of a run, with its parts; None if there is none.

    Damaged ones are skipped with a warning. A failing object store is a `StorageError`: it says
    nothing about the checkpoint, and training from step 0 would be the wrong answer.
    """
    for key in reversed(checkpoint_keys(store, run)):
        try:
            manifest = read_manifest(store, key)
            return manifest, read_parts(store, manifest)
        except CheckpointError as error:
            logger.warning("skipping checkpoint %s: %s", key, error, extra={"key": key})
    return None


def best_checkpoint(manifests: Iterable[CheckpointManifest]) -> CheckpointManifest | None:
    """The checkpoint of a run with the best validation; None if that cannot be told.

    A stage that learns from pixels only is judged by PSNR, an adversarial one by its course. One
    that learns from features alone is judged by the perceptual distance that its newest validation
    has, and never by PSNR, which would pick its first checkpoint.
    """
    measured = [each for each in manifests if each.metrics and each.validated_at == each.step]
    if not measured:
        return None
    newest = max(measured, key=lambda each: each.step)
    if newest.course:
        best = newest.course.best_step
        return next((each for each in measured if each.step == best), None)
    if _learns_pixels(newest):
        return max(measured, key=lambda each: each.metrics["psnr"])
    name = next((name for name in DISTANCES.values() if name in newest.metrics), None)
    if name is None:
        return None
    comparable = [each for each in measured if name in each.metrics]
    return min(comparable, key=lambda each: each.metrics[name])


def _learns_pixels(manifest: CheckpointManifest) -> bool:
    return manifest.stage == "pretrain" and isinstance(manifest.config.get("loss"), str)


class CheckpointWriter:
    """Writes one run's checkpoints from a background thread; for rank 0 only.

    It keeps the newest `keep_last`, those at multiples of `keep_every` steps, the best one
    (`best_checkpoint`), and the one to which an adversarial stage would go back.

    A context: leaving it waits for the last checkpoint. An object store that fails is asked again
    for `patience_s` while training goes on. A checkpoint that still cannot be written is logged,
    because it costs only steps; the second in a row, the final one, and one that the course of an
    adversarial stage names (as its best, or to go back to) end the training.
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
        self._known: dict[str, CheckpointManifest] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._missed = False
        self._named = False  # by its course: without it the stage could hand nothing on

    def save(self, manifest: CheckpointManifest, parts: dict[str, bytes]) -> None:
        """Start writing; fills in `manifest.parts`. Waits for the checkpoint before it."""
        self._finish_writing(required=self._missed or self._named)
        course = manifest.course
        self._named = course is not None and manifest.step in (course.best_step, course.good_step)
        self._writing = self._thread.submit(self._write, manifest, parts)
        if manifest.final:
            self._finish_writing(required=True)

    def go_back(self, course: Course, run: str) -> str:
        """Make the checkpoint at `course.good_step` the newest again; return its key.

        It holds the new course from then on. Later ones are deleted after that: a writer that is
        killed in between leaves a newest checkpoint from which the stage gets to the same return.
        """
        self._finish_writing(required=True)
        key = checkpoint_key(run, course.good_step)
        manifest = read_manifest(self._store, key).model_copy(update={"course": course})
        self._put(key, to_json(manifest), "application/json")
        self._known[key] = manifest
        for later in checkpoint_keys(self._store, run):
            if later > key:
                self._store.delete(later)
        return key

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

    def _write(self, manifest: CheckpointManifest, parts: dict[str, bytes]) -> None:
        described = {
            name: CheckpointPart(digest=hashlib.sha256(body).hexdigest(), size_bytes=len(body))
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
                logger.warning("asking again in %.1f s: %s", pause_s, error, extra={"key": key})
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)

    def _delete_old(self, newest: CheckpointManifest) -> None:
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
                logger.warning("checkpoint %s is damaged: %s", key, error, extra={"key": key})
        self._known = known

    def _kept(self, keys: list[str]) -> set[str]:
        kept = set(keys[-self._keep_last :])
        for key, manifest in self._known.items():
            if self._keep_every and manifest.step % self._keep_every == 0:
                kept.add(key)
        best = best_checkpoint(self._known.values())
        newest = self._known.get(keys[-1])
        if newest and newest.course:
            kept.add(checkpoint_key(newest.run, newest.course.good_step))
        return kept | ({best.key} if best else set())

    def _part_keys(self, manifest_keys: Iterable[str]) -> set[str]:
        manifests = [self._known[key] for key in manifest_keys if key in self._known]
        return {
            part_key(manifest.run, part.digest)
            for manifest in manifests
            for part in manifest.parts.values()
        }
