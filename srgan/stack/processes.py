"""Find the processes of a stack, so that `down` ends all of them and no others."""

import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

_TERM_S = 10.0


def find_processes(runtime: Path) -> set[psutil.Process]:
    """Find everything that a stack started: by its environment, and the descendants of those.

    Ray's job drivers leave their parent's process group and session, and its workers overwrite
    the memory that their environment is read from: neither mark alone would find all of them.
    """
    # A cached process could be one whose number was given to another program since.
    psutil.process_iter.cache_clear()
    # A process that ended meanwhile is skipped; the environment of other users' is None.
    everything = {each.pid: each for each in psutil.process_iter(["environ", "ppid"])}
    marked = {
        pid
        for pid, each in everything.items()
        if (each.info["environ"] or {}).get("SRGAN_RUNTIME") == str(runtime)
    }

    def is_ours(pid: int) -> bool:
        while pid in everything:
            if pid in marked:
                return True
            pid = everything[pid].info["ppid"]
        return False

    return {each for pid, each in everything.items() if is_ours(pid)} - {psutil.Process()}


def is_alive(process: psutil.Process) -> bool:
    """True while it runs; False for a zombie, which waits for its parent to notice its end."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def end_processes(processes: set[psutil.Process]) -> None:
    """Ask processes to end, wait, then kill those that have not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in filter(is_alive, processes):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        deadline = time.monotonic() + _TERM_S
        while any(map(is_alive, processes)) and time.monotonic() < deadline:
            time.sleep(0.05)
