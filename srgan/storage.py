"""Object stores as the core sees them, JSON documents in them, and their addresses.

`services/s3.py` and `services/folder.py` implement `ObjectStore`.
"""

import json
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from srgan.errors import ConfigError, DocumentError, NewerFormatError, explain
from srgan.refs import to_json

DocumentT = TypeVar("DocumentT", bound=BaseModel)

_BUCKET = r"[A-Za-z0-9._-]+"
_FORMAT = re.compile(r"(?P<name>srgan-[a-z-]+)-(?P<number>\d+)")
_MEND = "go back to the release that wrote it, or make it again"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One entry of a listing."""

    key: str
    token: str
    """Opaque change token (the ETag without quotes): differs when the object changed."""
    size_bytes: int
    written_at: float = field(default=0.0, compare=False)
    """Seconds since the epoch, by the store's clock; 0 if the store does not say."""
    problem: str = ""
    """Why it cannot be read, where the listing tells; a folder's key ends in a slash."""


class ObjectStore(Protocol):
    """One bucket. Every method raises `StorageError` naming bucket and key."""

    bucket: str
    prefix: str
    """Beginning of all keys in the bucket, which no method takes or returns. Empty unless the
    store is a team's."""

    def get(self, key: str) -> bytes:
        """Whole object; a missing key is a `StorageError`."""

    def find(self, key: str) -> bytes | None:
        """Whole object, or None when there is no such key."""

    def beginning(self, key: str, num_bytes: int) -> bytes | None:
        """First bytes of an object, fewer if it is shorter, or None when there is no such key."""

    def put(
        self,
        key: str,
        body: bytes | BinaryIO,
        *,
        metadata: Mapping[str, str] | None = None,
        content_type: str = "application/octet-stream",
        if_absent: bool = False,
        if_token: str | None = None,
    ) -> str:
        """Write whole or not at all and return the change token.

        A file is read from its current position to its end and never held in memory whole.
        `if_absent` and `if_token` make the write conditional; a lost race raises `ConflictError`.
        """

    def head(self, key: str) -> ObjectInfo | None:
        """Listing entry of one key, or None when there is no such key."""

    def metadata(self, key: str) -> dict[str, str]:
        """User metadata of one object."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List every object below `prefix`, page by page and in any order.

        S3 sorts by key, SeaweedFS directory by directory, a disk not at all: sort where it matters.
        """

    def delete(self, key: str) -> None:
        """Delete one key; a missing key is not an error."""

    def download(self, key: str, path: Path) -> None:
        """Write an object to a file, streaming, under a temporary name first."""

    def uri(self, key: str) -> str:
        """``s3://bucket/key``, with the prefix."""


@dataclass(frozen=True, slots=True)
class Place:
    """``s3://BUCKET/PREFIX`` or a folder, with its store open."""

    address: str
    store: ObjectStore
    own_prefix: str | None = None
    """In the project's own bucket, where not every object is a photo: the team's; else None."""

    @property
    def prefix(self) -> str:
        """Beginning of all keys below the address."""
        return prefix_of(self.address)[1]

    @property
    def uri(self) -> str:
        """The address with a slash at its end."""
        return self.store.uri(self.prefix)


def split_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/some/prefix`` → ``("bucket", "some/prefix")``; otherwise `ConfigError`."""
    # By hand: in a URL ``?`` and ``#`` end the path, in a key they are ordinary characters.
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not re.fullmatch(_BUCKET, bucket):
        raise ConfigError(f"{uri!r} is not an S3 address; expected s3://BUCKET/PREFIX")
    return bucket, key.lstrip("/")


def write_document(
    store: ObjectStore,
    key: str,
    value: BaseModel,
    *,
    if_absent: bool = False,
    if_token: str | None = None,
) -> str:
    """Store a value as JSON and return its change token; the conditions are those of `put`."""
    return store.put(
        key,
        to_json(value),
        content_type="application/json",
        if_absent=if_absent,
        if_token=if_token,
    )


def read_document(
    store: ObjectStore, key: str, kind: type[DocumentT], *, mend: str = _MEND
) -> DocumentT:
    """Read the value that `write_document` stored at `key`; a missing one is a `StorageError`.

    A document that this release cannot read is a `DocumentError`, which says how to `mend` it; a
    `NewerFormatError` if it is of a later format than this release knows.
    """
    return _parse(store.uri(key), store.get(key), kind, mend)


def find_document(
    store: ObjectStore, key: str, kind: type[DocumentT], *, mend: str = _MEND
) -> DocumentT | None:
    """Like `read_document`, but None when there is no such key."""
    body = store.find(key)
    return None if body is None else _parse(store.uri(key), body, kind, mend)


def _parse(uri: str, body: bytes, kind: type[DocumentT], mend: str) -> DocumentT:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        found, known = _format_in(body), kind.model_fields.get("format")
        if is_newer(found, known.default if known else None):
            reads = known.default if known else "the first one, which has no name"
            raise NewerFormatError(
                f"{uri} has the format {found}, and this release reads {reads}: it was written by "
                "a newer release; go on with that one"
            ) from error
        raise DocumentError(
            f"{uri} is damaged or was written by another release ({explain(error)}); {mend}"
        ) from error


def is_newer(found: object, known: str | None) -> bool:
    """Return whether a format is a later one than `known`: ``srgan-crops-2`` is so to ``-1``.

    None stands for the first format of documents that did not name theirs.
    """
    later = _FORMAT.fullmatch(found) if isinstance(found, str) else None
    if later is None:
        return False
    if known is None:
        return int(later["number"]) > 1
    ours = _FORMAT.fullmatch(known)
    assert ours is not None, known
    return later["name"] == ours["name"] and int(later["number"]) > int(ours["number"])


def _format_in(body: bytes) -> object:
    """Format that a document names; None if it names none or cannot be read."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document.get("format") if isinstance(document, dict) else None


def file_token(status: os.stat_result) -> str:
    """Change token of a file, of its size and modification time as make and rsync do."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def is_folder(address: str) -> bool:
    """True if an address is a folder on a disk; otherwise it is in S3."""
    return address.startswith("/")


def prefix_of(address: str) -> tuple[str, str]:
    """``s3://bucket/photos`` → ``("bucket", "photos/")``, which does not match ``photos2/``.

    The keys of a folder are absolute paths: ``/mnt/photos`` → ``("", "/mnt/photos/")``. Anything
    else is a `ConfigError`, also a relative path: a worker would look in another folder.
    """
    if is_folder(address):
        # POSIX keeps two slashes at the start.
        return "", f"{posixpath.normpath(address).rstrip('/')}/".replace("//", "/")
    try:
        bucket, path = split_uri(address)
    except ConfigError as error:
        raise ConfigError(
            f"{address!r} is neither s3://BUCKET/PREFIX nor the absolute path of a folder"
        ) from error
    path = path.rstrip("/")
    return bucket, f"{path}/" if path else ""
