"""Which code this is: the release plus a digest of the sources that decide what comes out."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

# What these compute ends up in weights, pixels or figures; a change of the command line does not.
_NUMERIC = (
    "data",
    "evaluate",
    "images",
    "losses.py",
    "metrics.py",
    "models",
    "precision.py",
    "resize.py",
    "train",
    "upscale",
)


@cache
def code_version() -> str:
    """``<release>+<12 hex digits>``, equal on two machines exactly when they compute the same."""
    package = Path(__file__).parent
    files = [
        path
        for name in _NUMERIC
        for path in sorted((package / name).rglob("*.py") if "." not in name else [package / name])
    ]
    sources = hashlib.sha256()
    for path in files:
        sources.update(path.relative_to(package).as_posix().encode() + b"\0")
        sources.update(path.read_bytes() + b"\0")
    return f"{version('srgan')}+{sources.hexdigest()[:12]}"
