"""Which version is the newest: a small object that moves from where it was seen, or not at all."""

from srgan.refs import Ref
from srgan.storage import ObjectStore, read_document, write_document


class _Pointer(Ref):
    version: str


def read_pointer(store: ObjectStore, key: str) -> tuple[str | None, str | None]:
    """The version that `key` points to and the change token of the pointer, or (None, None)."""
    # Token first: if the pointer moves in between, the later move by this token fails, as it must.
    info = store.head(key)
    if info is None:
        return None, None
    return read_document(store, key, _Pointer).version, info.token


def move_pointer(store: ObjectStore, key: str, version: str, token: str | None) -> None:
    """Point to a version that is whole; `ConflictError` where `token` is not the newest any more.

    `token` as `read_pointer` gave it: None where nothing was there.
    """
    pointer = _Pointer(version=version)
    write_document(store, key, pointer, if_absent=token is None, if_token=token)
