"""Checks of this machine: the folder of data and caches, memory, torch and CUDA."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from srgan.doctor.checks import Check, Seen, failed, ok, warning
from srgan.readable import size
from srgan.settings import Settings

_FULL_BYTES = 2**30
_LITTLE_MEMORY_BYTES = 2 * 2**30
_CGROUP = Path("/sys/fs/cgroup")
_DRIVER = Path("/proc/driver/nvidia/version")
_IMPORT_LIMIT_S = 60.0


def machine_checks(settings: Settings) -> list[Check]:
    """Return the checks of the machine that this process runs on."""
    return [
        Check("folder", lambda: _folder(settings.home), "Set SRGAN_HOME to a folder of yours"),
        Check("disk", lambda: _disk(settings), "Look at the disk", needs=("folder",)),
        Check("memory", _memory, "Look at the machine's memory"),
        Check("torch", _torch, "Install the project again", limit_s=_IMPORT_LIMIT_S),
    ]


def _folder(home: Path) -> Seen:
    """Write a file into the folder, or into the one in which it would be made."""
    folder = _existing(home)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"srgan doctor")
            file.flush()
    except OSError as error:
        return failed(
            f"{folder} cannot be written to: {error.strerror}",
            "Set SRGAN_HOME to a folder on a local disk that this user may write to",
        )
    return ok(f"{home}{'' if folder == home else ', to be made'}")


def _existing(home: Path) -> Path:
    return next(each for each in (home.absolute(), *home.absolute().parents) if each.exists())


def _disk(settings: Settings) -> Seen:
    free = shutil.disk_usage(_existing(settings.home)).free
    text = f"{size(free)} free where {settings.home} is"
    if free < _FULL_BYTES:
        return failed(text, "Delete files there, or set SRGAN_HOME to a folder on another disk")
    if free < settings.cache_bytes:
        return warning(
            f"{text}; the cache of crops takes up to {size(settings.cache_bytes)}",
            "Make room, or lower SRGAN_CACHE_BYTES to what the datasets need at a time",
        )
    return ok(text)


def _memory() -> Seen:
    memory = psutil.virtual_memory()
    total, available, what_to_do = memory.total, memory.available, "End other programs"
    if limit := _number(_CGROUP / "memory.max"):
        # A container has its own limit, and psutil tells the host's memory.
        total = min(total, limit)
        # What the cache of files holds is given back when a program wants it.
        used = _number(_CGROUP / "memory.current") - _cached()
        if (left := max(limit - used, 0)) < available:
            available, what_to_do = left, "Raise the container's limit of memory"
    text = f"{size(available)} of {size(total)} available"
    if available < _LITTLE_MEMORY_BYTES:
        wanted = size(_LITTLE_MEMORY_BYTES)
        return warning(text, f"{what_to_do}: a worker wants {wanted} and more")
    return ok(text)


def _number(file: Path) -> int:
    """Return what a file of the control group says; 0 without such a file or limit (``max``)."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def _cached() -> int:
    """Return the bytes of files that the control group could give back at once."""
    with suppress(OSError):
        for line in (_CGROUP / "memory.stat").read_text().splitlines():
            name, _, number = line.partition(" ")
            if name == "inactive_file":
                return int(number)
    return 0


def _torch() -> Seen:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return ok(f"{torch.__version__}, CUDA {torch.version.cuda}, {', '.join(names)}")
    if _DRIVER.exists():
        return warning(
            f"{torch.__version__} sees no GPU, but this machine has a driver for one",
            "Install a CUDA build of torch that fits the driver",
        )
    return ok(f"{torch.__version__}, no GPU on this machine")
