"""One network's optimiser: clip, step, and do nothing where gradients are not finite."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_BETAS = (0.9, 0.999)  # section 3.2 gives β1 = 0.9


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one update did; both values stay on the device."""

    gradient_norm: Tensor
    """Global norm over all parameters before clipping."""
    skipped: Tensor
    """1.0 where gradients were not finite and the update did nothing, else 0.0."""


class Update:
    """Adam for one network.

    Gradients are averaged over the ranks before their norm is taken, so all ranks see the same
    norm and skip the same steps. Nothing here waits for the device.
    """

    def __init__(self, network: nn.Module, gradient_clip: float | None) -> None:
        self._parameters = list(network.parameters())
        self._buffers = list(network.buffers())
        self._buffers_before = [buffer.clone() for buffer in self._buffers]
        self._largest_norm = gradient_clip if gradient_clip is not None else math.inf
        # Fused: the one implementation that masks a step on the device (`found_inf`).
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(
            self._parameters, betas=_BETAS, fused=True
        )

    def begin(self) -> None:
        """Remember the running statistics; call before the step's first forward."""
        for before, buffer in zip(self._buffers_before, self._buffers, strict=True):
            before.copy_(buffer)

    def step(self, loss: Tensor, learning_rate: float) -> Outcome:
        """Backward and one optimiser step; gradients must not be used afterwards."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if math.isfinite(self._largest_norm):
            nn.utils.clip_grads_with_norm_(self._parameters, self._largest_norm, norm)
        skipped = (~torch.isfinite(norm)).to(torch.float32)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.found_inf = skipped  # type: ignore[attr-defined]  # as GradScaler does
        self.optimizer.step()
        return Outcome(norm, skipped)

    @torch.no_grad()
    def finish(self, skipped: Tensor) -> None:
        """Put the running statistics back where the step was skipped."""
        for before, buffer in zip(self._buffers_before, self._buffers, strict=True):
            buffer.copy_(torch.where(skipped.bool(), before, buffer))

    def state(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state)
