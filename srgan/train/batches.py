"""Cut the next batches, and copy them to the GPU, while the current step computes."""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from srgan.data.dataset import Patches
from srgan.train import ranks

_AHEAD = 2
"""Batches under way while a step computes: one copied, the next one cut."""


@dataclass(frozen=True)
class _Batch:
    windows: Tensor
    copied: torch.cuda.Event | None
    """Happens on a GPU when the copy is complete."""


class Batches:
    """This rank's share of every global batch, two steps ahead. A context: it owns a thread."""

    def __init__(self, patches: Patches, device: torch.device) -> None:
        self._patches = patches
        self._device = device
        # On the stream of the computation a copy would wait for the step before it.
        self._stream = (
            torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's
            if device.type == "cuda"
            else None
        )
        self._share = {"rank": ranks.rank(), "num_ranks": ranks.num_ranks()}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead: deque[tuple[int, Future[_Batch]]] = deque()
        self.wait_s = 0.0
        """Seconds that `take` has waited so far: the cost of the data."""

    def take(self, step: int) -> Tensor:
        """uint8 windows (N, 3, window, window) of step `step` on the device."""
        begun = time.perf_counter()
        if self._ahead and self._ahead[0][0] != step:
            self._ahead.clear()
        for later in range(step + len(self._ahead), step + 1 + _AHEAD):
            self._ahead.append((later, self._thread.submit(self._cut, later)))
        batch = self._ahead.popleft()[1].result()
        if batch.copied is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(batch.copied)  # the device waits, this thread does not
            # Its memory belongs to the copying stream, which must not use it again too early.
            batch.windows.record_stream(stream)
        self.wait_s += time.perf_counter() - begun
        return batch.windows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _cut(self, step: int) -> _Batch:
        windows = torch.from_numpy(self._patches.batch(step, **self._share))
        if self._stream is None:
            return _Batch(windows, None)
        with torch.cuda.stream(self._stream):
            # From pinned memory, which torch keeps until the copy is complete.
            copy = windows.pin_memory().to(self._device, non_blocking=True)
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch's
            copied.record(self._stream)
        return _Batch(copy, copied)
