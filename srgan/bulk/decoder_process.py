"""The child process of `decoders`, and what passes through its pipes: lengths, JSON, plain bytes.

It decodes one image after the other. No pickles: an attacker who takes over a decoder with a
hostile file must not take over its parent too.
"""

import json
import os
import resource
import signal
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from srgan.errors import ImageError
from srgan.images import Photo, declared_pixels, decode, decode_in_8_bits

READY = b"+"
"""The first byte that a process sends."""
_LENGTH_BYTES = 4
_MAX_HEADER_BYTES = 2**24
"""For 10,000 pages (`images.decode`) and three times as much. It takes 20 times the memory here."""
_TYPES = ("|u1", "<u2")

Wanted = Literal["photo", "8 bits", "pixels"]
"""The answer: what `decode`, `decode_in_8_bits` or `declared_pixels` returns."""


@dataclass(frozen=True, slots=True)
class Request:
    """One image to decode; `size_bytes` of its file follow."""

    wanted: Wanted
    size_bytes: int
    max_pixels: int
    memory_bytes: int
    """Memory that decoding may take on top of what the process holds already."""
    alarm_s: int
    """Time limit after which the kernel ends the process."""
    salvage: bool


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    # Libraries print to stdout; that must not mix with the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests = sys.stdin.buffer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers.write(READY)
    answers.flush()
    while True:
        try:
            request, data = read_request(requests)
        except EOFError:
            return
        _limit(request)
        try:
            found = _found(request, data)
        except ImageError as error:
            write_error(answers, error)
        except MemoryError:
            write_error(answers, ImageError("too_large", "it takes too much memory to decode"))
        else:
            if isinstance(found, Photo):
                write_photo(answers, found)
            else:
                write_pixels(answers, found)
            del found
        _unlimit()


def _found(request: Request, data: bytes) -> Photo | int:
    match request.wanted:
        case "photo":
            return decode(data, max_pixels=request.max_pixels, salvage=request.salvage)
        case "8 bits":
            photo = decode_in_8_bits(data, max_pixels=request.max_pixels)
            # Trainings and evaluation sets read no metadata, so it cannot be too much for the pipe.
            return Photo(photo.pixels, photo.alpha, photo.format, photo.bit_depth)
        case "pixels":
            return declared_pixels(data, max_pixels=request.max_pixels)


def _limit(request: Request) -> None:
    """Bound the memory, and have the kernel end this process if it hangs without its parent."""
    signal.alarm(request.alarm_s)
    held_bytes = _held_bytes()
    if held_bytes:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (held_bytes + request.memory_bytes, hard))


def _unlimit() -> None:
    """Lift the limits: the next file may be larger."""
    signal.alarm(0)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _held_bytes() -> int:
    """Address space in use; 0 where the system does not say, and does not enforce limits."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except FileNotFoundError:
        return 0
    return pages * resource.getpagesize()


def write_request(pipe: IO[bytes], request: Request, data: bytes) -> None:
    """Send an image; `BrokenPipeError` if the process is gone."""
    _write_header(pipe, {f.name: getattr(request, f.name) for f in fields(Request)})
    pipe.write(data)
    pipe.flush()


def read_request(pipe: IO[bytes]) -> tuple[Request, bytes]:
    """Read the next request; `EOFError` when the parent has closed the pipe."""
    request = Request(**_read_header(pipe))
    return request, bytes(_read(pipe, request.size_bytes))


def write_photo(pipe: IO[bytes], photo: Photo) -> None:
    """Answer with a photo: a header of types and shapes, then arrays and byte strings in order.

    With an error instead if the header would be longer than the parent reads.
    """
    parts: list[Any] = []
    header = _packed({"photo": _described(photo, parts)})
    if len(header) > _LENGTH_BYTES + _MAX_HEADER_BYTES:
        num_parts = len(parts) - len(photo.pages) - 1
        detail = f"its metadata has {num_parts:,} parts; write it again without its texts"
        write_error(pipe, ImageError("too_large", detail))
        return
    pipe.write(header)
    for part in parts:
        pipe.write(part)
    pipe.flush()


def write_pixels(pipe: IO[bytes], num_pixels: int) -> None:
    """Answer with a number of pixels."""
    _write_header(pipe, {"pixels": num_pixels})
    pipe.flush()


def write_error(pipe: IO[bytes], error: ImageError) -> None:
    _write_header(pipe, {"reason": error.reason, "detail": error.detail[:2000]})
    pipe.flush()


def read_pixels(pipe: IO[bytes]) -> int:
    """Read the number of pixels that a header declares; errors are those of `read_answer`."""
    number = _answer_header(pipe).get("pixels")
    if not isinstance(number, int) or number < 0:
        raise NonsenseError("not a number of pixels")
    return number


def read_answer(pipe: IO[bytes], limit_bytes: int) -> Photo:
    """Read the photo that the decoder made.

    `ImageError` if the decoder sent one, `EOFError` if it ended in the middle, `NonsenseError` if
    its answer makes no sense.
    """
    header = _answer_header(pipe)
    try:
        photo = _rebuilt(header["photo"], pipe, limit_bytes)
    except _SENSELESS as error:
        raise NonsenseError(f"nonsense: {error}") from error
    if not isinstance(photo, Photo):
        raise NonsenseError("not a photo")
    return photo


def _answer_header(pipe: IO[bytes]) -> dict[str, Any]:
    header = _read_header(pipe)
    if "reason" in header:
        raise ImageError(str(header["reason"]), str(header.get("detail")))
    return header


class NonsenseError(Exception):
    """Ends the process, because what it says next cannot be trusted."""


_SENSELESS = (
    *(AttributeError, KeyError, TypeError, ValueError, OverflowError),
    RecursionError,  # lists in lists in lists
)


def _described(value: object, parts: list[Any]) -> Any:
    if isinstance(value, Photo):
        return {"photo": {f.name: _described(getattr(value, f.name), parts) for f in fields(Photo)}}
    if isinstance(value, np.ndarray):
        parts.append(np.ascontiguousarray(value).data.cast("B"))
        return {"array": value.dtype.str, "shape": value.shape}
    if isinstance(value, bytes):
        parts.append(value)
        return {"bytes": len(value)}
    if isinstance(value, tuple):
        return {"tuple": [_described(each, parts) for each in value]}
    return value


def _rebuilt(value: Any, pipe: IO[bytes], limit_bytes: int) -> Any:
    match value:
        case {"photo": dict(parts)}:
            return Photo(**{k: _rebuilt(v, pipe, limit_bytes) for k, v in parts.items()})
        case {"array": str(kind), "shape": list(shape)}:
            if kind not in _TYPES:
                raise ValueError(f"an array of {kind}")
            size = _bounded(
                np.dtype(kind).itemsize * int(np.prod(shape, dtype=object)), limit_bytes
            )
            return np.frombuffer(_read(pipe, size), kind).reshape(shape)
        case {"bytes": int(size)}:
            return bytes(_read(pipe, _bounded(size, limit_bytes)))
        case {"tuple": list(parts)}:
            return tuple(_rebuilt(each, pipe, limit_bytes) for each in parts)
        case None | bool() | int() | float() | str():
            return value
    raise ValueError(f"a {type(value).__name__}")


def _bounded(size_bytes: int, limit_bytes: int) -> int:
    if not 0 <= size_bytes <= limit_bytes:
        raise ValueError(f"{size_bytes} bytes")
    return size_bytes


def _write_header(pipe: IO[bytes], header: dict[str, Any]) -> None:
    pipe.write(_packed(header))


def _packed(header: dict[str, Any]) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(_LENGTH_BYTES, "big") + text


def _read_header(pipe: IO[bytes]) -> dict[str, Any]:
    length = int.from_bytes(_read(pipe, _LENGTH_BYTES), "big")
    if length > _MAX_HEADER_BYTES:
        raise NonsenseError(f"a header of {length} bytes")
    text = _read(pipe, length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NonsenseError(f"a header that is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise NonsenseError(f"a header of type {type(header).__name__}")
    return header


def _read(pipe: IO[bytes], size: int) -> bytearray:
    """Read exactly `size` bytes, writable for the arrays over them; else `EOFError`."""
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = pipe.readinto(rest)  # type: ignore[attr-defined]  # of the buffered pipes here
        if not count:
            raise EOFError("the pipe has ended")
        rest = rest[count:]
    return data
