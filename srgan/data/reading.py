"""Read photos ahead of their use, as many at once as fit into memory.

A file is fetched, its header says how many pixels it has, and it is decoded when there is room for
them. Results come in the order of what was asked for, so they are the same however many threads
read and however much memory there is.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Generic, Protocol, TypeVar

from srgan.errors import ImageError
from srgan.images import Photo, declared_pixels, decode_in_8_bits
from srgan.images.entries import check_file_size, largest_bytes
from srgan.storage import ObjectInfo, ObjectStore

T = TypeVar("T")
R = TypeVar("R")

BYTES_PER_PIXEL = 25
"""Memory that a photo takes at its peak, in its decoder and here together: 17 from JPEG
(`benchmarks/prepare.py`); decoders of most other formats take up to 25 (`bulk.decoders`)."""
_THREADS = 4
_AHEAD = 6
"""Items in work at once, however small they are."""
_FETCHED_SHARE = 4
"""One part in so many of the memory is for files that wait for a decoder."""

Files = Sequence[tuple[ObjectStore, ObjectInfo]]

OnProgress = Callable[[int, int], None]
"""Called with the number of items that are done, and with the number of all."""


def silent(done: int, total: int) -> None:
    """Tell nobody of the progress."""


def counted(progress: OnProgress, num_items: int) -> OnProgress:
    """Count those of `num_items` that need not be read as done."""
    return lambda done, total: progress(num_items - total + done, num_items)


class DecodeIn8Bits(Protocol):
    """`srgan.images.decode_in_8_bits`, or the same in another process."""

    def __call__(self, data: bytes, *, max_pixels: int) -> Photo:
        """Return the photo, or raise an `ImageError` with the reason."""


class CountPixels(Protocol):
    """`srgan.images.declared_pixels`, or the same in another process."""

    def __call__(self, data: bytes, *, max_pixels: int) -> int:
        """Return the number of pixels, or raise an `ImageError`."""


@dataclass(frozen=True, slots=True)
class _Fetched(Generic[T]):
    """An item with its files; `files` is None if one was deleted since it was listed."""

    item: T
    files: list[bytes] | None
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class PhotoReader:
    """How photos are read: by which decoder, within which memory."""

    decode: DecodeIn8Bits = decode_in_8_bits
    measure: CountPixels = declared_pixels
    memory_bytes: int = 2**32
    """For files and pixels that are in work. A photo that needs more is read alone."""

    def read(
        self,
        items: Sequence[T],
        files_of: Callable[[T], Files],
        make: Callable[[T, Sequence[bytes]], R],
        use: Callable[[R], None],
        *,
        max_pixels: int,
        progress: OnProgress = silent,
    ) -> None:
        """Have `make` make something of each item and the bytes of its files, and `use` use it.

        A file that is too large for any photo of `max_pixels` is not read, so its bytes are empty;
        `photo` says so of it.
        `make` is called in several threads, `use` here and in the order of the items. An item of
        which a file was deleted since it was listed is passed over. Errors of the object store are
        raised, because a source that cannot be reached is not a bad photo. What `use` gets counts
        as memory until it returns.
        """
        progress(0, len(items))
        numbers = count(1)
        for result in self._results(items, files_of, make, max_pixels):
            if result is not None:
                use(result)
            del result  # or its pixels would stay while the next ones are decoded
            progress(next(numbers), len(items))

    def photo(self, info: ObjectInfo, data: bytes, *, max_pixels: int) -> Photo:
        """Decode a file of an item; `ImageError` says why it is not a photo that can be used."""
        check_file_size(info.size_bytes, max_pixels)
        return self.decode(data, max_pixels=max_pixels)

    def _results(
        self,
        items: Sequence[T],
        files_of: Callable[[T], Files],
        make: Callable[[T, Sequence[bytes]], R],
        max_pixels: int,
    ) -> Iterator[R | None]:
        waiting_bytes = self.memory_bytes // _FETCHED_SHARE
        with (
            ThreadPoolExecutor(_THREADS, "fetch") as fetchers,
            ThreadPoolExecutor(_THREADS, "decode") as decoders,
        ):
            try:
                fetched = _in_order(
                    lambda item: fetchers.submit(self._fetch, files_of, max_pixels, item),
                    items,
                    lambda item: sum(info.size_bytes for _, info in files_of(item)),
                    waiting_bytes,
                )
                yield from _in_order(
                    lambda each: decoders.submit(_made, make, each),
                    fetched,
                    lambda each: each.memory_bytes,
                    self.memory_bytes - waiting_bytes,
                )
            finally:
                for pool in (fetchers, decoders):
                    pool.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, files_of: Callable[[T], Files], max_pixels: int, item: T) -> _Fetched[T]:
        files: list[bytes] = []
        memory_bytes = 0
        for store, info in files_of(item):
            # A film or an archive beside the photos may be larger than the memory.
            is_photo = info.size_bytes <= largest_bytes(max_pixels)
            data = store.find(info.key) if is_photo else b""
            if data is None:
                return _Fetched(item, None, 0)
            files.append(data)
            memory_bytes += len(data)
            with suppress(ImageError):  # decoding says why
                memory_bytes += BYTES_PER_PIXEL * self.measure(data, max_pixels=max_pixels)
        return _Fetched(item, files, memory_bytes)


def _made(make: Callable[[T, Sequence[bytes]], R], fetched: _Fetched[T]) -> R | None:
    return None if fetched.files is None else make(fetched.item, fetched.files)


def _in_order(
    submit: Callable[[T], "Future[R]"],
    items: Iterable[T],
    cost: Callable[[T], int],
    budget: int,
) -> Iterator[R]:
    """Have each item worked on while the sum of costs fits; an item that never fits is alone."""
    waiting: deque[Future[R]] = deque()
    costs: deque[int] = deque()
    for item in items:
        costs.append(cost(item))
        while waiting and (len(waiting) == _AHEAD or sum(costs) > budget):
            # Not by a name here, which would keep the result while the next one is made.
            yield waiting.popleft().result()
            costs.popleft()
        waiting.append(submit(item))
    while waiting:
        yield waiting.popleft().result()
