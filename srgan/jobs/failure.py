"""Record why a Ray job failed, in one small object beside its spec, for the flow that follows it.

The driver writes it when it fails. A driver that is killed with SIGKILL or cannot reach the object
store leaves none; then another attempt may help.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from srgan.errors import DocumentError, SrganError
from srgan.keys import failure_key, run_of
from srgan.logs import hidden, own_secrets
from srgan.services.s3 import open_store
from srgan.settings import Settings
from srgan.storage import ObjectStore, find_document, write_document

logger = logging.getLogger(__name__)

_LONGEST_MESSAGE = 4000  # Ray Train puts whole tracebacks into its messages


class Failure(BaseModel):
    """The error that ended one job.

    The node's release writes it and the flow's release, which may be another, reads it: fields that
    this release does not know are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    job: str
    """``<root flow run>-<stage>-<attempt>``; the next attempt writes to the same key."""
    error: str
    """Class of the error."""
    message: str
    hopeless: bool
    """True if another attempt would fail in the same way."""
    failed_at: datetime

    def __str__(self) -> str:
        return f"{self.error}: {self.message}"


@contextmanager
def leaving_failure(spec_key: str, job_id: str) -> Iterator[None]:
    """Wrap a whole job: write down the error that ends it, and raise it again.

    The traceback stays in the job's log. If the write fails, that is only a warning.
    """
    try:
        yield
    except Exception as error:
        failure = failure_of(unwrapped(error), job_id)
        try:
            store = open_store(Settings())
            write_document(store, failure_key(run_of(spec_key)), failure)
        except SrganError as unwritten:
            logger.warning("failure of job %s could not be written: %s", job_id, unwritten)
        raise


def failure_of(error: BaseException, job_id: str) -> Failure:
    """Describe an error that is free of Ray's wrappers, without secrets that it quotes."""
    return Failure(
        job=job_id,
        error=type(error).__name__,
        message=hidden(str(error), own_secrets())[:_LONGEST_MESSAGE],
        hopeless=_is_hopeless(error),
        failed_at=datetime.now(UTC),
    )


def read_failure(store: ObjectStore, spec_key: str, job_id: str) -> Failure | None:
    """Return why this very job failed; None if it left nothing that can be read."""
    try:
        failure = find_document(store, failure_key(run_of(spec_key)), Failure)
    except DocumentError:
        return None
    return failure if failure and failure.job == job_id else None


def unwrapped(error: BaseException) -> BaseException:
    """Return the error that a task, an actor or a training worker raised, without Ray's wrappers.

    If several workers failed, a hopeless error goes first: the others may only have lost the
    connection to that worker.
    """
    causes = [unwrapped(each) for each in _inside(error)]
    return next(filter(_is_hopeless, causes), causes[0] if causes else error)


def _inside(error: BaseException) -> list[BaseException]:
    from ray.exceptions import RayTaskError

    # Before the check for our own errors: Ray's class also inherits from the error that it wraps.
    if isinstance(error, RayTaskError):
        return [error.cause]
    if isinstance(error, SrganError):
        return []
    # Takes seconds, which a job that was refused before it needed Ray Train need not pay.
    from ray.train import ControllerError, WorkerGroupError

    if isinstance(error, ControllerError):
        return [error.controller_failure]
    if isinstance(error, WorkerGroupError):
        return [failure for _, failure in sorted(error.worker_failures.items())]
    return [error.__cause__] if isinstance(error.__cause__, SrganError) else []


def _is_hopeless(error: BaseException) -> bool:
    return isinstance(error, SrganError) and error.hopeless
