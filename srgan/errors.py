"""Errors by who has to act. Messages name the key, file or field and what to do.

    SrganError
    ├─ ConfigError *         the caller: another setting, recipe or parameter
    ├─ DataError *           the owner of the photos: more of them, or a dataset that is there
    ├─ CheckpointError *     the caller: another checkpoint to start from
    ├─ TrainingError *       the author of the recipe
    ├─ ClusterError *        the operator of the cluster
    ├─ DeviceError           the operator of the GPU, unless it passes
    ├─ StorageError          the operator of the object store, unless it passes
    │  ├─ ConflictError      nobody: read again and decide again
    │  └─ DocumentError      the reader: take the release that wrote it, or make it again
    │     └─ NewerFormatError *  the reader: take the release that wrote it
    ├─ RegistryError         the caller or the operator of MLflow
    ├─ OrchestratorError     the operator of Prefect
    │  └─ RefusedError       the user of Prefect: PREFECT_API_AUTH_STRING
    ├─ StackError            the user of the local stack
    └─ ImageError            nobody: the image is skipped and recorded

A star marks a `hopeless` error: the job would fail in the same way again. Any other error, ours
or not, may be a lost node or a full disk, which another attempt can cure.
"""

import errno
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from pydantic import ValidationError


class SrganError(Exception):
    """Base of every error that this project raises on purpose."""

    hopeless: ClassVar[bool] = False
    """True if another attempt at the job would fail in the same way."""


class ConfigError(SrganError):
    """A setting, recipe or parameter is missing or contradicts another."""

    hopeless = True


class ImageError(SrganError):
    """One image cannot be used; `reason` is a short stable class such as ``truncated``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["ImageError"], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


class DataError(SrganError):
    """A source or a dataset version cannot be used as a whole."""

    hopeless = True


class StorageError(SrganError):
    """The object store refused, lost or altered something."""


class DocumentError(StorageError):
    """A JSON document in the bucket is damaged or was written by another release."""


class NewerFormatError(DocumentError):
    """A document is whole, and only a newer release can read it."""

    hopeless = True


class ConflictError(StorageError):
    """A conditional write lost: somebody else wrote the key first."""


class CheckpointError(SrganError):
    """A checkpoint is missing, altered or of another architecture."""

    hopeless = True


class TrainingError(SrganError):
    """Training cannot continue, for example because losses are no longer finite."""

    hopeless = True


class ClusterError(SrganError):
    """The Ray cluster refused a job, is too small, too busy, or runs other code."""

    hopeless = True


class DeviceError(SrganError):
    """A GPU failed, and this process cannot use it any more; another process may."""


class OrchestratorError(SrganError):
    """Prefect's server did not answer, or says that something must not happen now."""


class RefusedError(OrchestratorError):
    """Prefect's server wants a password, and this process has none or a wrong one."""


class StackError(SrganError):
    """A local service did not start or died."""


class RegistryError(SrganError):
    """The model registry has no such model, version or alias."""


def first_few(found: Sequence[str], separator: str = "; ") -> str:
    """Join the first ten and say how many more there are, to keep a message readable."""
    more = f" and {len(found) - 10} more" if len(found) > 10 else ""
    return separator.join(found[:10]) + more


def explain(error: "ValidationError", *, name: Callable[[str], str] = str) -> str:
    """Describe pydantic's findings as ``field: problem, got value``, without its links.

    `name` turns a field into the word that the user knows it by.
    """
    found = []
    for each in error.errors():
        field, value = name(".".join(map(str, each["loc"]))), each["input"]
        problem = each["msg"].removeprefix("Value error, ")
        got = f", got {value!r}" if isinstance(value, str | int | float) else ""
        found.append(f"{field}: {problem}{got}" if field else problem)
    return "; ".join(found)


PASSED_BY = (ImageError, StorageError, MemoryError, RuntimeError, ValueError, OSError)
"""Errors that one image can cause: record it and go on with the others.

Any other ends the work: a bug, or a `DeviceError`, which a GPU raises as a `RuntimeError`.
"""


def reason_of(error: OSError) -> Literal["no_space", "system"]:
    """Reason of an image that `error` cost: ``no_space`` if the disk or its quota is full.

    Else ``system``, such as too many processes or open files.
    """
    return "no_space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "system"
