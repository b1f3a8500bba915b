"""Bring judgements from the database of this machine into the bucket."""

import logging

from srgan.errors import StorageError
from srgan.keys import part_of_rater_key
from srgan.storage import ObjectStore, write_document
from srgan.studies.database import Database

logger = logging.getLogger(__name__)


def export_parts(store: ObjectStore, study: str, database: Database) -> None:
    """Write the parts that have changed, and delete those of raters who have withdrawn.

    Safe to repeat, and to call beside a server that exports too. Deletion comes after writing, so
    that a part that was read before its rater withdrew does not stay.
    """
    with database.exporting():
        for part, revision in database.parts(changed=True):
            write_document(store, part_of_rater_key(study, part.rater), part)
            database.note_exported(part, revision)
        for rater in database.withdrawn():
            store.delete(part_of_rater_key(study, rater))
            database.note_deleted(rater)


def try_export(store: ObjectStore, study: str, database: Database) -> None:
    """`export_parts`; a store that does not answer is a warning, and the next call tries again."""
    try:
        export_parts(store, study, database)
    except StorageError as error:
        logger.warning("the ratings are safe on this disk, but not exported yet: %s", error)
