"""Which photos differ between two versions of a dataset, by the keys of their files."""

from collections.abc import Iterable

from srgan.data.manifest import read_manifest, read_sources
from srgan.data.tables import Source
from srgan.errors import StorageError
from srgan.refs import Ref
from srgan.storage import ObjectStore


class PhotoLists(Ref):
    """Photos differ by their pixels; a renamed or copied file is no change."""

    new: list[str]
    changed: list[str]
    """Files whose picture became another one; they are neither new nor removed."""
    removed: list[str]

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.removed)


def photos_since(store: ObjectStore, before: str, now: str) -> PhotoLists | None:
    """What is other in the version with the manifest `now`; None where one of both is gone."""
    if any(store.head(key) is None for key in (before, now)):
        return None
    try:
        sources = [read_sources(store, read_manifest(store, key)) for key in (before, now)]
    except StorageError:
        return None  # its table is gone, or it is of another release: nobody can tell then
    return compare_sources(*sources)


def compare_sources(before: Iterable[Source], now: Iterable[Source]) -> PhotoLists:
    """The same of two tables of sources; of copies only the first key is named."""
    old, new = _keys(before), _keys(now)
    old_pixels, new_pixels = _first_keys(old), _first_keys(new)
    added = {key for pixels, key in new_pixels.items() if pixels not in old_pixels}
    removed = {key for pixels, key in old_pixels.items() if pixels not in new_pixels}
    changed = added & removed
    return PhotoLists(
        new=sorted(added - changed), changed=sorted(changed), removed=sorted(removed - changed)
    )


def _keys(sources: Iterable[Source]) -> dict[str, str]:
    return {source.key: source.pixels for source in sources if source.pixels}


def _first_keys(pixels_of: dict[str, str]) -> dict[str, str]:
    """The first key of each picture, by its pixels."""
    first: dict[str, str] = {}
    for key in sorted(pixels_of):
        first.setdefault(pixels_of[key], key)
    return first
