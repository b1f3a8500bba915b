"""The local disk: atomic writes, and what its errors mean for an image."""

import errno
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal


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


def reason_of(error: OSError) -> Literal["no_space", "system"]:
    """Reason of an image that `error` cost: ``no_space`` if the disk or its quota is full.

    Else ``system``, such as too many processes or open files.
    """
    return "no_space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "system"
