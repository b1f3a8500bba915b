"""Find the processes of a stack, so that `down` ends all of them and no others."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TERM_S = 10.0


@dataclass(frozen=True)
class Process:
    """A process by number and start time: numbers are used again, pairs are not."""

    pid: int
    started: int


def find_processes(runtime: Path) -> set[Process]:
    """Everything that a stack started: by its environment, and the descendants of those.

    Ray's job drivers leave their parent's process group and session, and its workers overwrite
    the memory that their environment is read from: neither mark alone would find all of them.
    Only Linux tells; elsewhere the result is empty and process groups have to do.
    """
    mark = f"SRGAN_RUNTIME={runtime}".encode()
    parents: dict[int, int] = {}
    found: dict[int, Process] = {}
    for folder in _PROC.glob("[0-9]*"):
        pid = int(folder.name)
        try:
            parents[pid], started = _stat(pid)
            marked = mark in (folder / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue  # ended meanwhile, or another user's
        if marked:
            found[pid] = Process(pid, started)
    for pid in parents:
        if pid not in found and _has_ancestor(pid, parents, set(found)):
            try:
                found[pid] = Process(pid, _stat(pid)[1])
            except (OSError, ValueError):
                continue
    found.pop(os.getpid(), None)
    return set(found.values())


def is_alive(process: Process) -> bool:
    """True while it runs; False for a zombie that waits for its parent to notice its end."""
    try:
        return _stat(process.pid)[1] == process.started and _state(process.pid) != "Z"
    except (OSError, ValueError):
        return False


def end_processes(processes: set[Process]) -> None:
    """Ask, wait, then force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in filter(is_alive, processes):
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + _TERM_S
        while any(map(is_alive, processes)) and time.monotonic() < deadline:
            time.sleep(0.05)


def _fields(pid: int) -> list[str]:
    # The program's name stands in parentheses and may hold spaces and parentheses itself.
    return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()


def _stat(pid: int) -> tuple[int, int]:
    fields = _fields(pid)
    return int(fields[1]), int(fields[19])


def _state(pid: int) -> str:
    return _fields(pid)[0]


def _has_ancestor(pid: int, parents: dict[int, int], wanted: set[int]) -> bool:
    while pid := parents.get(pid, 0):
        if pid in wanted:
            return True
    return False
