"""Ends what a run of the tests leaves behind, in whatever way the run has ended.

A separate process: it waits for the end of the run, then ends every process that has the run's
mark in its environment, and their descendants. Services that a run starts, and what those start,
inherit the mark; Ray's workers overwrite their environment, but their parents have it.
"""

import os
import secrets
import select
import signal
import sys
from contextlib import suppress

import psutil

_TERM_S = 10.0


def start() -> None:
    """Watch over this process, and mark its environment for all that it starts from now on.

    Only Linux tells a process of the end of another; elsewhere nobody watches.
    """
    if sys.platform != "linux":
        return
    mark = f"PYTEST_RUN_{secrets.token_hex(8)}"
    os.environ[mark] = "1"
    watcher = [sys.executable, __file__, str(os.getpid()), mark]
    # In its own session: a Ctrl-C at the terminal is meant for the run.
    os.posix_spawn(sys.executable, watcher, os.environ, setsid=True)


def watch(pid: int, mark: str) -> None:
    """Wait for the end of a process, then end everything that is marked."""
    with suppress(ProcessLookupError):
        ended = os.pidfd_open(pid)
        select.select([ended], [], [])
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = marked(mark)
        for process in left:
            with suppress(psutil.Error):
                process.send_signal(number)
        psutil.wait_procs(left, timeout=_TERM_S)


def marked(mark: str) -> set[psutil.Process]:
    """The processes with the mark in their environment, and their descendants."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if mark in process.environ():
                found |= {process, *process.children(recursive=True)}
    return found - {psutil.Process()}


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2])
