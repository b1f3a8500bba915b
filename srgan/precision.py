"""The number format in which networks compute."""

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
