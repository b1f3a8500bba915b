"""glibc's allocator, told to keep what is freed."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let tensors of more than 32 MiB take the memory of those before them; for CPUs.

    glibc maps such blocks one by one and gives each back when it is freed, so the kernel zeroes
    every page of every intermediate result anew: a quarter of the time of upscaling in fp32, a
    tenth of an SRResNet training step (`make bench-upscale`, `make bench-training`). Concerns the
    whole process, whose memory then stays at its peak, so programs call it and libraries do not.
    Without glibc nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)
