"""Pretend that a GPU, which is not there, has raised an error."""

import pytest
import torch


def pretend_gpu(monkeypatch: pytest.MonkeyPatch, *, broken: bool) -> None:
    """Have the GPU answer the question whether it works on after an error."""

    def synchronize() -> None:
        if broken:
            raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.accelerator, "synchronize", synchronize)
