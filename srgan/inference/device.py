"""A GPU that fails, told from an image that is at fault."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from srgan.errors import DeviceError
from srgan.inference.memory import is_out_of_memory


@contextmanager
def whole_device() -> Iterator[None]:
    """Raise a `DeviceError` where a GPU fails for another reason than memory.

    Its context is broken then, and everything that follows in this process would fail too. PyTorch
    raises a `RuntimeError`, as for an image that is at fault.
    """
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error) or not _is_of_device(error):
            raise
        raise DeviceError(f"the GPU failed, this process cannot go on with it: {error}") from error


def _is_of_device(error: RuntimeError) -> bool:
    # cuBLAS has no class for it.
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)
