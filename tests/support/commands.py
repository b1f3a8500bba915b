"""The `srgan` command, called in this process or started as a shell starts it."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from srgan.cli import app

SRGAN = str(Path(sys.executable).with_name("srgan"))


def srgan(
    *arguments: str, home: Path | None = None, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[str]:
    """Call the command in this process, since a new one costs seconds."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    status = 0
    with (
        mock.patch.dict(os.environ, {"SRGAN_HOME": str(home or "/nonexistent")}),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            app(list(arguments))
        except SystemExit as end:
            status = int(end.code or 0)
    return subprocess.CompletedProcess([SRGAN, *arguments], status, _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


class Answer(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str
