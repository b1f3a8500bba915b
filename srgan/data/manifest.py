"""A dataset version in the bucket: one small JSON that names two tables and the shards.

Everything that a manifest names is content-addressed and immutable. The version is a digest of
what the dataset *is* (photos, their split, crop geometry), not of how it is laid out in shards; a
manifest is only ever replaced by another description of the same content.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Literal

from srgan.config import DataConfig
from srgan.data.pointers import move_pointer, read_pointer
from srgan.data.tables import CutPhoto, Source, load_photos, load_sources
from srgan.errors import ConflictError, StorageError
from srgan.keys import dataset_version_key, newest_dataset_key, table_key
from srgan.refs import DatasetRef, Ref, digest
from srgan.storage import ObjectStore, read_document, write_document


class Shard(Ref):
    """One ``.npy`` of crops, uint8 (num_crops, P, P, 3)."""

    sha256: str
    num_crops: int
    size_bytes: int


class Manifest(Ref):
    """One version of a dataset."""

    format: Literal["srgan-crops-1"] = "srgan-crops-1"
    dataset: str
    version: str
    source: str
    """S3 URI of the prefix that the photos came from."""
    config: DataConfig
    shards: tuple[Shard, ...]
    sources_table: str
    """SHA-256 of the Parquet table of sources."""
    photos_table: str
    """SHA-256 of the Parquet table of photos."""
    num_train_crops: int
    num_eval_crops: int
    num_train_photos: int
    num_eval_photos: int
    num_duplicates: int
    """Sources whose pixels another source already had."""
    num_rejected: int
    licence: str | None = None
    """Of the photos, where somebody said. The version does not depend on it."""

    @property
    def key(self) -> str:
        return dataset_version_key(self.dataset, self.version)

    def ref(self, num_read: int) -> DatasetRef:
        """What later stages get; `num_read` is the number of objects read to make it."""
        return DatasetRef(
            dataset=self.dataset,
            version=self.version,
            key=self.key,
            source=self.source,
            scale=self.config.scale,
            num_train_crops=self.num_train_crops,
            num_eval_crops=self.num_eval_crops,
            num_train_photos=self.num_train_photos,
            num_eval_photos=self.num_eval_photos,
            num_rejected=self.num_rejected,
            num_read=num_read,
            licence=self.licence,
        )


def content_version(config: DataConfig, photos: Iterable[CutPhoto]) -> str:
    """Digest of the logical content: which pixels, on which side, cut how."""
    content = sorted((photo.pixels, photo.split) for photo in photos)
    return digest({**cutting(config), "photos": content})


def cutting(config: DataConfig) -> dict[str, object]:
    """What of a config decides which crops a photo gives."""
    return config.model_dump(include={"crop_size", "scale", "shrunk", "least_detail"})


def read_manifest(store: ObjectStore, key: str) -> Manifest:
    """The manifest at `key`; a missing or unreadable one is a `StorageError`."""
    return read_document(store, key, Manifest, mend="prepare the dataset again")


def read_latest(store: ObjectStore, dataset: str) -> tuple[Manifest | None, str | None]:
    """The newest version of a dataset and the change token of its pointer, or (None, None)."""
    version, token = read_pointer(store, newest_dataset_key(dataset))
    if version is None:
        return None, None
    return read_manifest(store, dataset_version_key(dataset, version)), token


def read_sources(store: ObjectStore, manifest: Manifest) -> list[Source]:
    """What became of each source object, sorted by key."""
    return load_sources(_table(store, manifest.dataset, manifest.sources_table))


def read_photos(store: ObjectStore, manifest: Manifest) -> list[CutPhoto]:
    """Where each photo's crops lie, sorted by the digest of the pixels."""
    return load_photos(_table(store, manifest.dataset, manifest.photos_table))


def put_once(store: ObjectStore, key_of: Callable[[str], str], data: bytes) -> str:
    """Store bytes under their SHA-256, which is returned, unless they are there already."""
    sha256 = hashlib.sha256(data).hexdigest()
    present = store.head(key_of(sha256))
    if present is None or present.size_bytes != len(data):
        store.put(key_of(sha256), data)
    return sha256


def put_table(store: ObjectStore, dataset: str, data: bytes) -> str:
    """Store a table under its SHA-256, which is returned."""
    return put_once(store, lambda sha256: table_key(dataset, sha256), data)


def publish(store: ObjectStore, manifest: Manifest, token: str | None) -> None:
    """Write the manifest, then move the pointer from where `token` saw it (None: nowhere)."""
    write_document(store, manifest.key, manifest)
    try:
        move_pointer(store, newest_dataset_key(manifest.dataset), manifest.version, token)
    except ConflictError as error:
        raise ConflictError(
            f"dataset {manifest.dataset!r} got another version while this one was prepared; "
            "prepare it again, which starts from there"
        ) from error


def _table(store: ObjectStore, dataset: str, sha256: str) -> bytes:
    key = table_key(dataset, sha256)
    data = store.get(key)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise StorageError(
            f"{store.uri(key)} was altered; delete it and {newest_dataset_key(dataset)}, "
            "then prepare the dataset again"
        )
    return data
