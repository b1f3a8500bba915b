"""Convert between pixels and the tensors that networks compute with.

On a GPU nothing here waits for the device until an image ends. Pixels go there and come back
through pinned memory, which the device reads and writes while both sides go on working.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from srgan.errors import ImageError
from srgan.images.photo import Samples as Pixels

Place = Callable[[Pixels], None]
"""Puts the pixels (N, H, W, 3) of a piece into the results."""
_MOST_UNDER_WAY = 4
"""Pieces that a GPU may be ahead of the results. While the first is copied and placed, the GPU
computes the others, and the next trunk is queued. Each takes up to 4 MB of pinned memory at ×4."""


def to_lr(windows: Sequence[Pixels], device: torch.device) -> Tensor:
    """N of uint8 or uint16 (h, w, 3) → float (N, 3, h, w) in [0, 1], channels-last."""
    dtype = torch.uint8 if windows[0].dtype == np.uint8 else torch.uint16
    # torch keeps pinned memory until the copy from it is complete. The copy is on the stream of the
    # computation, because it is a sixteenth of the pixels at ×4, and the trunk needs it at once.
    host = torch.empty(
        (len(windows), *windows[0].shape), dtype=dtype, pin_memory=device.type == "cuda"
    )
    np.stack(windows, out=host.numpy())
    values = host.to(device, non_blocking=True)
    return (values.float() / torch.iinfo(dtype).max).permute(0, 3, 1, 2)


def compact(view: Tensor) -> Tensor:
    """Copy a view into contiguous channels-last memory."""
    return view.contiguous(memory_format=torch.channels_last)


def to_levels(sr: Tensor) -> Tensor:
    """Float, nominally [−1, 1] → uint8, rounded."""
    return ((sr + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _to_deep_levels(sr: Tensor) -> Tensor:
    return ((sr + 1) * 32767.5).round().clamp(0, 65_535).to(torch.uint16)


@dataclass(frozen=True, slots=True)
class _Piece:
    pixels: Tensor
    """(N, H, W, 3) of uint8 or uint16 on the host."""
    place: Place
    copied: torch.cuda.Event | None = None
    """Happens when the pixels of a GPU have arrived."""
    source: Tensor | None = None
    """The copied tensor. It lives until then, so that its memory is not used again too early."""


class Outgoing:
    """Pixels of one image's pieces on their way from the device into the result.

    On the CPU a piece is placed at once. On a GPU it is copied into pinned memory on another stream
    than that of the computation, beside the next pieces, and placed when it has arrived. Pieces are
    placed in the order of `send`. One that could not be placed, because memory ran out, is placed
    at the next call.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = (
            torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's
            if device.type == "cuda"
            else None
        )
        self._most_under_way = 0 if self._stream is None else _MOST_UNDER_WAY
        self._under_way: deque[_Piece] = deque()
        self._span = torch.zeros((), device=device)
        """Largest span of values of a piece: infinite or NaN as soon as one of them is."""

    def send(self, sr: Tensor, dtype: DTypeLike, place: Place) -> None:
        """Float (N, 3, H, W), nominally [−1, 1] → (N, H, W, 3) of uint8 or uint16, rounded."""
        # On the device, because asking at each piece would wait for the device at each piece. One
        # pass over the values; `isfinite` makes four.
        least, most = torch.aminmax(sr)
        self._span = torch.maximum(self._span, most - least)
        levels = to_levels(sr) if dtype == np.uint8 else _to_deep_levels(sr)
        self._under_way.append(self._copied(levels.permute(0, 2, 3, 1), place))
        while len(self._under_way) > self._most_under_way:
            self._place_first()

    def finish(self) -> None:
        """Place what is still under way, and wait for it.

        `ImageError` (``not_finite``) for NaN and infinity, which would become black pixels.
        """
        while self._under_way:
            self._place_first()
        if not torch.isfinite(self._span):
            raise ImageError("not_finite", "the network gave values that are not finite")

    def _copied(self, levels: Tensor, place: Place) -> _Piece:
        """Begin to copy (N, H, W, 3) to the host."""
        if self._stream is None:
            return _Piece(levels, place)
        source = levels.contiguous()
        pixels = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            pixels.copy_(source, non_blocking=True)
        # Who waits for a blocking event sleeps, so that the encoders have this processor.
        copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # torch's
        copied.record(self._stream)
        return _Piece(pixels, place, copied, source)

    def _place_first(self) -> None:
        piece = self._under_way[0]
        if piece.copied is not None:
            piece.copied.synchronize()
        piece.place(piece.pixels.numpy())
        self._under_way.popleft()
