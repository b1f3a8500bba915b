"""Which definitions of the package run, whatever imports and types say."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import srgan
from srgan.version import QualifiedName, is_cut_off

PACKAGE = Path(srgan.__file__).parent


@contextmanager
def definitions_run(known: set[QualifiedName]) -> Iterator[set[QualifiedName]]:
    """Functions and classes at the top of a module that run within the block, all threads included.

    Without those `known`, those that are cut off from the numerics version, and what these call.
    """
    found: set[QualifiedName] = set()

    # Returns nothing, so that no lines are traced: that would cost minutes.
    def note(frame: FrameType, event: str, _: object) -> None:
        key = _definition(frame)
        if key is None or key in known or key in found:
            return
        caller: FrameType | None = frame
        while caller is not None:
            above = _definition(caller)
            if above is not None and is_cut_off(above):
                return
            caller = caller.f_back
        found.add(key)

    threading.settrace(note)
    sys.settrace(note)
    try:
        yield found
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]  # None ends it


def _definition(frame: FrameType) -> QualifiedName | None:
    code = frame.f_code
    name = code.co_qualname.partition(".")[0]
    if not code.co_filename.startswith(f"{PACKAGE}/") or name.startswith("<"):
        return None
    parts = Path(code.co_filename).relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__"), name
