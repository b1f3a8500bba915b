"""Drawn numbers on their way to the device: one copy, from pinned memory for a GPU."""

from typing import Any

import numpy as np
import pytest
import torch

from srgan.degradation.chance import sent

CPU = torch.device("cpu")
DRAWN = [
    {"kernel": np.arange(9, dtype=np.float32).reshape(3, 3), "quality": np.array([7], np.float32)},
    {},
    {"kernel": np.arange(25, dtype=np.float32).reshape(5, 5) / 3},
]


@pytest.mark.parametrize("drawn", [DRAWN, [{}, {}], []])
def test_names_shapes_and_values_arrive(drawn: list[dict[str, Any]]) -> None:
    found = sent(drawn, CPU)
    assert [each.keys() for each in found] == [each.keys() for each in drawn]
    for one, other in zip(found, drawn, strict=True):
        for name, array in other.items():
            np.testing.assert_array_equal(one[name].numpy(), array)


def test_a_gpu_gets_all_in_one_copy_that_nobody_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    empty = torch.empty

    def host(size: int, *, pin_memory: bool) -> torch.Tensor:
        asked.append(pin_memory)
        return empty(size)

    def copied(tensor: torch.Tensor, device: torch.device, *, non_blocking: bool) -> torch.Tensor:
        asked.append((device.type, tensor.numel(), non_blocking))
        return tensor

    monkeypatch.setattr(torch, "empty", host)
    monkeypatch.setattr(torch.Tensor, "to", copied)
    sent(DRAWN, torch.device("cuda"))
    assert asked == [True, ("cuda", 35, True)]
