"""One batch of a bulk run: reading, upscaling and writing overlap, one bad image is passed by.

Reader threads fetch and decode ahead, the calling thread alone runs the network, writer threads
encode and store behind it. A key's row is made after its output is whole; the batch's part of the
records is published after all of them. Killed anywhere and run again, a batch recognises finished
outputs by their metadata.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from queue import SimpleQueue
from typing import Protocol

from srgan.config import UpscaleConfig
from srgan.errors import PASSED_BY, ConflictError, ImageError, StorageError
from srgan.images import Photo
from srgan.images.rows import encode_into
from srgan.images.spool import SpooledPhoto
from srgan.storage import ObjectStore
from srgan.upscale.decoders import Decode
from srgan.upscale.file_size import check_file_size
from srgan.upscale.gate import Gate
from srgan.upscale.job import Job
from srgan.upscale.join import Item
from srgan.upscale.names import metadata_key, reroute_suffix
from srgan.upscale.records import Record, Stamp, from_parquet, to_parquet
from srgan.upscale.sizing import Sizing
from srgan.upscale.target import target_format

NUM_READERS = 3
"""Images that are read and decoded at once."""
_WRITERS = 2
_SOURCE = "srgan-source"
"""Metadata of an output: the key of its source."""
_PAUSES_S = (1.0, 5.0, 15.0, 30.0)
"""Before keys that storage failed on are tried again; the client itself repeats for seconds."""
_MEMORY_BYTES = 2**30
"""Bound of decoded and upscaled pixels that wait for their turn; a larger image goes alone."""


class Upscaler(Protocol):
    """What `srgan.upscale.engine.Engine` is to a batch."""

    scale: int

    def upscale_photo(self, photo: Photo) -> Photo:
        """The photo `scale` times as wide and high, its mode and metadata kept."""

    def held_bytes(self, photo: Photo) -> int:
        """Memory that a photo and its result take until that is encoded."""


class Batch:
    """The stages of one batch and what they share."""

    def __init__(
        self,
        source: ObjectStore,
        destination: ObjectStore,
        engine: Upscaler,
        *,
        decode: Decode,
        stamp: Stamp,
        config: UpscaleConfig,
        progress: Callable[[Record], None] = lambda _: None,
        sample: Callable[[Item, Photo, Photo], None] = lambda item, before, after: None,
    ) -> None:
        self._source = source
        self._destination = destination
        self._engine = engine
        self._decode = decode
        self._stamp = stamp
        self._config = config
        self._sizing = Sizing(engine.scale, scale=config.scale, size=config.size)
        self._progress = progress
        self._sample = sample

    def run(self, items: Sequence[Item], records_key: str) -> list[Record]:
        """Upscale every item and publish the rows under `records_key`; rows in key order.

        Rows that are already published are returned as they are. Keys that storage failed on are
        tried again at the end, with growing pauses while the store is away, so that a minute of
        that costs no image; `StorageError` when the rows themselves cannot be written.
        """
        published = self._destination.find(records_key)
        if published is not None:
            return from_parquet(published, self._destination.uri(records_key))
        rows = {row.source_key: row for row in self._pass(items)}
        for pause_s in _PAUSES_S:
            lost = [item for item in items if rows[item.key].error == StorageError.__name__]
            if not lost:
                break
            if not self._stores_answer(lost[0], records_key):
                time.sleep(pause_s)
            rows |= {row.source_key: row for row in self._pass(lost)}
        records = [rows[item.key] for item in items]
        try:
            self._destination.put(records_key, to_parquet(records), if_absent=True)
        except ConflictError:
            # Another attempt of this very batch was alive after all; its rows are as true.
            return from_parquet(self._destination.get(records_key), records_key)
        return records

    def _stores_answer(self, item: Item, records_key: str) -> bool:
        """Whether waiting is of no use, since it is a single key that cannot be had or written."""
        try:
            self._source.head(item.key)
            self._destination.head(records_key)
        except StorageError:
            return False
        return True

    def _pass(self, items: Sequence[Item]) -> list[Record]:
        loaded: SimpleQueue[Job] = SimpleQueue()
        finished: SimpleQueue[Job] = SimpleQueue()
        gate = Gate(_MEMORY_BYTES)
        with (
            ThreadPoolExecutor(NUM_READERS, "read") as readers,
            ThreadPoolExecutor(_WRITERS, "write") as writers,
        ):
            try:
                for item in items:
                    readers.submit(self._load, Job(item, item.output), gate, loaded)
                rows: list[Record] = []
                for _ in items:
                    job = loaded.get()
                    self._upscale(job)
                    writers.submit(self._store, job, gate, finished)
                    while not finished.empty():
                        rows.append(self._row(finished.get()))
                while len(rows) < len(items):
                    rows.append(self._row(finished.get()))
                return rows
            except BaseException:
                gate.close()
                readers.shutdown(wait=False, cancel_futures=True)
                writers.shutdown(wait=False, cancel_futures=True)
                raise

    def _load(self, job: Job, gate: Gate, loaded: "SimpleQueue[Job]") -> None:
        try:
            if not self._is_there(job):
                check_file_size(job.item.size_bytes, self._config.max_pixels)
                with job.timed("read"):
                    data = self._source.find(job.item.key)
                if data is None:
                    raise ImageError("missing", "deleted after the run was planned")
                with job.timed("decode"):
                    photo = self._decode(data, max_pixels=self._config.max_pixels)
                if self._is_wanted(job, photo):
                    job.photo = photo
                    job.memory_bytes = self._engine.held_bytes(photo)
                    gate.enter(job.memory_bytes)
        except BaseException as error:  # handed to the thread that makes the row or raises it
            job.photo, job.error = None, error
        loaded.put(job)

    def _is_there(self, job: Job) -> bool:
        """Whether an attempt that was killed, or a run without records, made the output.

        `ImageError` (``occupied``) for an object that is no output of this source: perhaps
        somebody's only copy.
        """
        info = self._destination.head(job.key)
        if info is None:
            return False
        found, wanted = self._destination.metadata(job.key), self._metadata(job.item)
        if found.get(_SOURCE) != wanted[_SOURCE]:
            raise ImageError(
                "occupied",
                f"{self._destination.uri(job.key)} is there and was not made of this source; move "
                "it away, or choose another destination",
            )
        if not wanted.items() <= found.items():
            return False
        job.facts |= {"destination_token": info.token, "destination_bytes": info.size_bytes}
        return True

    def _is_wanted(self, job: Job, photo: Photo) -> bool:
        """Decide on the output; False when it has to go under another key and is there."""
        chosen = self._config.output_format
        wanted = photo.format if chosen == "same" else chosen
        job.format = target_format(photo, wanted, self._config.oversize, self._sizing)
        if job.format == wanted:
            return True
        job.key = job.item.output + reroute_suffix(self._config.oversize)
        return not self._is_there(job)

    def _upscale(self, job: Job) -> None:
        if job.photo is None:
            return
        try:
            with job.timed("upscale"):
                result = self._engine.upscale_photo(job.photo)
                job.output = self._sizing.fitted(result, job.photo)
            self._sample(job.item, job.photo, job.output)
        except PASSED_BY as error:
            job.error = error
        job.photo = None

    def _store(self, job: Job, gate: Gate, finished: "SimpleQueue[Job]") -> None:
        try:
            if job.output is not None:
                self._write(job, job.output)
        except BaseException as error:  # as in `_load`
            job.error = error
        finally:
            job.output = None
            gate.leave(job.memory_bytes)
        finished.put(job)

    def _write(self, job: Job, photo: Photo) -> None:
        # Where pixels are in a file, the output is too.
        on_disk = isinstance(photo, SpooledPhoto)
        with tempfile.TemporaryFile() if on_disk else BytesIO() as file:
            with job.timed("encode"):
                encode_into(
                    file,
                    photo,
                    format=job.format,
                    jpeg_quality=self._config.jpeg_quality,
                    jpeg_subsampling=self._config.jpeg_subsampling,
                )
                num_bytes = file.tell()
                file.seek(0)
            with job.timed("write"):
                token = self._destination.put(
                    job.key,
                    file,
                    metadata=self._metadata(job.item),
                    content_type=f"image/{job.format}",
                )
        height, width = photo.pixels.shape[:2]
        job.facts |= {"destination_token": token, "destination_bytes": num_bytes}
        job.facts |= {"width": width, "height": height}

    def _metadata(self, item: Item) -> dict[str, str]:
        return {
            _SOURCE: metadata_key(item.key),
            "srgan-source-token": item.token,
            "srgan-model": self._stamp.model,
            "srgan-config": self._stamp.config_digest,
        }

    def _row(self, job: Job) -> Record:
        row = job.record(self._stamp)
        self._progress(row)
        return row
