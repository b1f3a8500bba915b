"""Places of photos for preparations."""

from typing import Any

from srgan.storage import Place


def place(store: Any, path: str) -> Place:
    """A prefix of the project's own bucket; `store` is one of ours, or quacks alike."""
    return Place(store.uri(path), store, own_prefix="")
