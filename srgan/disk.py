"""Files on this machine's disks, written whole or not at all."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """A draft beside `path` to write into; it replaces `path` unless the block fails.

    Readers see the old file or the new one. A process that is killed leaves a hidden ``.part``.
    """
    # Without the name of `path`, which may be as long as names can be.
    draft = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
