"""Batches that are cut, and on GPUs copied, while the current step computes."""

import threading
import time

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from srgan.train.batches import Batches

CPU = torch.device("cpu")


class Counted:
    """Stands for `Patches`: each batch is filled with its step."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.threads: set[int] = set()

    def batch(self, step: int, *, rank: int, num_ranks: int) -> NDArray[np.uint8]:
        self.steps.append(step)
        self.threads.add(threading.get_ident())
        return np.full((4, 3, 16, 16), step, np.uint8)


def settled(patches: Counted, count: int) -> list[int]:
    deadline = time.monotonic() + 30
    while len(patches.steps) < count and time.monotonic() < deadline:
        time.sleep(0.001)
    return patches.steps


def test_two_batches_are_cut_ahead_in_another_thread() -> None:
    patches = Counted()
    with Batches(patches, CPU) as batches:  # type: ignore[arg-type]  # counts
        assert batches.take(5).windows.unique().tolist() == [5]
        assert settled(patches, 3) == [5, 6, 7]
        assert batches.take(6).windows.unique().tolist() == [6]
        assert settled(patches, 4) == [5, 6, 7, 8]
    assert threading.get_ident() not in patches.threads


def test_a_step_out_of_turn_gets_its_own_batch() -> None:
    with Batches(Counted(), CPU) as batches:  # type: ignore[arg-type]  # counts
        for step in (3, 4, 9, 10, 0):
            assert batches.take(step).windows.unique().tolist() == [step]


def test_on_the_cpu_a_batch_is_the_memory_that_was_cut() -> None:
    patches = Counted()
    made = np.zeros((1, 3, 16, 16), np.uint8)
    patches.batch = lambda step, **_: made  # type: ignore[method-assign]
    with Batches(patches, CPU) as batches:  # type: ignore[arg-type]  # counts
        assert batches.take(0).windows.data_ptr() == made.ctypes.data


class PairsOnly:
    """Stands for `Patches` of 2 pairs in batches of 6."""

    batch_size = 2

    def cut_pairs(self, step: int, places: range) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        number = np.array(places, np.uint8).reshape(-1, 1, 1, 1)
        return np.tile(number, (1, 3, 8, 8)), np.tile(number, (1, 3, 16, 16))


class Others:
    batch_size = 4

    def cut(self, step: int, places: range) -> NDArray[np.uint8]:
        return np.tile(np.array(places, np.uint8).reshape(-1, 1, 1, 1), (1, 3, 20, 20))


def test_a_batch_has_exactly_its_share_of_pairs() -> None:
    with Batches(Others(), CPU, PairsOnly()) as batches:  # type: ignore[arg-type]  # count
        batch = batches.take(0)
    assert batch.pairs is not None
    assert batch.pairs.lr[:, 0, 0, 0].tolist() == [0, 1]
    assert batch.pairs.hr.shape == (2, 3, 16, 16)
    assert batch.windows[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_copy_to_a_gpu_does_not_wait_for_the_step_that_computes() -> None:
    device = torch.device("cuda")
    with Batches(Counted(), device) as batches:  # type: ignore[arg-type]  # counts
        assert batches._stream != torch.cuda.current_stream()
        for step in range(20):
            windows = batches.take(step).windows
            torch.cuda._sleep(10_000_000)  # the step: the next batches are copied beside it
            assert (windows == step).all()
        torch.cuda._sleep(2_000_000_000)
        batches.take(20)
        pending = [future.result().copied for _, future in batches._ahead]
        for event in pending:
            event.synchronize()
        assert not torch.cuda.current_stream().query(), "the copies waited for the step"
