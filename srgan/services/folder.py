"""A folder on this machine's disks as an `ObjectStore`, and the store of any address.

Keys are absolute paths, so that they mean the same to every machine that sees the folder. Files
cannot hold the metadata of objects, so it lies below ``<folder>/_srgan/objects/``.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from srgan.disk import write_atomically
from srgan.errors import ClusterError, ConflictError, StorageError
from srgan.images.entries import NOT_A_FILE, explain
from srgan.keys import lock_key, objects_folder, prefix_of_team, unfinished_folder
from srgan.settings import Settings
from srgan.storage import ObjectInfo, Place, file_token, is_folder, prefix_of

_UNUSABLE = ("", ".", "..")
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}
"""Errors of `os.link` on disks without hard links, such as FAT and some shares."""


class FolderStore:
    """Files below one folder. Safe for many threads and processes.

    Change tokens are made of size and modification time, as make and rsync do. Links to files are
    followed, links to folders are not. What cannot be read is listed with its problem: links that
    lead nowhere, pipes, sockets, devices, and folders that must not be listed.
    """

    bucket, prefix = "", ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._below = f"{str(folder).rstrip('/')}/"
        self._objects = Path(objects_folder(self._below))

    def uri(self, key: str) -> str:
        return key

    def get(self, key: str) -> bytes:
        data = self.find(key)
        if data is None:
            raise StorageError(f"{key} does not exist")
        return data

    def find(self, key: str) -> bytes | None:
        return self.beginning(key, -1)

    def beginning(self, key: str, num_bytes: int) -> bytes | None:
        with self._naming(key, "read"):
            try:
                # Non-blocking, because a pipe would wait for its other end, perhaps for ever.
                file = os.open(self._path(key), os.O_RDONLY | os.O_NONBLOCK)
            except (FileNotFoundError, NotADirectoryError):
                return None
            with os.fdopen(file, "rb") as stream:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    return None
                return stream.read(num_bytes)

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
        target = self._path(key)
        unfinished = self._unfinished()
        with self._naming(key, "write"):
            try:
                with unfinished.open("wb") as file:
                    if isinstance(body, bytes):
                        file.write(body)
                    else:
                        shutil.copyfileobj(body, file)
                    file.flush()
                    os.fsync(file.fileno())
                # The system's own stamps have steps of milliseconds, in which two writers meet.
                os.utime(unfinished, ns=(time.time_ns(), time.time_ns()))
                token = file_token(unfinished.stat())
                before = _token(target)
                target.parent.mkdir(parents=True, exist_ok=True)
                if metadata:
                    self.describe(key, unfinished, metadata)
                try:
                    self._publish(key, unfinished, if_absent=if_absent, if_token=if_token)
                except (OSError, StorageError):
                    if _token(target) != token:
                        self._description(key, token).unlink(missing_ok=True)
                    raise
                if before is not None:
                    self._forget(key, before)
            finally:
                unfinished.unlink(missing_ok=True)
        return token

    def describe(self, key: str, file: Path, metadata: Mapping[str, str]) -> None:
        """Store metadata for the moment when `file` is renamed to `key`.

        It lies under the token that the object will have then, so the metadata of the object that
        is there until then stays, and writers of one key do not meet.
        """
        path = self._description(key, file_token(file.stat()))
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._unfinished()
        try:
            draft.write_text(json.dumps({"metadata": dict(metadata)}))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def head(self, key: str) -> ObjectInfo | None:
        with self._naming(key, "look up"):
            return _info(key, self._path(key))

    def metadata(self, key: str) -> dict[str, str]:
        info = self.head(key)
        while info is not None:
            with self._naming(key, "look up"):
                found = self._described(key, info.token)
            again = info if found else self.head(key)
            if again == info:
                return found
            info = again  # replaced in between, and the description with it
        raise StorageError(f"{key} does not exist")

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder, _, _ = prefix.rpartition("/")
        with self._naming(prefix, "list"):
            for info in self._walk(Path(folder or "/")):
                if info.key.startswith(prefix):
                    yield info

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._naming(key, "delete"):
            before = _token(path)
            path.unlink(missing_ok=True)
            if before is not None:
                self._forget(key, before)

    def download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._naming(key, "read"), write_atomically(path) as draft:
            shutil.copyfile(self._path(key), draft)

    def _path(self, key: str) -> Path:
        relative = key.removeprefix(self._below)
        if not key.startswith(self._below) or any(p in _UNUSABLE for p in relative.split("/")):
            raise StorageError(f"{key!r} is not a file below {self._folder}")
        return Path(key)

    def _unfinished(self) -> Path:
        folder = Path(unfinished_folder(self._below))
        folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid.uuid4().hex

    def _description(self, key: str, token: str = "") -> Path:
        """Path of the metadata of an object; without a token, that of earlier releases."""
        name = hashlib.sha256(os.fsencode(key.removeprefix(self._below))).hexdigest()
        return self._objects / name[:2] / (f"{name}.{token}.json" if token else f"{name}.json")

    def _described(self, key: str, token: str) -> dict[str, str]:
        """Metadata of the object that has this token; empty without any."""
        with suppress(FileNotFoundError):
            return dict(json.loads(self._description(key, token).read_bytes())["metadata"])
        with suppress(FileNotFoundError):
            described = json.loads(self._description(key).read_bytes())
            return dict(described["metadata"]) if described["token"] == token else {}
        return {}

    def _forget(self, key: str, token: str) -> None:
        """Delete the metadata of an object that is not there any more."""
        self._description(key, token).unlink(missing_ok=True)
        self._description(key).unlink(missing_ok=True)

    def _publish(
        self, key: str, unfinished: Path, *, if_absent: bool, if_token: str | None
    ) -> None:
        if if_absent:
            self._create(key, unfinished)
        elif if_token is not None:
            self._exchange(key, unfinished, if_token)
        else:
            unfinished.replace(self._path(key))

    def _create(self, key: str, unfinished: Path) -> None:
        """Give a file its name unless there is something of that name, without a lock."""
        try:
            os.link(unfinished, self._path(key))
        except FileExistsError:
            self._expect(key, None)
            raise  # a folder, pipe or device, or deleted again
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            self._exchange(key, unfinished, None)

    def _exchange(self, key: str, unfinished: Path, token: str | None) -> None:
        """Replace the file that has this token. One at a time, because no disk does it at once."""
        lock = Path(lock_key(self._below))
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._expect(key, token)
            unfinished.replace(self._path(key))

    def _expect(self, key: str, token: str | None) -> None:
        info = _info(key, self._path(key))
        if (info.token if info else None) != token:
            raise ConflictError(
                f"cannot write {key}: somebody else wrote it first; read it again and decide again"
            )

    def _walk(self, top: Path) -> Iterator[ObjectInfo]:
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            if folder == self._objects:
                continue
            try:
                # Read whole before it is used, because callers may delete the files.
                entries = list(os.scandir(folder))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if folder == top:
                    raise
                problem = f"unreadable: the folder cannot be listed: {error.strerror or error}"
                yield ObjectInfo(f"{_printable(folder)}/", "", 0, problem=problem)
                continue
            for entry in entries:
                path = folder / entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif info := _listed(path):
                    yield info

    @contextmanager
    def _naming(self, key: str, verb: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise StorageError(f"{key} does not exist") from error
        except OSError as error:
            raise StorageError(f"cannot {verb} {key}: {error.strerror or error}") from error


def _printable(path: Path) -> str:
    """Escape names that are not UTF-8 with backslashes, which are refused in outputs."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _info(key: str, path: Path) -> ObjectInfo | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():  # not a free place
            raise StorageError(f"{key} is a link to a file that is not there") from None
        return None
    return _regular(key, status)


def _token(path: Path) -> str | None:
    """Change token of what is there; None if nothing is."""
    try:
        return file_token(path.stat())
    except OSError:
        return None


def _regular(key: str, status: os.stat_result) -> ObjectInfo | None:
    is_file = stat.S_ISREG(status.st_mode)
    if not is_file:
        return None
    return ObjectInfo(key, file_token(status), status.st_size, status.st_mtime)


def _listed(path: Path) -> ObjectInfo | None:
    """Entry of a listing; None for a link to a folder, and for a file that is gone again."""
    key = _printable(path)
    try:
        status = path.stat()
    except OSError as error:
        if not path.is_symlink() and isinstance(error, FileNotFoundError):
            return None
        return ObjectInfo(key, "", 0, problem=f"unreadable: {explain(path, error)}")
    if stat.S_ISDIR(status.st_mode):
        return None
    return _regular(key, status) or ObjectInfo(key, "", 0, problem=f"unreadable: {NOT_A_FILE}")


def open_place(settings: Settings, address: str) -> Place:
    """Open ``s3://BUCKET/PREFIX`` or ``/a/folder``; `ConfigError` for anything else."""
    bucket, prefix = prefix_of(address)
    if is_folder(address):
        return Place(address, FolderStore(Path(prefix)))
    # Imports boto3, which costs seconds; who works on folders alone does not pay them.
    from srgan.services.s3 import open_store

    own = prefix_of_team(settings.team) if bucket == settings.bucket else None
    return Place(address, open_store(settings, bucket), own_prefix=own)


def require_visible(place: Place, *, machine: str) -> None:
    """Raise `ClusterError` if the place is a folder that this machine does not see."""
    if is_folder(place.address) and not Path(place.prefix).is_dir():
        raise ClusterError(
            f"{machine} does not see the folder {place.address}: local folders have to be on a "
            "disk that the flow and every Ray node share under the same path; otherwise use S3"
        )
