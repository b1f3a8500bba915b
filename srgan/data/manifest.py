"""A dataset version in the bucket: one small JSON that names two tables and the shards.

Everything that a manifest names is content-addressed and immutable. The version is a digest of the
content (photos, their split, crop geometry), not of its layout in shards; a manifest is only ever
replaced by another description of the same content.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from srgan.config import DataConfig
from srgan.data.tables import CutPhoto, SourceObject, Split, load_photos, load_sources
from srgan.errors import ConfigError, ConflictError, StorageError
from srgan.keys import (
    dataset_version_key,
    newest_dataset_key,
    packed_shard_key,
    shard_key,
    table_key,
)
from srgan.refs import DatasetRef, Ref, digest
from srgan.storage import ObjectInfo, ObjectStore, read_document, split_uri, write_document
from srgan.version import decoding_version, pairing_version

_MACHINES_FAULT = frozenset({"crashed", "timed_out"})
"""Reasons that may not lie in the photo: it is read again the next time."""


class Shard(Ref):
    """One ``.npy`` of crops, uint8 (num_crops, P, P, 3), or of pairs (`crops.join_pair`)."""

    sha256: str
    """Digest of the object in the bucket."""
    num_crops: int
    size_bytes: int
    """Size of the object in the bucket."""
    unpacked_bytes: int | None = None
    """Size of the ``.npy`` if the object is packed (`data.packing`)."""

    @property
    def npy_bytes(self) -> int:
        """Size on the disk of a node."""
        return self.size_bytes if self.unpacked_bytes is None else self.unpacked_bytes

    def key(self, dataset: str) -> str:
        key = shard_key if self.unpacked_bytes is None else packed_shard_key
        return key(dataset, self.sha256)


class DatasetManifest(Ref):
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
    """Licence of the photos, if stated. The version does not depend on it."""
    decoding: str | int = ""
    """`decoding_version` of the code that read the photos; earlier releases had a number."""
    lr_source: str | None = None
    """S3 URI of the prefix of the LR photos if this is a dataset of pairs; they are all there to
    train on, and `source` is the prefix of the HR photos."""

    @property
    def key(self) -> str:
        return dataset_version_key(self.dataset, self.version)

    def ref(self, num_read: int) -> DatasetRef:
        """The value that later stages get; `num_read` objects were read to make the version."""
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
            lr_source=self.lr_source,
        )


def content_version(config: DataConfig, photos: Iterable[CutPhoto]) -> str:
    """Digest of the logical content: which pixels, on which side, cut how."""
    content = sorted((photo.pixels, photo.split) for photo in photos)
    return digest({**cutting(config), "photos": content})


def cutting(config: DataConfig) -> dict[str, object]:
    """The settings of a config that decide which crops a photo gives."""
    return config.model_dump(include={"crop_size", "scale", "shrunk", "least_detail"})


def read_manifest(store: ObjectStore, key: str) -> DatasetManifest:
    """The manifest at `key`; a missing or unreadable one is a `StorageError`."""
    return read_document(store, key, DatasetManifest, mend="prepare the dataset again")


class _Pointer(Ref):
    version: str


def read_pointer(store: ObjectStore, key: str) -> tuple[str | None, str | None]:
    """The version that `key` points to and the change token of the pointer, or (None, None)."""
    # Token first: if the pointer moves in between, the later move by this token fails, as it must.
    info = store.head(key)
    if info is None:
        return None, None
    return read_document(store, key, _Pointer).version, info.token


def move_pointer(store: ObjectStore, key: str, version: str, token: str | None) -> None:
    """Point to a complete version; `ConflictError` if `token` is no longer the newest.

    `token` comes from `read_pointer`: None if there was no pointer.
    """
    pointer = _Pointer(version=version)
    write_document(store, key, pointer, if_absent=token is None, if_token=token)


def read_latest(store: ObjectStore, dataset: str) -> tuple[DatasetManifest | None, str | None]:
    """The newest version of a dataset and the change token of its pointer, or (None, None)."""
    version, token = read_pointer(store, newest_dataset_key(dataset))
    if version is None:
        return None, None
    return read_manifest(store, dataset_version_key(dataset, version)), token


def read_sources(store: ObjectStore, manifest: DatasetManifest) -> list[SourceObject]:
    """Outcome of each source object, sorted by key."""
    return load_sources(_table(store, manifest.dataset, manifest.sources_table))


def read_photos(store: ObjectStore, manifest: DatasetManifest) -> list[CutPhoto]:
    """Place of each photo's crops, sorted by the digest of the pixels."""
    return load_photos(_table(store, manifest.dataset, manifest.photos_table))


def put_once(store: ObjectStore, key_of: Callable[[str], str], data: bytes) -> str:
    """Store bytes under their SHA-256 unless they are there already; return the SHA-256."""
    sha256 = hashlib.sha256(data).hexdigest()
    present = store.head(key_of(sha256))
    if present is None or present.size_bytes != len(data):
        store.put(key_of(sha256), data)
    return sha256


def put_table(store: ObjectStore, dataset: str, data: bytes) -> str:
    """Store a table under its SHA-256; return the SHA-256."""
    return put_once(store, lambda sha256: table_key(dataset, sha256), data)


def publish(store: ObjectStore, manifest: DatasetManifest, token: str | None) -> None:
    """Write the manifest, then move the pointer from where `token` saw it (None: nowhere)."""
    write_document(store, manifest.key, manifest)
    try:
        move_pointer(store, newest_dataset_key(manifest.dataset), manifest.version, token)
    except ConflictError as error:
        raise ConflictError(
            f"somebody published another version of dataset {manifest.dataset!r} while this one "
            "was prepared; prepare it again, which starts from there"
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


@dataclass(frozen=True)
class Previous:
    """Reusable parts of the previous version; empty if there is none or it was cut differently."""

    manifest: DatasetManifest | None = None
    token: str | None = None
    """Change token of the pointer to it."""
    shards: dict[str, Shard] = field(default_factory=dict)
    photos: dict[str, CutPhoto] = field(default_factory=dict)
    """Photos by pixels; only those whose shards are all still there."""
    sources: dict[str, SourceObject] = field(default_factory=dict)
    """Sources by key; only those that need no second reading unless they change."""
    splits: dict[str, Split] = field(default_factory=dict)
    """Side of each photo, by pixels."""

    def source(self, info: ObjectInfo) -> SourceObject | None:
        """The row of an object that has not changed, or None if it must be read."""
        source = self.sources.get(info.key)
        return source if source is not None and source.token == info.token else None


def read_previous(
    store: ObjectStore,
    dataset: str,
    source_bucket: str,
    config: DataConfig,
    lr_bucket: str | None = None,
) -> Previous:
    """The newest version of `dataset`, reduced to what still holds for `config` and the buckets.

    With `lr_bucket` it has to be a dataset of pairs, else of photos: `ConfigError` if it is not.
    """
    manifest, token = read_latest(store, dataset)
    if manifest is None:
        return Previous()
    if (manifest.lr_source is None) != (lr_bucket is None):
        kinds = ("photos without LR", "pairs")
        holds, wanted = kinds if lr_bucket else kinds[::-1]
        raise ConfigError(f"dataset {dataset!r} holds {holds}; give the {wanted} another name")
    photos = {photo.pixels: photo for photo in read_photos(store, manifest)}
    splits = {photo.pixels: photo.split for photo in photos.values()}
    if _judged_by(manifest.config, lr_bucket) != _judged_by(config, lr_bucket):
        return Previous(manifest, token, splits=splits)
    shards = intact(store, dataset, manifest.shards)
    photos = {
        pixels: photo
        for pixels, photo in photos.items()
        if all(span.shard in shards for span in photo.spans)
    }
    sources = {
        source.key: source
        for source in read_sources(store, manifest)
        if _is_settled(source, photos)
    }
    before = (split_uri(uri)[0] if uri else None for uri in (manifest.source, manifest.lr_source))
    if (*before, manifest.decoding) != (source_bucket, lr_bucket, reading_version(lr_bucket)):
        sources = {}
    if manifest.config.scale != config.scale:  # of LR images at another scale
        sources = {key: replace(each, statistics=None) for key, each in sources.items()}
    return Previous(manifest, token, shards, photos, sources, splits)


def _is_settled(source: SourceObject, photos: Mapping[str, CutPhoto]) -> bool:
    """True if an object need not be read again unless it changes."""
    if source.pixels is None:
        return source.reason not in _MACHINES_FAULT
    photo = photos.get(source.pixels)
    return photo is not None and photo.look is not None  # earlier releases noted no look


def reading_version(lr_bucket: str | None) -> str:
    """Version of the code that reads photos and, for pairs, compares them."""
    return decoding_version() if lr_bucket is None else pairing_version()


def _judged_by(config: DataConfig, lr_bucket: str | None) -> tuple[object, ...]:
    """The settings that decide how a photo is cut and whether it is rejected."""
    scale = config.scale if config.least_detail or lr_bucket is not None else None
    return config.crop_size, config.max_pixels, config.shrunk, config.least_detail, scale


def intact(store: ObjectStore, dataset: str, shards: Iterable[Shard]) -> dict[str, Shard]:
    """Shards of a dataset that are in the bucket with their full size, by their SHA-256."""
    listed = store.list(shard_key.below(dataset))
    sizes = {info.key: info.size_bytes for info in listed}
    return {
        shard.sha256: shard for shard in shards if sizes.get(shard.key(dataset)) == shard.size_bytes
    }
