"""Write files on the local disk atomically."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a draft beside `path` to write into; it replaces `path` unless the block fails.

    Readers see the old file or the new one. A killed process leaves a hidden ``.part`` file.
    """
    # Without the name of `path`, which may already have the maximum length.
    draft = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
