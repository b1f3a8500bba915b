"""What a retraining began with, so that whoever puts its flow run back goes on with the same.

``retrainings/<flow run>.json`` lies in the bucket before anything is trained. Without it a run
whose process died after the promotion would find its own version as champion, and nothing new.
"""

from pydantic import Field

from srgan.keys import beginning_key
from srgan.refs import DatasetRef, ModelRef, Ref
from srgan.storage import ObjectStore, find_document, write_document
from srgan.version import numerics_version


class Beginning(Ref):
    """What was decided before the first stage."""

    dataset: DatasetRef
    champion: ModelRef | None
    """Who was to be beaten, and what a fine-tuning starts from."""
    reason: str
    numerics_version: str = Field(default_factory=numerics_version)
    """Of the code that began: stages and evaluations keep their names, whatever code goes on. An
    earlier release wrote none; its retraining goes on under the names of the code that runs."""
    seed: int | None = None
    """In place of the recipe's, where nothing else has changed: the same seed would make the same
    weights once more."""


def keep_beginning(store: ObjectStore, flow_run: str, beginning: Beginning) -> None:
    """Write it, before what it says is begun."""
    write_document(store, beginning_key(flow_run), beginning)


def read_beginning(store: ObjectStore, flow_run: str) -> Beginning | None:
    """What a flow run began with in an earlier life; None in its first.

    `StorageError` where another release wrote it.
    """
    return find_document(store, beginning_key(flow_run), Beginning, mend="start a new retraining")
