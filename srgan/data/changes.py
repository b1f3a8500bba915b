"""Photos that differ between two versions of a dataset."""

from srgan.config import GrowthConfig
from srgan.data.manifest import DatasetManifest, cutting, read_manifest, read_sources
from srgan.errors import DocumentError
from srgan.keys import announced_key, dataset_version_key, table_key
from srgan.refs import DatasetRef, Ref
from srgan.storage import ObjectStore, find_document, write_document


class PhotoChanges(Ref):
    """Photos whose pixels differ, named by the keys of their files.

    Renaming or copying a file is not a change; a picture in several files goes by the first key.
    """

    num_before: int
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Files that hold another picture now; counted neither as new nor as removed."""
    removed: tuple[str, ...] = ()
    recut: bool = False
    """True if all photos are cut differently now: another size, scale or shrinking."""

    @property
    def num_total(self) -> int:
        return len(self.new) + len(self.changed) + len(self.removed)

    @property
    def share(self) -> float:
        """Share of the photos that there were before; 1 if there were none."""
        return self.num_total / self.num_before if self.num_before else 1.0

    def enough(self, growth: GrowthConfig) -> bool:
        """True if the changes reach both limits."""
        return (
            self.num_total >= growth.min_changed_photos and self.share >= growth.min_changed_share
        )

    def __str__(self) -> str:
        counts = len(self.new), len(self.changed), len(self.removed)
        return (
            "photos: {} new, {} changed, {} removed, ".format(*counts)
            + f"{100 * self.share:.1f} % of {self.num_before}"
        )


def changes_since(store: ObjectStore, key: str, now_key: str) -> PhotoChanges | None:
    """Changes from the version whose manifest lies at `key` to the one at `now_key`.

    None when the older one or its table of sources is gone, or another release wrote it: then
    nothing can be counted.
    """
    try:
        before = find_document(store, key, DatasetManifest)
    except DocumentError:
        return None
    if before is None or not store.head(table_key(before.dataset, before.sources_table)):
        return None
    now = read_manifest(store, now_key)
    return compare_photos(
        _pixels(store, before),
        _pixels(store, now),
        recut=cutting(before.config) != cutting(now.config),
    )


def compare_photos(
    before: dict[str, str], now: dict[str, str], *, recut: bool = False
) -> PhotoChanges:
    """Compare two versions, each given as digests of pixels by the keys of their files."""
    old, new = _first_keys(before), _first_keys(now)
    removed = {pixels: key for pixels, key in old.items() if pixels not in new}
    added = {pixels: key for pixels, key in new.items() if pixels not in old}
    changed = []
    for key in sorted(before.keys() & now.keys()):
        if before[key] in removed and now[key] in added:
            del removed[before[key]], added[now[key]]
            changed.append(key)
    return PhotoChanges(
        num_before=len(old),
        new=tuple(sorted(added.values())),
        changed=tuple(changed),
        removed=tuple(sorted(removed.values())),
        recut=recut,
    )


def every_photo(store: ObjectStore, key: str) -> PhotoChanges:
    """Changes from an empty dataset: all photos of the version are new."""
    return compare_photos({}, _pixels(store, read_manifest(store, key)))


def _first_keys(pixels_of: dict[str, str]) -> dict[str, str]:
    """The first key of each picture, by its pixels."""
    first: dict[str, str] = {}
    for key in sorted(pixels_of):
        first.setdefault(pixels_of[key], key)
    return first


def _pixels(store: ObjectStore, manifest: DatasetManifest) -> dict[str, str]:
    return {source.key: source.pixels for source in read_sources(store, manifest) if source.pixels}


class _Announced(Ref):
    version: str


def growth_since_announced(store: ObjectStore, dataset: DatasetRef) -> PhotoChanges:
    """Changes since the version that `mark_announced` was last called for.

    Every photo is new if there is no such version or it is gone.
    """
    version = announced_version(store, dataset.dataset)
    changes = None
    if version is not None:
        before = dataset_version_key(dataset.dataset, version)
        changes = changes_since(store, before, dataset.key)
    return changes or every_photo(store, dataset.key)


def announced_version(store: ObjectStore, dataset: str) -> str | None:
    """Version of a dataset from which growth is counted; None before the first one."""
    found = find_document(store, announced_key(dataset), _Announced)
    return found.version if found else None


def mark_announced(store: ObjectStore, dataset: DatasetRef) -> None:
    """Count from this version on."""
    write_document(store, announced_key(dataset.dataset), _Announced(version=dataset.version))
