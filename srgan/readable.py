"""Format times, sizes, names and progress for people, and read the sizes that people write."""

import os
import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ByteSize, Field, TypeAdapter, ValidationError

Say = Callable[[str], object]
"""Tells people a line: `print`, a method of a logger, a display's."""

_UNITS = ("kB", "MB", "GB", "TB")


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 05 s``, ``2 h 07 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(when: datetime) -> str:
    """``30 November 2026, 14:05 UTC``, of a time in UTC."""
    return when.strftime("%-d %B %Y, %H:%M UTC")


def size(num_bytes: float) -> str:
    """``0.1 kB``, ``12.3 MB``, ``74.2 GB``: powers of 1000, as disks are sold."""
    for unit in _UNITS:
        num_bytes /= 1000
        if num_bytes < 999.95 or unit == _UNITS[-1]:
            return f"{num_bytes:.1f} {unit}"
    raise AssertionError("the last unit fits any size")


def printable(path: Path | str) -> str:
    """A path as valid UTF-8 in one line: other bytes and control characters become escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def shortened(text: str, room: int) -> str:
    """Shorten to `room` letters in the middle, because the ends tell names and addresses apart."""
    text = " ".join(text.split())
    if len(text) <= room:
        return text
    tail = room // 3
    return f"{text[: room - tail - 1]}…{text[-tail:]}"


def parse_size(given: str) -> int:
    """Bytes of ``20GiB``, ``1.5 GB`` or ``1500000``; `ValueError` for anything else.

    ``k``, ``M``, ``G`` and ``T`` count in powers of 1000, with an ``i`` in powers of 1024.
    """
    try:
        # pydantic reads as much as it understands, so "1.5.2GB" would be one byte.
        if re.fullmatch(r"\d+(\.\d+)? *[A-Za-z]*", given.strip()):
            return int(_BYTES.validate_python(given.strip()))
    except ValidationError:
        pass
    raise ValueError("not a size; write it as 20GiB, 1500MB or in bytes")


def _as_int(given: Any) -> Any:
    return parse_size(given) if isinstance(given, str) else given


_BYTES = TypeAdapter(ByteSize)
Bytes = Annotated[int, BeforeValidator(_as_int, json_schema_input_type=int | str), Field(gt=0)]
"""Type of settings and options that are sizes: an integer, or text for `parse_size`."""


class Countdown:
    """Report through `say` how much work is done and how long the rest takes.

    Reports at the beginning, then at most every `every_s` seconds, and at the end. Without any work
    it reports nothing.
    """

    def __init__(self, say: Say, what: str, every_s: float = 5.0) -> None:
        self._say = say
        self._what = what
        self._every_s = every_s
        self._began = self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if not total:
            return
        now = time.monotonic()
        if not done:
            # Earlier work, such as a listing, does not count for the pace.
            self._began = now
        elif done < total and now - self._said < self._every_s:
            return
        self._said = now
        text = f"{self._what}: {done} of {total}"
        if 0 < done < total:
            text += f", {duration((now - self._began) / done * (total - done))} left"
        self._say(text)
