"""Checkpoints: manifest and parts, read and verified."""

import hashlib
import logging
from typing import Any, Literal

from pydantic import AliasChoices, Field

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, DocumentError
from srgan.keys import checkpoint_key, part_key
from srgan.refs import CheckpointRef, Ref
from srgan.storage import ObjectStore, find_document

logger = logging.getLogger(__name__)


class Part(Ref):
    """One content-addressed object of a checkpoint."""

    digest: str
    """SHA-256 of its bytes, also the last piece of its key."""
    size_bytes: int


class Manifest(Ref):
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
    parts: dict[str, Part]

    @property
    def key(self) -> str:
        return checkpoint_key(self.run, self.step)

    @property
    def weights(self) -> Part:
        """The generator that evaluation and upscaling use: the average if there is one."""
        return self.parts.get("ema") or self.parts["generator"]

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
        )


def checkpoint_keys(store: ObjectStore, run: str) -> list[str]:
    """Keys of the manifests of a run's checkpoints, the oldest first."""
    return sorted(info.key for info in store.list(checkpoint_key.below(run)))


def read_manifest(store: ObjectStore, key: str) -> Manifest:
    """Manifest at `key`; a missing or malformed one is a `CheckpointError`."""
    try:
        manifest = find_document(store, key, Manifest)
    except DocumentError as error:
        raise CheckpointError(str(error)) from error
    if manifest is None:
        raise CheckpointError(f"there is no checkpoint at {store.uri(key)}")
    if manifest.key != key:
        raise CheckpointError(f"{store.uri(key)} is the manifest of {manifest.key}")
    return manifest


def read_part(store: ObjectStore, run: str, part: Part) -> bytes:
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


def read_parts(store: ObjectStore, manifest: Manifest) -> dict[str, bytes]:
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


def newest_checkpoint(store: ObjectStore, run: str) -> tuple[Manifest, dict[str, bytes]] | None:
    """The newest intact checkpoint of a run, with its parts; None if there is none.

    Damaged ones are skipped with a warning. A failing object store is a `StorageError`: it says
    nothing about the checkpoint, and training from step 0 would be the wrong answer.
    """
    for key in reversed(checkpoint_keys(store, run)):
        try:
            manifest = read_manifest(store, key)
            return manifest, read_parts(store, manifest)
        except CheckpointError as error:
            logger.warning("skipping checkpoint %s: %s", key, error)
    return None
