"""The number format in which networks compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16", "auto"]


def computes_bf16(device: torch.device) -> bool:
    """Return whether the device has bf16 instructions; emulation is slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not torch._C._has_mkldnn:
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Make a new autocast context; disabled for fp32.

    Use one context per forward pass: it caches the cast weights, so after an optimiser step a
    second forward pass within it would use the old weights.
    """
    if precision == "fp16":
        return torch.autocast(device.type, dtype=torch.float16)
    enabled = precision == "bf16" or (precision == "auto" and computes_bf16(device))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


_IEEE = "ieee"


class _Exact:
    """How many `ieee_fp32` blocks are open, and what torch had before the first of them."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.num_open = 0
        self.before: list[str] = []


_exact = _Exact()


@contextmanager
def ieee_fp32() -> Iterator[None]:
    """Compute float32 convolutions and matrix products as float32 within this block.

    GPUs since Ampere otherwise compute convolutions in TF32, whose 10 bits of mantissa cannot tell
    levels of a 16-bit photo apart. torch's switches belong to the whole process, so blocks of
    several threads may overlap, and the last one restores what there was before.
    """
    switches = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]  # not in stubs
    with _exact.lock:
        if not _exact.num_open:
            _exact.before = [switch.fp32_precision for switch in switches]
            for switch in switches:
                switch.fp32_precision = _IEEE
        _exact.num_open += 1
    try:
        yield
    finally:
        with _exact.lock:
            _exact.num_open -= 1
            if not _exact.num_open:
                for switch, before in zip(switches, _exact.before, strict=True):
                    switch.fp32_precision = before
