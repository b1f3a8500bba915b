"""Stores that do one thing otherwise."""

from typing import Any

from srgan.services.s3 import S3Store


class Around:
    """A real store; a subclass replaces some of its methods."""

    def __init__(self, store: S3Store) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)
