"""What is freed is used again instead of mapped anew; seen by the kernel's count of page faults."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from srgan.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def touch():
    return torch.ones(16 * 2**20)  # 64 MiB
for _ in range(4):
    touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_large_tensors_take_the_memory_of_those_before_them() -> None:
    assert page_faults("as it comes") > 4 * 10_000, "else nobody needs this"
    assert page_faults("kept") < 1000


def page_faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)
