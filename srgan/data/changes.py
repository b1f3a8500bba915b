"""What differs between two versions of a dataset, counted in photos."""

from pydantic import ValidationError

from srgan.config import GrowthConfig
from srgan.data.manifest import Manifest, cutting, read_manifest, read_sources, table_key
from srgan.refs import Ref
from srgan.storage import ObjectStore


class PhotoChanges(Ref):
    """Photos that differ by their pixels; a renamed or copied file is no change."""

    num_before: int
    num_new: int
    num_changed: int
    """Files whose picture became another one; counted neither as new nor as removed."""
    num_removed: int
    recut: bool = False
    """Whether the crops of all photos are others: another size, scale or shrinking."""

    @property
    def num_total(self) -> int:
        return self.num_new + self.num_changed + self.num_removed

    @property
    def share(self) -> float:
        """Of the photos that there were before; of none it is 1."""
        return self.num_total / self.num_before if self.num_before else 1.0

    def enough(self, growth: GrowthConfig) -> bool:
        """Whether they reach both limits."""
        return (
            self.num_total >= growth.min_changed_photos and self.share >= growth.min_changed_share
        )

    def __str__(self) -> str:
        return (
            f"photos: {self.num_new} new, {self.num_changed} changed, {self.num_removed} removed, "
            f"{100 * self.share:.1f} % of {self.num_before}"
        )


def changes_since(store: ObjectStore, key: str, now_key: str) -> PhotoChanges | None:
    """What is other in the version of the manifest at `now_key` than in the one at `key`.

    None when that version, or its table of photos, is gone or of another release: nobody can
    count then.
    """
    body = store.find(key)
    if body is None:
        return None
    try:
        before = Manifest.model_validate_json(body)
    except ValidationError:
        return None
    if store.head(table_key(before.dataset, before.sources_table)) is None:
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
    """The same for digests of pixels by the keys of their files."""
    num_before = len(set(before.values()))
    removed = set(before.values()) - set(now.values())
    added = set(now.values()) - set(before.values())
    num_changed = 0
    for key in before.keys() & now.keys():
        if before[key] in removed and now[key] in added:
            removed.remove(before[key])
            added.remove(now[key])
            num_changed += 1
    return PhotoChanges(
        num_before=num_before,
        num_new=len(added),
        num_changed=num_changed,
        num_removed=len(removed),
        recut=recut,
    )


def _pixels(store: ObjectStore, manifest: Manifest) -> dict[str, str]:
    return {source.key: source.pixels for source in read_sources(store, manifest) if source.pixels}
