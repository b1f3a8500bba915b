"""What the previous version of a dataset lets the next one take over."""

from dataclasses import dataclass, field

from srgan.config import DataConfig
from srgan.data.manifest import (
    Manifest,
    Shard,
    read_latest,
    read_photos,
    read_sources,
)
from srgan.data.tables import CutPhoto, Source, Split
from srgan.keys import shard_key, shards_prefix
from srgan.storage import ObjectInfo, ObjectStore, split_uri


@dataclass(frozen=True)
class Previous:
    """Empty when there is no previous version or when it was cut otherwise."""

    manifest: Manifest | None = None
    token: str | None = None
    """Change token of the pointer to it."""
    shards: dict[str, Shard] = field(default_factory=dict)
    photos: dict[str, CutPhoto] = field(default_factory=dict)
    """By pixels; only those all of whose shards are still there."""
    sources: dict[str, Source] = field(default_factory=dict)
    """By key; only those that need not be read again unless they changed."""
    splits: dict[str, Split] = field(default_factory=dict)
    """Side of each photo, by pixels."""

    def source(self, info: ObjectInfo) -> Source | None:
        """What is known of an object that has not changed, or None when it must be read."""
        source = self.sources.get(info.key)
        return source if source is not None and source.token == info.token else None


def read_previous(
    store: ObjectStore, dataset: str, source_bucket: str, config: DataConfig
) -> Previous:
    """The newest version of `dataset`, reduced to what holds for `config` and for that bucket."""
    manifest, token = read_latest(store, dataset)
    if manifest is None:
        return Previous()
    photos = {photo.pixels: photo for photo in read_photos(store, manifest)}
    splits = {photo.pixels: photo.split for photo in photos.values()}
    if _judged_by(manifest.config) != _judged_by(config):
        return Previous(manifest, token, splits=splits)
    shards = _intact(store, manifest)
    photos = {
        pixels: photo
        for pixels, photo in photos.items()
        if all(span.shard in shards for span in photo.spans)
    }
    sources = {
        source.key: source
        for source in read_sources(store, manifest)
        if source.pixels is None or _is_whole(photos.get(source.pixels))
    }
    if split_uri(manifest.source)[0] != source_bucket:
        sources = {}
    return Previous(manifest, token, shards, photos, sources, splits)


def _is_whole(photo: CutPhoto | None) -> bool:
    """Whether nothing has to be read to know all of it that this release knows of photos."""
    return photo is not None and photo.look is not None


def _judged_by(config: DataConfig) -> tuple[object, ...]:
    """What decides how a photo is cut and whether it is rejected."""
    least = (config.least_detail, config.scale) if config.least_detail else None
    return config.crop_size, config.max_pixels, config.shrunk, least


def _intact(store: ObjectStore, manifest: Manifest) -> dict[str, Shard]:
    """Shards of the version that are in the bucket, whole by their size."""
    listed = store.list(shards_prefix(manifest.dataset))
    sizes = {info.key: info.size_bytes for info in listed}
    return {
        shard.sha256: shard
        for shard in manifest.shards
        if sizes.get(shard_key(manifest.dataset, shard.sha256)) == shard.size_bytes
    }
