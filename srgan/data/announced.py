"""How much a dataset has grown since that was last announced: small steps add up."""

from srgan.data.changes import PhotoChanges, changes_since, every_photo
from srgan.keys import announced_key, dataset_version_key
from srgan.refs import DatasetRef, Ref
from srgan.storage import ObjectStore, find_document, write_document


class _Announced(Ref):
    version: str


def growth_since_announced(store: ObjectStore, dataset: DatasetRef) -> PhotoChanges:
    """What has changed since the version that `mark_announced` was last called for.

    Where there is none, or where it is gone, every photo is new.
    """
    found = find_document(store, announced_key(dataset.dataset), _Announced)
    changes = None
    if found is not None:
        before = dataset_version_key(dataset.dataset, found.version)
        changes = changes_since(store, before, dataset.key)
    return changes or every_photo(store, dataset.key)


def mark_announced(store: ObjectStore, dataset: DatasetRef) -> None:
    """Count from this version on."""
    write_document(store, announced_key(dataset.dataset), _Announced(version=dataset.version))
