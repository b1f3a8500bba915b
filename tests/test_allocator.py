"""Large tensors take few large pages, by the kernel's count of page faults."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, sys
from srgan.allocator import use_large_pages
if sys.argv[1] == "large":
    use_large_pages()
import torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    torch.ones(16 * 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    not SWITCH.exists() or "[madvise]" not in SWITCH.read_text(),
    reason="needs Linux with large pages on request (madvise)",
)
@pytest.mark.slow(group="images")
def test_large_tensors_take_few_large_pages() -> None:
    num_small_pages = 4 * 64 * 2**20 // 4096
    assert page_faults("small") >= num_small_pages, "otherwise large pages are not needed"
    assert page_faults("large") < num_small_pages / 10


def page_faults(pages: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, pages],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        # This process may have set the switch already.
        env={name: os.environ[name] for name in os.environ if name != "THP_MEM_ALLOC_ENABLE"},
    )
    return int(done.stdout)
