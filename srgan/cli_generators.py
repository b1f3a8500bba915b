"""What a command's MODEL means, and generators that become files."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from srgan.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from srgan.models.base import Generator


def open_generator(model: str, *, others: Iterable[str] = ()) -> "Generator":
    """Generator on the CPU in eval mode, from a file of ours or of others, or ``models:/…``.

    `others` is what the command takes besides, for the message of a `ConfigError`.
    """
    if model.startswith("models:/"):
        from srgan.adapters.registry import load

        return load(model)
    file = Path(model)
    if not file.is_file():
        known = (*others, "a weights file", "models:/NAME@ALIAS or models:/NAME/VERSION")
        raise ConfigError(f"no model {model!r}: it is no file; expected {', '.join(known)}")
    from srgan.models.foreign import import_generator

    try:
        return import_generator(file.read_bytes())
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error


def check_target(target: Path) -> None:
    """`ConfigError` for a file that exists, which is never overwritten, or has no folder."""
    if target.exists():
        raise ConfigError(f"{target} exists; choose another one with --to")
    if not target.parent.is_dir():
        raise ConfigError(f"{target.parent} is no folder; make it first")
