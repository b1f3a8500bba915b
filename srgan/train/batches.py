"""Cut the next batches, and copy them to the GPU, while the current step computes."""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from srgan.data.dataset import Patches, shares_of
from srgan.train import ranks

_AHEAD = 2
"""Batches under way while a step computes: one copied, the next one cut."""


class Pairs(NamedTuple):
    """uint8 LR (N, 3, p, p) and HR (N, 3, P, P) patches."""

    lr: Tensor
    hr: Tensor


class Batch(NamedTuple):
    """This rank's share of a global batch, on the device."""

    windows: Tensor
    """uint8 (N, 3, window, window) that LR images are made of."""
    pairs: Pairs | None = None
    """Patches whose LR images are photographs."""


@dataclass(frozen=True)
class _Cut:
    tensors: list[Tensor]
    """Windows; with pairs also their LR and HR."""
    copied: torch.cuda.Event | None
    """Happens on a GPU when the copy is complete."""


class Batches:
    """This rank's share of every global batch, two steps ahead. A context: it owns a thread."""

    def __init__(
        self, patches: Patches, device: torch.device, pairs: Patches | None = None
    ) -> None:
        self._patches = patches
        self._pairs = pairs
        self._device = device
        # On the stream of the computation a copy would wait for the step before it.
        self._stream = (
            torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's
            if device.type == "cuda"
            else None
        )
        self._rank, self._num_ranks = ranks.rank(), ranks.num_ranks()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead: deque[tuple[int, Future[_Cut]]] = deque()
        self.wait_s = 0.0
        """Seconds that `take` has waited so far: the cost of the data."""

    def take(self, step: int) -> Batch:
        """The batch of step `step` on the device."""
        begun = time.perf_counter()
        if self._ahead and self._ahead[0][0] != step:
            self._ahead.clear()
        for later in range(step + len(self._ahead), step + 1 + _AHEAD):
            self._ahead.append((later, self._thread.submit(self._copy, later)))
        batch = self._ahead.popleft()[1].result()
        if batch.copied is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(batch.copied)  # the device waits, this thread does not
            # Its memory belongs to the copying stream, which must not use it again too early.
            for tensor in batch.tensors:
                tensor.record_stream(stream)
        self.wait_s += time.perf_counter() - begun
        windows, *pairs = batch.tensors
        return Batch(windows, Pairs(*pairs) if pairs else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _cut(self, step: int) -> list[Tensor]:
        if self._pairs is None:
            batch = self._patches.batch(step, rank=self._rank, num_ranks=self._num_ranks)
            return [torch.from_numpy(batch)]
        num_pairs = self._pairs.batch_size
        batch_size = self._patches.batch_size + num_pairs
        of_pairs, others = shares_of(batch_size, num_pairs, self._rank, self._num_ranks)
        lr, hr = self._pairs.cut_pairs(step, of_pairs)
        return [torch.from_numpy(each) for each in (self._patches.cut(step, others), lr, hr)]

    def _copy(self, step: int) -> _Cut:
        tensors = self._cut(step)
        if self._stream is None:
            return _Cut(tensors, None)
        with torch.cuda.stream(self._stream):
            # From pinned memory, which torch keeps until the copy is complete.
            copies = [each.pin_memory().to(self._device, non_blocking=True) for each in tensors]
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch's
            copied.record(self._stream)
        return _Cut(copies, copied)
