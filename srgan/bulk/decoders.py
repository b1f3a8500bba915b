"""Decode untrusted files in processes whose death costs one image, for bulk runs and preparing.

Broken and hostile files make image libraries crash, hang or ask for too much memory. So pixels are
decoded in child processes (`decoder_process`) that know none of this process's secrets: each has a
bound on its memory, each image a time limit.
"""

import errno
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import LifoQueue
from types import TracebackType
from typing import IO, Protocol, Self, TypeVar

from srgan.bulk.decoder_process import (
    READY,
    NonsenseError,
    Request,
    Wanted,
    read_answer,
    read_pixels,
    write_request,
)
from srgan.errors import ClusterError, ImageError
from srgan.images import Photo
from srgan.settings import inherited_environment

DECODE_LIMIT_S = 60.0
"""Time for one image; 100 megapixels of PNG take about 5 s."""
_SMALL_PIXELS = 16_000_000
"""Larger images are decoded one at a time, so that several cannot add up."""
_BYTES_PER_PIXEL = 40
"""More than any format takes at its peak (AVIF of 10 bits with alpha 37, most 14–25)."""
_SPARE_BYTES = 256 * 2**20
_ORPHAN_S = 10
_STOP_S = 5.0
_PIPE_BYTES = 2**20
_CODE = "from srgan.bulk.decoder_process import main; main()"

AnswerT = TypeVar("AnswerT")


class Decode(Protocol):
    """`srgan.images.decode`, or the same in another process."""

    def __call__(self, data: bytes, *, max_pixels: int, salvage: bool) -> Photo:
        """Return the photo, or raise an `ImageError` with the reason."""


class Decoders:
    """A few decoder processes, safe for many threads; closing ends the processes."""

    def __init__(self, num_processes: int, *, limit_s: float = DECODE_LIMIT_S) -> None:
        # The last one back is the next one out: a batch of one image starts one process.
        self._idle: LifoQueue[_Decoder] = LifoQueue()
        self._all = [_Decoder(limit_s) for _ in range(num_processes)]
        self._alone = threading.Lock()
        for each in self._all:
            self._idle.put(each)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def decode(self, data: bytes, *, max_pixels: int, salvage: bool = False) -> Photo:
        """Decode as `srgan.images.decode` does.

        More reasons are ``crashed`` and ``timed_out``; metadata of hundreds of thousands of parts
        is ``too_large``.
        """
        try:
            return self._photo("photo", data, min(max_pixels, _SMALL_PIXELS), salvage)
        except ImageError as error:
            if error.reason != "too_large" or max_pixels <= _SMALL_PIXELS:
                raise
        with self._alone:
            return self._photo("photo", data, max_pixels, salvage)

    def decode_in_8_bits(self, data: bytes, *, max_pixels: int) -> Photo:
        """Decode the pixels as `srgan.images.decode_in_8_bits` does; the caller minds the memory.

        Without metadata. More reasons are those of `decode`.
        """
        return self._photo("8 bits", data, max_pixels, salvage=False)

    def declared_pixels(self, data: bytes, *, max_pixels: int) -> int:
        """Return what `srgan.images.declared_pixels` does; more reasons are those of `decode`."""
        with self._lent() as decoder:
            return decoder.declared_pixels(data, max_pixels)

    def start_one(self) -> None:
        """Start a process before the first image comes; `ClusterError` if this node cannot."""
        with self._lent() as decoder:
            decoder.start()

    def close(self) -> None:
        """End the processes, even while they work."""
        for each in self._all:
            each.close()

    def pids(self) -> list[int]:
        """Ids of the processes that are running."""
        return [pid for each in self._all if (pid := each.pid) is not None]

    def _photo(self, wanted: Wanted, data: bytes, max_pixels: int, salvage: bool) -> Photo:
        with self._lent() as decoder:
            return decoder.photo(wanted, data, max_pixels, salvage)

    @contextmanager
    def _lent(self) -> "Iterator[_Decoder]":
        decoder = self._idle.get()
        try:
            yield decoder
        finally:
            self._idle.put(decoder)


class _Decoder:
    """One process at a time; a dead one is replaced when the next image comes."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        self._alive()

    def photo(self, wanted: Wanted, data: bytes, max_pixels: int, salvage: bool) -> Photo:
        request = self._request(wanted, data, max_pixels, salvage)
        return self._answer(request, data, lambda pipe: read_answer(pipe, request.memory_bytes))

    def declared_pixels(self, data: bytes, max_pixels: int) -> int:
        request = self._request("pixels", data, max_pixels, salvage=False)
        return self._answer(request, data, read_pixels)

    def _request(self, wanted: Wanted, data: bytes, max_pixels: int, salvage: bool) -> Request:
        return Request(
            wanted=wanted,
            size_bytes=len(data),
            max_pixels=max_pixels,
            memory_bytes=_BYTES_PER_PIXEL * max_pixels + 2 * len(data) + _SPARE_BYTES,
            alarm_s=int(self._limit_s) + _ORPHAN_S,
            salvage=salvage,
        )

    def _answer(
        self, request: Request, data: bytes, read: Callable[[IO[bytes]], AnswerT]
    ) -> AnswerT:
        process = self._sent(request, data)
        late = threading.Event()
        watch = threading.Timer(self._limit_s, _kill_late, (process, late))
        try:
            watch.start()
        except RuntimeError as error:  # Python's, where the system has not a thread left
            process.kill()  # or the next image would get the answer to this one
            process.wait()
            raise OSError(errno.EAGAIN, str(error)) from error
        try:
            return read(_pipe(process.stdout))
        except EOFError as error:
            raise self._lost(process, late) from error
        except ImageError:
            raise  # a whole answer
        except NonsenseError as error:
            process.kill()  # it may be a hostile file's by now
            raise ImageError("crashed", f"the decoder's answer was {error}") from error
        except BaseException:
            process.kill()  # the rest of its answer is still to come
            raise
        finally:
            watch.cancel()
            watch.join()

    def close(self) -> None:
        self._closed = True
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(_STOP_S)
        _close_pipes(self._process)

    def _sent(self, request: Request, data: bytes) -> "subprocess.Popen[bytes]":
        """Send the whole image and return the process; one that died meanwhile is replaced."""
        for _ in range(2):
            process = self._alive()
            try:
                write_request(_pipe(process.stdin), request, data)
            except BrokenPipeError:
                process.kill()
                process.wait()
                continue
            return process
        raise ImageError("crashed", "the decoder died twice before it had the image")

    def _alive(self) -> "subprocess.Popen[bytes]":
        if self._closed:
            raise RuntimeError("the batch has ended")
        if self._process is None or self._process.poll() is not None:
            self._process = _start(self._process)
        return self._process

    def _lost(self, process: "subprocess.Popen[bytes]", late: threading.Event) -> ImageError:
        process.kill()
        status = process.wait()
        if late.is_set() or status == -signal.SIGALRM:
            return ImageError("timed_out", f"not decoded within {self._limit_s:g} s")
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return ImageError("crashed", f"the decoder died {how}")


def _start(previous: "subprocess.Popen[bytes] | None") -> "subprocess.Popen[bytes]":
    if previous is not None:
        _close_pipes(previous)
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and code
        [sys.executable, "-c", _CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Without the keys of services, and with one thread because several images are in flight.
        env={**inherited_environment(), "OMP_NUM_THREADS": "1", "VIPS_CONCURRENCY": "1"},
        # Ctrl-C is for the parent; when it ends, it closes the pipe.
        start_new_session=True,
        # Large pipes mean fewer switches between the two (elsewhere than Linux they grow).
        pipesize=_PIPE_BYTES,
    )
    # Wait, so that the start does not count towards the first image's time.
    if _pipe(process.stdout).read(1) != READY:
        _close_pipes(process)
        raise ClusterError(f"the decoder ended while it started, with status {process.wait()}")
    return process


def _kill_late(process: "subprocess.Popen[bytes]", late: threading.Event) -> None:
    late.set()
    process.kill()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _close_pipes(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):  # what was buffered for a dead process
            _pipe(pipe).close()
