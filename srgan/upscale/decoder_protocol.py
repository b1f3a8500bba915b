"""What passes through the pipes of a decoder process: lengths, JSON and plain bytes.

No pickles: whoever takes over a decoder by a hostile file must not take over its parent too.
"""

import json
from dataclasses import dataclass, fields
from typing import IO, Any

import numpy as np

from srgan.errors import ImageError
from srgan.images import Photo

READY = b"+"
"""The first thing that a process says."""
_LENGTH_BYTES = 4
_MAX_HEADER_BYTES = 2**24
_TYPES = ("|u1", "<u2")


@dataclass(frozen=True, slots=True)
class Request:
    """One image to decode; `size_bytes` of its file follow."""

    size_bytes: int
    max_pixels: int
    memory_bytes: int
    """What decoding may take beside what the process has anyway."""
    alarm_s: int
    """When the process has to end if nobody else has ended it."""


def write_request(pipe: IO[bytes], request: Request, data: bytes) -> None:
    """`BrokenPipeError` when the process is gone."""
    _write_header(pipe, {f.name: getattr(request, f.name) for f in fields(Request)})
    pipe.write(data)
    pipe.flush()


def read_request(pipe: IO[bytes]) -> tuple[Request, bytes]:
    """`EOFError` when there is none to come."""
    request = Request(**_read_header(pipe))
    return request, bytes(_read(pipe, request.size_bytes))


def write_photo(pipe: IO[bytes], photo: Photo) -> None:
    """The header names types and shapes; arrays and byte strings follow in its order."""
    parts: list[Any] = []
    _write_header(pipe, {"photo": _described(photo, parts)})
    for part in parts:
        pipe.write(part)
    pipe.flush()


def write_error(pipe: IO[bytes], error: ImageError) -> None:
    _write_header(pipe, {"reason": error.reason, "detail": error.detail[:2000]})
    pipe.flush()


def read_answer(pipe: IO[bytes], limit_bytes: int) -> Photo:
    """The photo; `ImageError` as the decoder said, ``crashed`` when it says what makes no sense.

    `EOFError` when the process ended in the middle.
    """
    header = _read_header(pipe)
    if "reason" in header:
        raise ImageError(str(header["reason"]), str(header["detail"]))
    try:
        photo = _rebuilt(header["photo"], pipe, limit_bytes)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _NonsenseError(f"its answer makes no sense: {error}") from error
    if not isinstance(photo, Photo):
        raise _NonsenseError("its answer is no photo")
    return photo


class _NonsenseError(RuntimeError):
    """Ends the process, of which nobody knows what it will say next."""


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
    text = json.dumps(header).encode()
    pipe.write(len(text).to_bytes(_LENGTH_BYTES, "big") + text)


def _read_header(pipe: IO[bytes]) -> dict[str, Any]:
    length = int.from_bytes(_read(pipe, _LENGTH_BYTES), "big")
    if length > _MAX_HEADER_BYTES:
        raise _NonsenseError(f"a header of {length} bytes")
    header = json.loads(_read(pipe, length))
    if not isinstance(header, dict):
        raise _NonsenseError(f"a header of type {type(header).__name__}")
    return header


def _read(pipe: IO[bytes], size: int) -> bytearray:
    """Exactly that many bytes, writable, so that arrays over them are; or `EOFError`."""
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = pipe.readinto(rest)  # type: ignore[attr-defined]  # of the buffered pipes here
        if not count:
            raise EOFError("the pipe has ended")
        rest = rest[count:]
    return data
