"""Memory that a tile takes, and the largest tile that fits into a budget."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from srgan.errors import ConfigError
from srgan.inference.reach import Reach
from srgan.inference.tiles import LEAST_SIDE
from srgan.models.base import Generator

MEMORY_BYTES = 2 * 2**30
PROCESS_BYTES = 512 * 2**20
"""Memory of the process before the first tile. Measured on Linux with SRResNet and a photo of 20
pixels: 434 MiB with all client libraries of a bulk worker, 277 MiB for `srgan upscale`."""
_SLACK = 1.3
"""Factor for memory that kernels allocate besides their tensors or the allocator cannot reuse."""
_MOST_TILES = 24  # of 144 pixels a side: beyond that, context costs almost nothing
_UNTIL_LARGER = 32
PROBE_SIDE = 24
"""Side of the picture that is run to count memory, in LR pixels."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Peak bytes per LR pixel of one network in one number format."""

    trunk: float
    """Per pixel of the window, while the trunk runs."""
    kept: float
    """Per pixel of the window: the window and its features, while the head runs."""
    head: float
    """Per pixel of a piece, while the head runs."""

    def peak_bytes(self, tile: int, reach: Reach) -> int:
        """Peak bytes of one tile with the context of `reach` on each side."""
        window = (tile + 2 * reach.total + reach.step - 1) ** 2
        piece = (min(tile, 2 * LEAST_SIDE) + 2 * reach.head) ** 2
        return int(_SLACK * max(self.trunk * window, self.kept * window + self.head * piece))


def costs_of(
    generator: Generator,
    dtype: torch.dtype,
    finish: Callable[[Tensor], Any],
    side: int = PROBE_SIDE,
) -> Costs:
    """Run a picture of `side`² pixels through the network; count the tensors held at once.

    `finish` is applied to the head's SR.
    """
    device = next((tensor.device for tensor in generator.parameters()), torch.device("cpu"))
    lr = torch.zeros(1, 3, side, side, device=device)
    num_pixels = side**2
    with torch.inference_mode():
        features = generator.trunk(lr.to(dtype))
        trunk = _peak(lambda: generator.trunk(lr.to(dtype)))
        head = _peak(lambda: finish(generator.head(features + 0, lr + 0)))
    kept = features.nbytes + lr.nbytes
    return Costs((trunk + lr.nbytes) / num_pixels, kept / num_pixels, head / num_pixels)


def largest_tile(available_bytes: int, costs: Costs, reach: Reach) -> int:
    """Side of the largest tile in LR pixels that fits; `ConfigError` if not even 144 does."""
    if costs.peak_bytes(LEAST_SIDE, reach) > available_bytes:
        least = PROCESS_BYTES + costs.peak_bytes(LEAST_SIDE, reach)
        raise ConfigError(
            f"the memory budget is too small for this network: a tile of {LEAST_SIDE} pixels with "
            f"{reach.total} of context takes {least / 2**30:.1f} GiB with the process around it; "
            "raise --memory (memory_bytes)"
        )
    count = 1
    while count < _MOST_TILES:
        if costs.peak_bytes(LEAST_SIDE * (count + 1), reach) > available_bytes:
            break
        count += 1
    return LEAST_SIDE * count


_OUT_OF_MEMORY = (
    "can't allocate memory",
    "out of memory",
    "_ALLOC_FAILED",  # cuBLAS, cuDNN
    "_ALLOCATION_FAILED",  # cuDNN 9
    "unable to find an engine",  # cuDNN, if no algorithm gets the memory it needs
)


class TileLimit:
    """The largest tile that memory allowed lately.

    Memory may have been short because of something else on the device, so the limit doubles again
    after `_UNTIL_LARGER` images without an error. A tile that is too large then costs its own time.
    """

    def __init__(self) -> None:
        self._side: int | None = None
        self._num_images = 0

    def of(self, tile: int) -> int:
        """Lower a wanted tile to the limit."""
        return tile if self._side is None else min(tile, self._side)

    def halve(self, tile: int) -> int:
        """Half of a tile that memory ran out with: the limit from now on."""
        self._side, self._num_images = max(LEAST_SIDE, tile // 2), 0
        return self._side

    def note_image(self, wanted: int) -> None:
        """Count an image that is done, for which a tile of `wanted` would have been chosen."""
        self._num_images += 1
        if self._side is not None and self._num_images >= _UNTIL_LARGER:
            self._side, self._num_images = 2 * self._side, 0
            if self._side >= wanted:
                self._side = None


def is_out_of_memory(error: BaseException) -> bool:
    """True if an allocation failed: Python's, NumPy's, or torch's or a library's on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def _peak(run: Callable[[], object]) -> int:
    mode = _Peak()
    with mode:
        run()
    return mode.peak_bytes


class _Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]  # not typed in torch
    """Count the bytes of all storages that are alive after each operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # not typed in torch
        self.peak_bytes = 0
        self._live: dict[StorageWeakRef, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """torch's own switch; True would import its compiler, which takes a second."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self._live = {ref: size for ref, size in self._live.items() if not _is_gone(ref)}
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                self._live[_weak(storage)] = storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, sum(self._live.values()))
        return result


def _weak(storage: torch.UntypedStorage) -> StorageWeakRef:
    return StorageWeakRef(storage)  # type: ignore[no-untyped-call]  # not typed in torch


def _is_gone(ref: StorageWeakRef) -> bool:
    return bool(ref.expired())  # type: ignore[no-untyped-call]  # not typed in torch
