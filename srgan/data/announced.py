"""How much a dataset has grown since that was last announced: small steps add up."""

from srgan.data.changes import PhotoChanges, changes_since, every_photo
from srgan.keys import announced_key, dataset_version_key
from srgan.refs import DatasetRef, Ref, to_json
from srgan.storage import ObjectStore


class _Announced(Ref):
    version: str


def growth_since_announced(store: ObjectStore, dataset: DatasetRef) -> PhotoChanges:
    """What has changed since the version that `mark_announced` was last called for.

    Where there is none, or where it is gone, every photo is new.
    """
    found = store.find(announced_key(dataset.dataset))
    changes = None
    if found is not None:
        version = _Announced.model_validate_json(found).version
        changes = changes_since(store, dataset_version_key(dataset.dataset, version), dataset.key)
    return changes or every_photo(store, dataset.key)


def mark_announced(store: ObjectStore, dataset: DatasetRef) -> None:
    """Count from this version on."""
    store.put(
        announced_key(dataset.dataset),
        to_json(_Announced(version=dataset.version)),
        content_type="application/json",
    )
