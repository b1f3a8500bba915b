"""Use large memory pages for large tensors."""

import os


def use_large_pages() -> None:
    """Make torch ask Linux for pages of 2 MiB instead of 4 KiB; call it before the first tensor.

    glibc returns every freed block of more than 32 MiB, so the kernel maps and zeroes the pages of
    such intermediate results again each time: a sixth of the time of upscaling in fp32 on a CPU.
    Large pages are 512 times fewer. (Keeping freed memory, ``M_MMAP_MAX``, would save more, but
    then the heap grows without end, because aligned blocks do not fit into freed ones.) This
    affects the whole process, so only programs call it, not libraries.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
