"""One source of a batch on its way through the stages, and the row that is left of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from srgan.errors import PASSED_BY, ImageError, StorageError
from srgan.images import Photo
from srgan.upscale.join import Item
from srgan.upscale.memory import is_out_of_memory
from srgan.upscale.records import Record, Stamp


@dataclass(slots=True)
class Job:
    """One source on its way through the stages."""

    item: Item
    key: str
    """Of the output."""
    photo: Photo | None = None
    format: str = ""
    output: Photo | None = None
    memory_bytes: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    """Columns of its record known so far."""
    error: BaseException | None = None

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.facts[f"{stage}_s"] = time.monotonic() - began

    def record(self, stamp: Stamp) -> Record:
        """Its row; an error that no single image causes is raised, for the batch to end."""
        error = self.error
        if error is not None and not isinstance(error, PASSED_BY):
            raise error
        row = Record(
            source_key=self.item.key,
            source_token=self.item.token,
            source_bytes=self.item.size_bytes,
            model=stamp.model,
            config_digest=stamp.config_digest,
            outcome="done" if "width" in self.facts else "skipped",
            destination_key=self.key,
            **self.facts,
        )
        if error is None:
            return row
        return replace(
            row,
            outcome="failed",
            error=type(error).__name__,
            reason=_reason(error),
            detail=error.detail if isinstance(error, ImageError) else str(error),
        )


def _reason(error: BaseException) -> str:
    if isinstance(error, ImageError):
        return error.reason
    if isinstance(error, StorageError):
        return "storage"
    if is_out_of_memory(error):
        return "out_of_memory"
    return "engine"
