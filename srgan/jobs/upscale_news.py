"""News of a bulk run for its flow: how far it is, and why batches are lost.

The workers go on while the store is away, because that costs them no batch either.
"""

import json
import logging
import time

from srgan.bulk.attempt import BatchAttempt
from srgan.errors import StorageError
from srgan.jobs.failure import Failure
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.keys import batch_run, bulk_job_run, failure_key, in_work_key
from srgan.progress import Progress, write_progress
from srgan.storage import ObjectStore, write_document

logger = logging.getLogger(__name__)

_PAUSE_S = 5.0
"""Before the store is asked again."""
_LIMIT_S = 60.0
"""For what is still to be written at the end."""


class News:
    """Counts the batches that have ended, and writes down why some are lost."""

    def __init__(self, spec: UpscaleSpec, store: ObjectStore) -> None:
        self._spec = spec
        self._store = store
        # Batches of the whole run: a later job has fewer, and has still got further.
        self._num_ended = spec.num_batches - len(spec.batches)
        self._unwritten: dict[int, Failure] = {}
        """Why batches are lost, until the store has taken it."""
        self._write_at = 0.0

    def done(self) -> None:
        """Tell the flow that the run gets on, so that it goes on after a lost driver."""
        self._num_ended += 1
        progress = Progress(step=self._num_ended, steps=self._spec.num_batches)
        try:
            write_progress(self._store, bulk_job_run(self._spec.run), progress)
        except StorageError as error:  # the next report may be taken
            logger.warning("progress could not be written: %s", error)

    def lost(self, batch: int, failure: Failure) -> None:
        """Tell the flow why a batch has no records."""
        self._unwritten[batch] = failure
        self.write_failures()
        self.done()

    def in_work(self, batch: int, attempt: BatchAttempt) -> str | None:
        """Return the key that an attempt had in work when its process ended; None if it is unknown.

        A note of another attempt is not believed: what that one had in work is not to blame.
        """
        try:
            found = self._store.find(in_work_key(batch_run(self._spec.run, batch)))
        except StorageError as error:
            logger.warning("what batch %d had in work could not be read: %s", batch, error)
            return None
        note = json.loads(found) if found else {}
        is_of_it = (note.get("job"), note.get("attempt")) == (attempt.job, attempt.number)
        return str(note["key"]) if is_of_it else None

    def write_failures(self) -> StorageError | None:
        """Write what the store has not taken yet; return what it says if it still does not."""
        if time.monotonic() < self._write_at:
            return None
        for batch, failure in list(self._unwritten.items()):
            try:
                write_document(self._store, failure_key(batch_run(self._spec.run, batch)), failure)
            except StorageError as error:
                logger.warning("why batch %d is lost could not be written yet: %s", batch, error)
                self._write_at = time.monotonic() + _PAUSE_S
                return error
            del self._unwritten[batch]
        return None

    def close(self) -> None:
        """Wait for the store; `StorageError` after a while, for another attempt of the job."""
        end = time.monotonic() + _LIMIT_S
        while self._unwritten:
            time.sleep(max(0.0, self._write_at - time.monotonic()))
            error = self.write_failures()
            if error and time.monotonic() >= end:
                raise error


def note_in_work(store: ObjectStore, run: str, batch: int, attempt: BatchAttempt, key: str) -> None:
    """Write which photo an attempt is about to do alone; read if its process ends at it."""
    note = {"key": key, "job": attempt.job, "attempt": attempt.number}
    body, where = json.dumps(note).encode(), in_work_key(batch_run(run, batch))
    try:
        store.put(where, body, content_type="application/json")
    except StorageError as error:  # the photo can be done without it
        logger.warning("that %r is in work could not be written: %s", key, error)
