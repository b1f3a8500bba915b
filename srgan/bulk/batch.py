"""One batch of a bulk run: reading, upscaling and writing overlap; bad images are only recorded.

Reader threads fetch and decode ahead, the calling thread alone runs the network, writer threads
encode and store behind it. A row is made when its output is whole, and the rows of the batch are
published when all of them are. Killed at any time and run again, a batch recognises finished
outputs by their metadata.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import zip_longest
from queue import SimpleQueue
from typing import Protocol

from srgan.bulk.attempt import BatchAttempt
from srgan.bulk.budgets import Budget
from srgan.bulk.decoders import Decode
from srgan.bulk.in_flight import InFlight, is_of_image, photos_of
from srgan.bulk.join import Item
from srgan.bulk.names import rerouted
from srgan.bulk.outputs import Outputs
from srgan.bulk.progress import Finished
from srgan.bulk.records import NOT_A_PHOTO, Record, from_parquet, to_parquet
from srgan.bulk.run import BulkRun
from srgan.bulk.sizing import Sizing, target_format
from srgan.config.upscale import WAITING_BYTES_PER_CPU
from srgan.errors import PASSED_BY, ConflictError, ImageError, StorageError
from srgan.images import Photo
from srgan.images.codecs.libvips import use_threads
from srgan.images.entries import BEGINNING_BYTES, check_file_size, holds_photo, kind_of
from srgan.images.statistics import statistics_of
from srgan.inference.device import whole_device
from srgan.keys import batch_progress_key, records_key
from srgan.refs import to_json

logger = logging.getLogger(__name__)

_PAUSES_S = (1.0, 5.0, 15.0, 30.0)
"""Before keys whose storage failed are tried again; the client itself repeats for seconds."""
_CHOICE = 64
"""Images among which the engine chooses those that it computes at once."""
SPOOLED_BYTES_PER_CPU = 5 * 2**28
"""Most bytes of results that are on the disk in a worker, for each of its CPUs; a larger one is
there alone.

A GPU computes faster than CPUs encode, so that without a bound most of a batch would lie there.
The result ×4 of a phone's photo of 12 megapixels and the file that is made of it take 1.1 GiB, so
each CPU can encode one, and with 8 CPUs the next one is computed meanwhile.
"""
_SPOOLED_COPIES = 2
"""Copies of a result on the disk: its pixels, and those in another size or the encoded file."""


def num_readers(num_cpus: int) -> int:
    """Images that are read and decoded at once: some of them wait for the store."""
    return num_cpus + 2


class Upscaler(Protocol):
    """The part of `Engine` that a batch uses."""

    scale: int

    def upscale_photo(self, photo: Photo) -> Photo:
        """The photo `scale` times as wide and high, its mode and metadata kept."""

    def together(self, photos: Sequence[Photo]) -> list[int]:
        """Indices of the photos that it would compute at once; the first is always one of them."""

    def upscale_photos(self, photos: Sequence[Photo]) -> list[Photo]:
        """Results of `upscale_photo`, up to rounding; an error may be that of any photo."""

    def held_bytes(self, photo: Photo) -> int:
        """Memory that a photo and its result take until the result is encoded."""

    def is_spooled(self, photo: Photo) -> bool:
        """True if the result of a photo goes to the disk."""


class BatchPipeline:
    """The stages of one batch and what they share."""

    def __init__(
        self,
        run: BulkRun,
        engine: Upscaler,
        decode: Decode,
        *,
        num_cpus: int = 1,
        waiting_bytes: int = WAITING_BYTES_PER_CPU,
        progress: Callable[[Record], None] = lambda _: None,
        sample: Callable[[Item, Photo, Photo], None] = lambda item, before, after: None,
        attempt: BatchAttempt = BatchAttempt(),  # noqa: B008  # frozen
        in_work: Callable[[str], None] | None = None,
    ) -> None:
        """`num_cpus` decides how many images are read and written at once.

        `in_work` is told the key of each image before it is read, if they go one at a time.

        Those that wait, and their results, take `waiting_bytes`; one that needs more waits alone.
        Results on the disk take `SPOOLED_BYTES_PER_CPU` there.
        Each is encoded by one thread of libvips, because there is a writer for each CPU.
        """
        use_threads(1)
        self._run = run
        self._source = run.source.store
        self._destination = run.destination.store
        self._engine = engine
        self._decode = decode
        self._num_cpus = num_cpus
        self._waiting_bytes = waiting_bytes
        self._disk = Budget(SPOOLED_BYTES_PER_CPU * num_cpus)
        self._outputs = Outputs(run)
        self._config = run.config
        self._sizing = Sizing(engine.scale, scale=run.config.scale, size=run.config.size)
        self._progress = progress
        self._sample = sample
        self._attempt = attempt
        self._is_begun = attempt.number > 1
        self._in_work = in_work

    def run(self, number: int, items: Sequence[Item]) -> list[Record]:
        """Upscale every item and publish the rows as those of batch `number`; rows in key order.

        Rows that are already published are returned as they are. Keys whose storage failed are
        tried again at the end, with growing pauses while a store is away or takes nothing, so that
        a minute of that costs no image. `StorageError` when the rows themselves cannot be written.
        """
        key = records_key(self._run.destination.address, self._run.name, number)
        published = self._destination.find(key)
        if published is not None:
            return from_parquet(published, self._destination.uri(key))
        self._is_begun |= self._destination.find(self._progress_key(number)) is not None
        made = self._pass(items)
        self._is_begun = True
        rows = {row.source_key: row for row in made}
        for turn, pause_s in enumerate(_PAUSES_S):
            lost = [item for item in items if _is_lost(rows[item.key])]
            if not lost:
                break
            refuses = _is_refused(made)
            if refuses or not self._stores_answer(lost[0], number):
                time.sleep(pause_s)
                if not self._stores_answer(lost[0], number):
                    continue
            # A disk that is nearly full takes what is small, and no output. To compute all images
            # again would cost hours, so one tells whether outputs are taken, each time another.
            first = turn % len(lost)
            made = self._pass([lost.pop(first)]) if refuses else []
            if not _is_refused(made):
                made += self._pass(lost)
            rows |= {row.source_key: row for row in made}
        records = [rows[item.key] for item in items]
        for record in filter(_is_lost, records):
            self._progress(record)
        try:
            self._destination.put(key, to_parquet(records), if_absent=True)
        except ConflictError:
            # Another attempt of this batch was alive after all; its rows are just as valid.
            return from_parquet(self._destination.get(key), key)
        return records

    def _stores_answer(self, item: Item, number: int) -> bool:
        """True if the source answers and the destination takes what is small.

        Then waiting is useless, unless it takes no outputs: single keys cannot be read or written.
        """
        key = self._progress_key(number)
        try:
            self._source.head(item.key)
            self._destination.put(key, self._destination.find(key) or to_json(Finished()))
        except StorageError:
            return False
        return True

    def _progress_key(self, number: int) -> str:
        return batch_progress_key(self._run.destination.address, self._run.name, number)

    def _pass(self, items: Sequence[Item]) -> list[Record]:
        loaded: SimpleQueue[InFlight] = SimpleQueue()
        finished: SimpleQueue[InFlight] = SimpleQueue()
        # Photos that readers have decoded and that are not let in yet come on top, one for each. To
        # count them before they are decoded, a decoder would have to be sent each file twice.
        budget = Budget(0 if self._attempt.is_alone else self._waiting_bytes)
        with (
            ThreadPoolExecutor(num_readers(self._num_cpus), "read") as readers,
            ThreadPoolExecutor(self._num_cpus + 1, "write") as writers,
        ):
            try:
                for item in items:
                    image = InFlight.of(item, self._run.stamp)
                    readers.submit(self._load, image, budget, loaded)
                rows: list[Record] = []
                for images in self._groups(loaded, len(items)):
                    # One by one: the next may wait until this one has left the disk.
                    for image in self._upscaled(images):
                        writers.submit(self._store, image, budget, finished)
                    while not finished.empty():
                        rows.append(self._row(finished.get()))
                while len(rows) < len(items):
                    rows.append(self._row(finished.get()))
                return rows
            except BaseException:
                budget.close()
                readers.shutdown(wait=False, cancel_futures=True)
                writers.shutdown(wait=False, cancel_futures=True)
                raise

    def _load(self, image: InFlight, budget: Budget, loaded: SimpleQueue[InFlight]) -> None:
        try:
            if self._passes_over(image.item):
                image.note(outcome="passed_over", destination_key="", reason=NOT_A_PHOTO)
            elif not self._is_made(image):
                self._begin(image, budget)
                check_file_size(image.item.size_bytes, self._config.max_pixels)
                with image.timed("read"):
                    data = self._source.find(image.item.key)
                if data is None:
                    raise ImageError("missing", "deleted after the run was planned")
                with image.timed("decode"):
                    photo = self._decode(
                        data, max_pixels=self._config.max_pixels, salvage=self._config.salvage
                    )
                self._measure(image, photo, data)
                if self._is_wanted(image, photo):
                    image.photo = photo
                    if not self._attempt.is_alone:
                        image.memory_bytes = self._engine.held_bytes(photo)
                        budget.take(image.memory_bytes)
        except BaseException as error:  # handed to the thread that makes the row or raises it
            image.photo, image.error = None, error
        loaded.put(image)

    def _begin(self, image: InFlight, budget: Budget) -> None:
        """Refuse an image that ends its process; wait until no other is in work if it goes alone.

        Outputs that are there do not wait, because only looking for them is safe.
        """
        if image.item.key in self._attempt.killers:
            raise ImageError("crashed", "the worker's process ended with only this image in work")
        if self._attempt.is_alone:
            image.memory_bytes = 1  # a budget of 0 lets one in at a time, until its bytes are back
            budget.take(image.memory_bytes)
            if self._in_work:
                self._in_work(image.item.key)

    def _passes_over(self, item: Item) -> bool:
        """True if the name says nothing and the first bytes are not those of a photo."""
        if kind_of(item.key[len(self._run.source.prefix) :]) != "unknown":
            return False
        if not item.size_bytes:
            return True
        beginning = self._source.beginning(item.key, BEGINNING_BYTES)
        return beginning is not None and not holds_photo(beginning)

    def _measure(self, image: InFlight, photo: Photo, data: bytes) -> None:
        """Note the statistics of a source, unless it is too small for them."""
        found = statistics_of(photo.pixels, file=data)
        if found is not None:
            image.note(**asdict(found))

    def _is_wanted(self, image: InFlight, photo: Photo) -> bool:
        """Choose format and key of the output; False if it goes under another key and is there."""
        chosen = self._config.output_format
        wanted = photo.format if chosen == "same" else chosen
        image.format = target_format(photo, wanted, self._config.oversize, self._sizing)
        if image.format == wanted:
            return True
        image.note(destination_key=rerouted(image.item.output, image.format))
        return not self._is_made(image)

    def _is_made(self, image: InFlight) -> bool:
        """Look for the output, if there may be one.

        The plan has listed the destination, so a first attempt saves this request for what is new.
        An output that came later is found when it is written.
        """
        return (image.item.output_exists or self._is_begun) and self._outputs.is_there(image)

    def _groups(self, loaded: SimpleQueue[InFlight], num_images: int) -> Iterator[list[InFlight]]:
        """Images as they are loaded. What is loaded while others are computed may go together."""
        waiting: list[InFlight] = []
        while num_images or waiting:
            while num_images and (not waiting or not loaded.empty()) and len(waiting) < _CHOICE:
                image = loaded.get()
                num_images -= 1
                if image.photo is None:
                    yield [image]
                else:
                    waiting.append(image)
            if waiting:
                chosen = self._engine.together(photos_of(waiting))
                yield [waiting[index] for index in chosen]
                waiting = [each for index, each in enumerate(waiting) if index not in chosen]

    def _upscaled(self, images: list[InFlight]) -> Iterator[InFlight]:
        """Upscale images at once, or one after the other, so that a bad one costs only itself."""
        made: list[Photo] = []
        if len(images) > 1:
            began = time.monotonic()
            try:
                with whole_device():
                    made = self._engine.upscale_photos(photos_of(images))
            except Exception as error:
                if not self._is_of_image(error):
                    raise
            for image in images:
                image.note(upscale_s=(time.monotonic() - began) / len(images))
        for image, result in zip_longest(images, made):
            if image.photo is not None:
                self._upscale(image, image.photo, result)
            yield image

    def _upscale(self, image: InFlight, photo: Photo, result: Photo | None) -> None:
        try:
            image.output = result or self._computed(image, photo)
            is_shown = self._sizing.shape(*photo.pixels.shape[:2]) == image.output.pixels.shape[:2]
        except Exception as error:
            if not self._is_of_image(error):
                raise
            image.error = error
            return
        if is_shown:
            try:
                self._sample(image.item, photo, image.output)
            except PASSED_BY as error:
                logger.warning("%s is not on the contact sheet: %s", image.item.key, error)

    def _computed(self, image: InFlight, photo: Photo) -> Photo:
        """Upscale one photo, after waiting for its part of the disk if its result goes there."""
        is_shared = False
        if self._engine.is_spooled(photo):
            pixel_bytes = sum(page.num_bytes for page in (photo, *photo.pages))
            result_bytes = self._sizing.growth * self._engine.scale**2 * pixel_bytes
            image.spooled_bytes = int(_SPOOLED_COPIES * result_bytes)
            is_shared = self._disk.take(image.spooled_bytes)
        try:
            return self._computed_now(image, photo)
        except ImageError as error:
            if not is_shared or error.reason != "no_space":
                raise
        # The disk is smaller than what is let in. It has room again when the others are written.
        self._disk.give_back(image.spooled_bytes)
        self._disk.wait_until_free()
        self._disk.take(image.spooled_bytes)
        return self._computed_now(image, photo)

    def _computed_now(self, image: InFlight, photo: Photo) -> Photo:
        with image.timed("upscale"), whole_device():
            return self._engine.upscale_photo(photo)

    def _is_of_image(self, error: Exception) -> bool:
        return is_of_image(error, is_last=self._attempt.is_last)

    def _store(self, image: InFlight, budget: Budget, finished: SimpleQueue[InFlight]) -> None:
        try:
            if image.output is not None and image.photo is not None:
                # Here, because the device would stand still while the processor resamples.
                with image.timed("encode"):
                    image.output = self._sizing.fitted(image.output, image.photo)
                self._outputs.write(image, image.output)
        except BaseException as error:  # as in `_load`
            image.error = error
        finally:
            image.photo = image.output = None
            budget.give_back(image.memory_bytes)
            self._disk.give_back(image.spooled_bytes)
        finished.put(image)

    def _row(self, image: InFlight) -> Record:
        row = image.finished_row(is_last=self._attempt.is_last)
        if row.outcome == "failed":
            row = replace(row, limits=self._run.limits)
        if not _is_lost(row):
            self._progress(row)
        return row


def _is_refused(rows: Sequence[Record]) -> bool:
    """True if images of a pass were computed, and none of their outputs could be written."""
    computed = [row for row in rows if row.upscale_s]
    return bool(computed) and all(map(_is_lost, computed))


def _is_lost(row: Record) -> bool:
    """True if storage failed on a key: it is tried again, and told of when it is given up."""
    return row.error == StorageError.__name__
