"""Stores that do one thing otherwise."""

from collections.abc import Mapping
from typing import Any

from srgan.errors import StorageError
from srgan.services.s3 import S3Store


class Around:
    """A real store; a subclass replaces some of its methods."""

    def __init__(self, store: S3Store) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


class Failing(Around):
    """A real store that refuses to write keys containing `what`, the first `times` times."""

    def __init__(self, store: S3Store, what: str, times: int = 10**9) -> None:
        super().__init__(store)
        self._what = what
        self._times = times

    def put(self, key: str, body: bytes, **options: Mapping[str, str]) -> str:
        if self._what in key and self._times:
            self._times -= 1
            raise StorageError(f"no space for {key}")
        return self.store.put(key, body, **options)
