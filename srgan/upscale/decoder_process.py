"""The child process of `decoders`: one image after the other from its input to its output."""

import os
import resource
import signal
import sys
from pathlib import Path

from srgan.errors import ImageError
from srgan.images import decode
from srgan.upscale.decoder_protocol import (
    READY,
    Request,
    read_request,
    write_error,
    write_photo,
)


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    # What libraries print must not get between the answers.
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
            photo = decode(data, max_pixels=request.max_pixels)
        except ImageError as error:
            write_error(answers, error)
        except MemoryError:
            write_error(answers, ImageError("too_large", "it takes too much memory to decode"))
        else:
            write_photo(answers, photo)
            del photo
        _unlimit()


def _limit(request: Request) -> None:
    """Bound memory; and end this process if its parent died while it hangs, by the kernel."""
    signal.alarm(request.alarm_s)
    held_bytes = _held_bytes()
    if held_bytes:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (held_bytes + request.memory_bytes, hard))


def _unlimit() -> None:
    """The next file may be larger than the limit of this one."""
    signal.alarm(0)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _held_bytes() -> int:
    """Address space in use; 0 where the system does not say (and does not enforce it either)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except FileNotFoundError:
        return 0
    return pages * resource.getpagesize()
