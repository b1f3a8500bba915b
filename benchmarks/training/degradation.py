"""Measure the cost of the degradation of `real_x4`: 16 patches of 96 pixels on one core.

Run with ``python -m benchmarks.training.degradation``. CPU time, because other work on the machine
does not count in it.
"""

import statistics
import time
from collections.abc import Callable

import torch

from srgan.degradation import build_degradation
from srgan.recipes import get_recipe
from srgan.resize.tensors import Degradation

_SEED = 0
_BATCH, _PATCH, _BATCHES = 16, 96, 12


def main() -> None:
    torch.set_num_threads(1)
    plain = Degradation(4)
    config = get_recipe("real_x4").pretrain.degradation
    real = build_degradation(4, config, seed=_SEED)
    assert not isinstance(real, Degradation)
    for name, margin, degrade in (
        ("bicubic", plain.margin, lambda windows, step: plain(windows)),
        ("real_x4", real.margin, lambda windows, step: real(windows, step=step, first=0)),
    ):
        side = _PATCH + 2 * margin
        random = torch.Generator().manual_seed(_SEED)
        windows = torch.randint(
            0, 256, (_BATCH, 3, side, side), generator=random, dtype=torch.uint8
        )
        print(f"{name}: {_median_ms(degrade, windows):.0f} ms of CPU time a batch")


def _median_ms(degrade: Callable[[torch.Tensor, int], object], windows: torch.Tensor) -> float:
    degrade(windows, 0)
    seconds = []
    for step in range(1, _BATCHES):
        begun = time.process_time()
        degrade(windows, step)
        seconds.append(time.process_time() - begun)
    return 1000 * statistics.median(seconds)


if __name__ == "__main__":
    main()
