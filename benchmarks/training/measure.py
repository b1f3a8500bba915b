"""Measure comparable times: in turn, after a warm-up, as medians."""

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Size:
    """Sizes of the networks, batches and rounds to measure."""

    rounds: int = 7
    steps: int = 3
    """Steps that are timed together within a round."""
    batch: int = 16
    patch: int = 96
    num_blocks: int = 16
    num_channels: int = 64
    gemm: int = 2048
    crops: int = 1000
    loader_batches: int = 400


TINY = Size(
    rounds=1,
    steps=1,
    batch=4,
    patch=32,
    num_blocks=1,
    num_channels=8,
    gemm=128,
    crops=40,
    loader_batches=10,
)
"""Shows that the script runs; its figures mean nothing."""


def in_turn(sides: Mapping[str, Callable[[int], object]], size: Size) -> dict[str, float]:
    """Measure median seconds of one step of each side; `sides` take the number of the step."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(size.rounds + 1):
        for name, run in sides.items():
            begun = time.perf_counter()
            for step in range(size.steps):
                run(round_ * size.steps + step)
            if round_:  # the first round warms up
                times[name].append((time.perf_counter() - begun) / size.steps)
    return {name: statistics.median(each) for name, each in times.items()}


def gemm(size: Size, dtype: torch.dtype) -> tuple[Callable[[int], object], float]:
    """Make a matrix product as a side of `in_turn`; return it and its FLOP."""
    a, b = (torch.randn(size.gemm, size.gemm).to(dtype) for _ in range(2))
    return lambda _: a @ b, 2.0 * size.gemm**3


class Split(AbstractContextManager["Split"]):
    """Seconds spent in parts of a step: `watch` wraps a function; nested parts count once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: list[float] = []

    def watch(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        """Wrap a function, so that its time without nested parts counts as `name`."""

        def timed(*arguments: object, **options: object) -> object:
            begun = time.perf_counter()
            self._open.append(0.0)
            try:
                return function(*arguments, **options)
            finally:
                took = time.perf_counter() - begun
                inner = self._open.pop()
                self.seconds[name] = self.seconds.get(name, 0.0) + took - inner
                if self._open:
                    self._open[-1] += took

        return timed

    def __enter__(self) -> "Split":
        self._backward = torch.Tensor.backward
        torch.Tensor.backward = self.watch("backward", torch.Tensor.backward)  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        torch.Tensor.backward = self._backward  # type: ignore[method-assign]
