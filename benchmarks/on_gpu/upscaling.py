"""Upscaling on one device: rates, the rounding of ``auto``, and memory that runs out."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.on_gpu.steps import Size
from benchmarks.quality.photos import SCALE, Pair
from srgan.inference.engine import Engine
from srgan.inference.tiles import LEAST_SIDE
from srgan.measure.metrics import psnr
from srgan.models.base import Generator
from srgan.models.build import build_generator
from srgan.models.interchange import load_generator
from srgan.models.interpolation import Nearest
from srgan.models.shipped import read_shipped

_ROOM_BYTES = 512 * 2**20
"""Memory of the device that the fallback gets: less than the features of its first tile."""
_WINDOW = 256
"""Largest side, in LR pixels, of what the stand-in on a CPU computes at once."""


def measure_rates(device: torch.device, size: Size) -> None:
    """Time the paper's network, and one that costs nothing: the ceiling of all the rest."""
    picture = _noise(size.side)
    engines = {
        "SRResNet, fp32": Engine(build_generator(size.generator), device=device),
        "SRResNet, auto": Engine(build_generator(size.generator), device=device, precision="auto"),
        "a free network (nearest)": Engine(Nearest(SCALE), device=device),
    }
    for title, engine in engines.items():
        engine.upscale(picture)  # chooses the tile and loads the kernels
        begun, done = time.perf_counter(), 0
        while time.perf_counter() - begun < size.timed_s:
            engine.upscale(picture)  # waits for the device
            done += 1
        rate = done * picture[..., 0].size * SCALE**2 / (time.perf_counter() - begun)
        print(
            f"upscaling {size.side}×{size.side}, {title}: {rate / 1e6:.1f} output MP/s", flush=True
        )


def measure_rounding(device: torch.device, photos: Sequence[Pair]) -> None:
    """PSNR of ``auto`` against ``fp32`` with the shipped network; 50 dB are promised."""
    exact, free = (
        Engine(load_generator(read_shipped("shipped")), device=device, precision=precision)
        for precision in ("fp32", "auto")
    )
    found = {
        each.name: psnr(exact.upscale(each.lr.rgb), free.upscale(each.lr.rgb), border=SCALE)
        for each in photos
    }
    worst = min(found, key=lambda name: found[name])
    print(
        f"auto against fp32: {found[worst]:.1f} dB, the worst photo of Set5 ({worst})", flush=True
    )


def measure_fallback(device: torch.device, size: Size) -> None:
    """Upscale in one tile that does not fit: the tile is halved, and the result is the same.

    On a CPU a network stands in that says by itself when it is too much.
    """
    picture = _noise(size.side)
    is_gpu = device.type == "cuda"
    network: Generator = build_generator(size.generator) if is_gpu else _Greedy()
    whole = Engine(network, device=device, tile=LEAST_SIDE).upscale(picture)
    engine = Engine(network, device=device, tile=size.side)
    with _little_memory(device):
        found = engine.upscale(picture)
    kept = engine._limit.of(size.side)
    if kept == size.side:
        raise AssertionError(f"a tile of {size.side} fits: memory did not run out")
    print(
        f"memory fallback: the tile went from {size.side} to {kept}; {(found != whole).sum()} of "
        f"{found.size:,} values differ from those of tiles of {LEAST_SIDE}",
        flush=True,
    )


class _Greedy(Nearest):
    """Nearest that cannot compute large windows."""

    def __init__(self) -> None:
        super().__init__(SCALE)

    def trunk(self, lr: Tensor) -> Tensor:
        if max(lr.shape[2:]) > _WINDOW:
            raise torch.OutOfMemoryError("out of memory")
        return lr


@contextmanager
def _little_memory(device: torch.device) -> Iterator[None]:
    """Leave this process little of the device's memory beyond what it holds."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.empty_cache()
    total = torch.cuda.mem_get_info(device)[1]
    share = (torch.cuda.memory_reserved(device) + _ROOM_BYTES) / total
    torch.cuda.set_per_process_memory_fraction(share, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def _noise(side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
