"""Cut the next batch while the current step computes."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import torch
from torch import Tensor

from srgan.data.dataset import Patches
from srgan.train import ranks


class Batches:
    """This rank's share of every global batch, one step ahead. A context: it owns a thread."""

    def __init__(self, patches: Patches, device: torch.device) -> None:
        self._patches = patches
        self._device = device
        self._pinned = device.type == "cuda"
        self._share = {"rank": ranks.rank(), "num_ranks": ranks.num_ranks()}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead: tuple[int, Future[Tensor]] | None = None
        self.wait_s = 0.0
        """Seconds that `take` has waited so far: the cost of the data."""

    def take(self, step: int) -> Tensor:
        """uint8 windows (N, 3, window, window) of step `step` on the device."""
        begun = time.perf_counter()
        if self._ahead is None or self._ahead[0] != step:
            self._ahead = (step, self._thread.submit(self._cut, step))
        windows = self._ahead[1].result()
        self._ahead = (step + 1, self._thread.submit(self._cut, step + 1))
        # From pinned memory the copy overlaps the computation.
        windows = windows.to(self._device, non_blocking=True)
        self.wait_s += time.perf_counter() - begun
        return windows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _cut(self, step: int) -> Tensor:
        windows = torch.from_numpy(self._patches.batch(step, **self._share))
        return windows.pin_memory() if self._pinned else windows
