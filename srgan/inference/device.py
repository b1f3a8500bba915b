"""A GPU that fails, told from an image that is at fault."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from srgan.errors import DeviceError
from srgan.inference.memory import is_out_of_memory

_BEGINNINGS = ("CUDA error", "cuDNN error", "cuDNN Frontend error")
"""Texts with which errors without a class begin; those of cuBLAS begin as CUDA's."""


@contextmanager
def whole_device() -> Iterator[None]:
    """Raise a `DeviceError` where a GPU fails and this process cannot use it any more.

    Its context is broken then, and everything that follows would fail too. PyTorch raises a
    `RuntimeError`, as for an image that is at fault. That is raised as it is where the GPU only
    refuses something, such as memory or a kernel of too many blocks, and works on.
    """
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error) or not is_of_device(error) or _works_on():
            raise
        raise DeviceError(f"the GPU failed, this process cannot go on with it: {error}") from error


def is_of_device(error: BaseException) -> bool:
    """True for an error of the GPU or its libraries, also if the image is at fault."""
    return isinstance(error, torch.AcceleratorError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in _BEGINNINGS)
    )


def _works_on() -> bool:
    # Every later call fails too if the context is broken; CUDA returns any other error only once.
    try:
        torch.accelerator.synchronize()
    except RuntimeError:
        return False
    return True
