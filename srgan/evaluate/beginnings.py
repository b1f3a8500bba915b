"""What a retraining began with, so that whoever puts its flow run back goes on with the same.

``retrainings/<flow run>.json`` lies in the bucket before anything is trained. Without it a run
whose process died after the promotion would find its own version as champion, and nothing new.
"""

from pydantic import Field, ValidationError

from srgan.errors import StorageError, explain
from srgan.keys import beginning_key
from srgan.refs import DatasetRef, ModelRef, Ref, to_json
from srgan.storage import ObjectStore
from srgan.version import numerics_version


class Beginning(Ref):
    """What was decided before the first stage."""

    dataset: DatasetRef
    champion: ModelRef | None
    """Who was to be beaten, and what a fine-tuning starts from."""
    reason: str
    numerics_version: str = Field(default_factory=numerics_version)
    """Of the code that began: stages and evaluations keep their names, whatever code goes on."""
    seed: int | None = None
    """In place of the recipe's, where nothing else has changed: the same seed would make the same
    weights once more."""


def keep_beginning(store: ObjectStore, flow_run: str, beginning: Beginning) -> None:
    """Write it, before what it says is begun."""
    store.put(beginning_key(flow_run), to_json(beginning), content_type="application/json")


def read_beginning(store: ObjectStore, flow_run: str) -> Beginning | None:
    """What a flow run began with in an earlier life; None in its first.

    `StorageError` where another release wrote it.
    """
    key = beginning_key(flow_run)
    found = store.find(key)
    if found is None:
        return None
    try:
        return Beginning.model_validate_json(found)
    except ValidationError as error:
        raise StorageError(
            f"{store.uri(key)} is no beginning of a retraining of this release: {explain(error)}"
        ) from error
