"""An image of a batch between its stages, and the row that it becomes."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

from srgan.bulk.join import Item
from srgan.bulk.records import Record
from srgan.bulk.run import Stamp
from srgan.errors import PASSED_BY, ImageError, SrganError, StorageError, reason_of
from srgan.images import Photo
from srgan.inference.device import is_of_device
from srgan.inference.memory import is_out_of_memory


@dataclass(slots=True)
class InFlight:
    """An item between its stages; one thread at a time has it."""

    item: Item
    row: Record
    """The record as far as it is known now."""
    photo: Photo | None = None
    format: str = ""
    output: Photo | None = None
    replaces: str | None = None
    """Change token of the object that the output replaces; None if there was none."""
    memory_bytes: int = 0
    spooled_bytes: int = 0
    """Parts that it has of the budgets for memory and for the disk."""
    error: BaseException | None = None

    @classmethod
    def of(cls, item: Item, stamp: Stamp) -> Self:
        """Begin with the row of an item whose output exists already."""
        return cls(
            item,
            Record(
                source_key=item.key,
                source_token=item.token,
                source_bytes=item.size_bytes,
                model=stamp.model,
                config_digest=stamp.config_digest,
                outcome="skipped",
                destination_key=item.output,
            ),
        )

    def note(self, **columns: Any) -> None:
        """Fill in columns of the row."""
        self.row = replace(self.row, **columns)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add what the block takes to the seconds of a stage."""
        began = time.monotonic()
        try:
            yield
        finally:
            column = f"{stage}_s"
            self.note(**{column: getattr(self.row, column) + time.monotonic() - began})

    def finished_row(self, *, is_last: bool = False) -> Record:
        """The row; an error that is not of this image alone is raised, to end the batch."""
        error = self.error
        if error is None:
            return self.row
        if not is_of_image(error, is_last=is_last):
            raise error
        return replace(
            self.row,
            outcome="failed",
            error=type(error).__name__,
            reason=_reason(error),
            detail=error.detail if isinstance(error, ImageError) else str(error),
        )


def is_of_image(error: BaseException, *, is_last: bool) -> bool:
    """True for an error that costs one image; any other ends the attempt at its batch.

    Where it is the last attempt, also what no image should cause, such as a bug. Our own errors
    say who is at fault: what a GPU, a cluster or a config is to blame for, no image is.
    """
    if isinstance(error, PASSED_BY):
        return True
    return is_last and isinstance(error, Exception) and not isinstance(error, SrganError)


def photos_of(images: Sequence[InFlight]) -> list[Photo]:
    """Photos of those that have one, in their order."""
    return [image.photo for image in images if image.photo is not None]


def _reason(error: BaseException) -> str:
    if isinstance(error, ImageError):
        return error.reason
    if isinstance(error, StorageError):
        return "storage"
    if is_out_of_memory(error):
        return "out_of_memory"
    if isinstance(error, OSError):
        return reason_of(error)
    if not isinstance(error, PASSED_BY):
        return "crashed"
    return "gpu" if is_of_device(error) else "engine"
