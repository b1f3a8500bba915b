"""Random numbers that belong to one place of one global batch, on any rank."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Numbers = Mapping[str, NDArray[np.float32]]
"""Arrays of one patch or one batch by name."""
Outcome = TypeVar("Outcome")


class Chance:
    """An endless row of numbers that is a function of seed, step and place alone.

    Everything is drawn on the CPU, so
    every device gets the same.
    """

    def __init__(self, seed: int, step: int, place: int) -> None:
        self._bits = _philox(seed, step, place)

    def numbers(self, count: int) -> NDArray[np.float64]:
        """Uniform numbers (count,) in [0, 1)."""
        return _in_unit_range(self._bits.random_raw(count))

    def between(self, lowest: float, highest: float) -> float:
        return lowest + float(self.numbers(1)[0]) * (highest - lowest)

    def whole(self, least: int, most: int, step: int = 1) -> int:
        """One of least, least + step, … up to most, each as likely."""
        return least + step * int(self.numbers(1)[0] * ((most - least) // step + 1))

    def happens(self, probability: float) -> bool:
        return bool(self.numbers(1)[0] < probability)

    def one_of(self, probabilities: Mapping[Outcome, float]) -> Outcome:
        """One of the keys; what the probabilities lack of 1 falls to the last."""
        drawn = float(self.numbers(1)[0])
        for outcome, probability in probabilities.items():  # noqa: B007  # the last one stays
            if drawn < probability:
                break
            drawn -= probability
        return outcome


def uniform(seed: int, step: int, place: int, count: int) -> NDArray[np.float64]:
    """The first numbers of a `Chance`, in [0, 1)."""
    return Chance(seed, step, place).numbers(count)


def sent(drawn: Sequence[Numbers], device: torch.device) -> list[dict[str, Tensor]]:
    """Copy all that was drawn to the device at once; same names and shapes, views of one tensor.

    A GPU gets it from pinned memory, which torch keeps until the copy is complete, so that this
    thread does not wait. From other memory it would wait for each array, and for the step before.
    """
    arrays = [array for each in drawn for array in each.values()]
    sizes = [array.size for array in arrays]
    host = torch.empty(sum(sizes), pin_memory=device.type == "cuda")
    if arrays:
        np.concatenate([array.reshape(-1) for array in arrays], out=host.numpy())
    parts = iter(torch.split(host.to(device, non_blocking=True), sizes))
    return [{name: next(parts).view(array.shape) for name, array in each.items()} for each in drawn]


def as_normal(uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Box–Muller: two uniform numbers → one normal."""
    one, other = np.split(uniform, 2)
    return np.asarray(np.sqrt(-2 * np.log1p(-one)) * np.cos(2 * np.pi * other))


def _philox(seed: int, step: int, place: int) -> np.random.Philox:
    # A separate stream for each place; stream 0 draws the patches. Raw bits instead of Generator's
    # methods, because their streams may differ between releases of numpy.
    key, counter = np.array([seed % 2**64, step], np.uint64), np.array([0, place + 1, 0, 0])
    return np.random.Philox(key=key, counter=counter.astype(np.uint64))


def _in_unit_range(raw: NDArray[np.uint64]) -> NDArray[np.float64]:
    return np.asarray((raw >> np.uint64(11)) * 2.0**-53)
