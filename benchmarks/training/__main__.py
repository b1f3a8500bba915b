"""Measure everything that docs/benchmarks.md says about training, in one run.

    python -m benchmarks.training [--tiny] [--quality STEPS] [SECTION ...]

Sections: pretrain, gan, warm, cold, ddp; all of them by default. ``--quality`` also trains six
short schedules, minutes each. ``--tiny`` shows that the script runs; its figures mean nothing.
Needs a quiet machine: sides are measured in turn and must not share the processors.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable

import torch

from benchmarks.training.loader import cold, warm
from benchmarks.training.measure import TINY, Size
from benchmarks.training.quality import quality
from benchmarks.training.ranks import scaling
from benchmarks.training.steps import gan_step, pretrain_step
from srgan.allocator import use_large_pages

SECTIONS: dict[str, Callable[[Size], None]] = {
    "pretrain": pretrain_step,
    "gan": gan_step,
    "warm": warm,
    "cold": cold,
    "ddp": scaling,
}


def main() -> None:
    """Print the machine, then every section's figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--tiny", action="store_true", help="only show that it runs")
    parser.add_argument("--quality", type=int, metavar="STEPS", help="also train short schedules")
    arguments = parser.parse_args()
    unknown = set(arguments.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no section {sorted(unknown)}; there are: {', '.join(SECTIONS)}")
    size = TINY if arguments.tiny else Size()
    use_large_pages()  # for plain steps too
    print(
        f"{time.strftime('%Y-%m-%d %H:%M')}, {platform.processor() or platform.machine()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, medians of {size.rounds} rounds",
        flush=True,
    )
    for name in arguments.sections or SECTIONS:
        SECTIONS[name](size)
    if arguments.quality:
        quality(size, arguments.quality)


if __name__ == "__main__":
    main()
