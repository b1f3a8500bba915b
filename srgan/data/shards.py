"""Shards: immutable files of crops, named by their SHA-256, and their cache as local ``.npy``."""

import fcntl
import hashlib
import io
import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from srgan.data.manifest import Shard, put_once
from srgan.data.tables import CropSpan
from srgan.disk import write_atomically
from srgan.errors import ConfigError, StorageError
from srgan.keys import packed_shard_key, shard_key
from srgan.readable import size
from srgan.storage import ObjectStore

log = logging.getLogger(__name__)

PARALLEL = 8
"""Shards that are fetched at the same time."""
_ZSTD_LEVEL = 1

Owner = str | CropSpan
"""Owner of crops: a photo, by its pixels, or a span that moves."""


class ShardWriter:
    """Collects rows and stores a shard whenever one is full; holds one shard in memory.

    A row is a crop (P, P, 3) or a pair (`crops.join_pair`); all have the shape `row`.
    """

    def __init__(
        self,
        store: ObjectStore,
        dataset: str,
        row: tuple[int, ...],
        shard_bytes: int,
        *,
        packed: bool = False,
    ) -> None:
        self._store = store
        self._dataset = dataset
        self._packed = packed
        self._shape = (max(1, shard_bytes // math.prod(row)), *row)
        self._buffer: NDArray[np.uint8] | None = None
        self._owners: list[Owner] = []
        self.shards: list[Shard] = []
        self.spans: dict[Owner, list[CropSpan]] = {}
        """Places of each owner's crops, in the order they were added."""

    def add(self, owner: Owner, crops: Iterable[NDArray[np.uint8]]) -> None:
        """Append the crops or pairs of one owner, without the first ones that are stored."""
        num_stored = sum(span.num_crops for span in self.spans.get(owner, ()))
        for crop in islice(crops, num_stored, None):
            if self._buffer is None:
                self._buffer = np.empty(self._shape, np.uint8)
            self._buffer[len(self._owners)] = crop
            self._owners.append(owner)
            if len(self._owners) == len(self._buffer):
                self.flush()

    def drop(self, owner: Owner) -> None:
        """Forget the crops of an owner; those that are stored remain in their shards, unused."""
        self.spans.pop(owner, None)
        kept = [row for row, each in enumerate(self._owners) if each != owner]
        if self._buffer is not None:
            self._buffer[: len(kept)] = self._buffer[kept]
        self._owners = [self._owners[row] for row in kept]

    @property
    def waiting(self) -> set[Owner]:
        """Owners of crops that are not stored yet."""
        return set(self._owners)

    def flush(self) -> None:
        """Store the collected crops, if there are any."""
        if self._buffer is None or not self._owners:
            return
        shard = self._put(self._buffer[: len(self._owners)])
        sha256 = shard.sha256
        self.shards.append(shard)
        first = 0
        for row, owner in enumerate(self._owners):
            if row + 1 == len(self._owners) or self._owners[row + 1] != owner:
                self.spans.setdefault(owner, []).append(CropSpan(sha256, first, row + 1 - first))
                first = row + 1
        self._owners = []

    def _put(self, rows: NDArray[np.uint8]) -> Shard:
        file = io.BytesIO()
        np.save(file, rows)
        data, key, unpacked_bytes = file.getvalue(), shard_key, None
        if self._packed:
            data, key, unpacked_bytes = pack(rows), packed_shard_key, len(data)
        return Shard(
            sha256=put_once(self._store, lambda sha256: key(self._dataset, sha256), data),
            num_crops=len(rows),
            size_bytes=len(data),
            unpacked_bytes=unpacked_bytes,
        )


def read_shard(store: ObjectStore, dataset: str, shard: Shard) -> NDArray[np.uint8]:
    """All rows of a shard in memory; an altered one is a `StorageError`."""
    key = shard.key(dataset)
    data = store.get(key)
    if hashlib.sha256(data).hexdigest() != shard.sha256:
        raise _altered(store, key)
    if shard.unpacked_bytes is not None:
        return unpack(data)
    crops: NDArray[np.uint8] = np.load(io.BytesIO(data), allow_pickle=False)
    return crops


class ShardCache:
    """Shards on the local disk, shared by all processes of a node and bounded in bytes.

    An open shard holds a shared file lock for exactly as long as its memory map lives; only shards
    without a lock are evicted, least recently used first. All locks end with their process.
    """

    def __init__(self, store: ObjectStore, directory: Path, max_bytes: int) -> None:
        self._store = store
        self._directory = directory
        self._max_bytes = max_bytes
        self._unpacking = Lock()

    def check_room(self, num_bytes: int, advice: str) -> None:
        """Raise `ConfigError` with the `advice` if shards of that size never fit in together."""
        if num_bytes > self._max_bytes:
            raise ConfigError(
                f"{num_bytes:,} bytes of shards are needed at a time, but the shard cache "
                f"{self._directory} is bounded to {self._max_bytes:,}; "
                f"raise SRGAN_CACHE_BYTES{advice}"
            )

    def open(self, dataset: str, shards: Sequence[Shard]) -> list[NDArray[np.uint8]]:
        """Memory-mapped shards, read-only; missing ones are fetched in parallel.

        Raises `ConfigError` when they do not fit, `StorageError` when one is missing or altered.
        """
        self.check_room(sum(shard.npy_bytes for shard in shards), "")
        missing = [shard for shard in shards if not self._is_present(shard)]
        if missing:
            num_bytes = sum(shard.size_bytes for shard in missing)
            log.info("fetching %d shards of %s, %s", len(missing), dataset, size(num_bytes))
        return self.fetch(dataset, shards)

    def fetch(self, dataset: str, shards: Sequence[Shard]) -> list[NDArray[np.uint8]]:
        """Like `open`, for a few of many shards, and without a line in the log."""
        with self._lock():
            present = [shard for shard in shards if self._is_present(shard)]
            arrays = {shard.sha256: self._map(shard) for shard in present}
            missing = [shard for shard in shards if shard.sha256 not in arrays]
            if missing:
                self._make_room(sum(shard.npy_bytes for shard in missing))
                self._fetch_all(dataset, missing)
                arrays |= {shard.sha256: self._map(shard) for shard in missing}
        return [arrays[shard.sha256] for shard in shards]

    def set_aside(self, shard: Shard) -> None:
        """Delete this shard before others when room is needed."""
        with suppress(FileNotFoundError):
            os.utime(self._path(shard), (0, 0))

    def _path(self, shard: Shard) -> Path:
        return self._directory / f"{shard.sha256}.npy"

    def _is_present(self, shard: Shard) -> bool:
        try:
            return self._path(shard).stat().st_size == shard.npy_bytes
        except FileNotFoundError:
            return False

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One process at a time fetches and evicts; the others then find what they need."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / "lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _map(self, shard: Shard) -> NDArray[np.uint8]:
        path = self._path(shard)
        with path.open("rb") as file:
            os.utime(file.fileno())
            # The map keeps a duplicate of this descriptor and with it the lock.
            fcntl.flock(file, fcntl.LOCK_SH)
            version = np.lib.format.read_magic(file)
            assert version == (1, 0), f"{path} has npy version {version}"
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
            assert dtype == np.uint8, f"{path} holds {dtype}"
            assert not fortran_order, f"{path} is not in C order"
            return np.asarray(np.memmap(file, dtype, "r", file.tell(), shape))

    def _make_room(self, needed: int) -> None:
        for partial in self._directory.glob(".*.part"):
            partial.unlink()  # left by a process that died: we hold the lock
        files = [(path, path.stat()) for path in self._directory.glob("*.npy")]
        total = needed + sum(stat.st_size for _, stat in files)
        for path, stat in sorted(files, key=lambda entry: entry[1].st_mtime_ns):
            if total <= self._max_bytes:
                return
            if _unlink_unless_open(path):
                total -= stat.st_size
        if total > self._max_bytes:
            raise ConfigError(
                f"the shard cache {self._directory} would hold {total:,} bytes that are in use, "
                f"but is bounded to {self._max_bytes:,}; raise SRGAN_CACHE_BYTES"
            )

    def _fetch_all(self, dataset: str, shards: list[Shard]) -> None:
        with ThreadPoolExecutor(PARALLEL) as pool:
            for _ in pool.map(lambda shard: self._fetch(dataset, shard), shards):
                pass

    def _fetch(self, dataset: str, shard: Shard) -> None:
        key = shard.key(dataset)
        with write_atomically(self._path(shard)) as draft:
            self._download(key, draft)
            with draft.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
                    raise _altered(self._store, key)
            if shard.unpacked_bytes is not None:
                with self._unpacking:  # one at a time, because it takes four shards of memory
                    crops = unpack(draft.read_bytes())
                    with draft.open("wb") as file:
                        np.save(file, crops)
            with draft.open("rb") as file:
                # Without this a power cut can leave the name without the bytes.
                os.fsync(file.fileno())

    def _download(self, key: str, draft: Path) -> None:
        try:
            self._store.download(key, draft)
        except StorageError as error:
            if self._store.head(key) is not None:
                raise
            raise StorageError(
                f"{self._store.uri(key)} is gone, a shard of crops; prepare the dataset again"
            ) from error


def _unlink_unless_open(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        path.unlink()
        return True


def _altered(store: ObjectStore, key: str) -> StorageError:
    return StorageError(f"{store.uri(key)} was altered; delete it and prepare the dataset again")


def pack(crops: NDArray[np.uint8]) -> bytes:
    """Pack uint8 (N, P, P, 3) without loss: a line of JSON with the shape, then a frame of zstd.

    Each pixel becomes its difference with the one above, red and blue after green was taken away
    from them. In photographs these are small numbers, of which zstd makes about half of what it
    makes of pixels (``python benchmarks/shards.py``). They wrap around at 256, and so do their
    sums.
    """
    rows = crops.transpose(1, 3, 0, 2).copy()
    rows[:, ::2] -= rows[:, 1:2]
    rows[1:] -= rows[:-1].copy()
    packed: bytes = _codec().compress(rows, asbytes=True)
    return json.dumps({"shape": crops.shape}).encode() + b"\n" + packed


def unpack(data: bytes) -> NDArray[np.uint8]:
    """The crops that `pack` packed; `StorageError` if these bytes did not come from it."""
    line, _, packed = data.partition(b"\n")
    try:
        num_crops, side, _, num_colours = json.loads(line)["shape"]
        values = _codec().decompress(packed, num_crops * side * side * num_colours)
    except (ValueError, KeyError, OSError) as error:
        raise StorageError(f"the crops are not packed as they should be: {error}") from error
    rows = np.frombuffer(values, np.uint8).reshape(side, num_colours, num_crops, side).copy()
    # Row by row: `np.add.accumulate` does the same at half the speed.
    for y in range(1, side):
        rows[y] += rows[y - 1]
    rows[:, ::2] += rows[:, 1:2]
    return np.ascontiguousarray(rows.transpose(2, 0, 3, 1))


def _codec() -> pa.Codec:
    return pa.Codec("zstd", compression_level=_ZSTD_LEVEL)
