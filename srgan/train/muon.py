"""Muon: momentum with orthogonalised updates (Jordan 2024)."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
# A quintic whose iterates push every singular value to about 1 (Jordan 2024); steep at zero, so
# that five rounds are enough.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by Newton–Schulz iterations, for convolutions.

    A weight (out, in, k, k) counts as a matrix (out, in · k²). The root mean square of a step is
    the learning rate, as in Adam's first step, so both take the same one. `found_inf` (a tensor, 0
    or 1, set from outside as `GradScaler` does) masks a step on the device.
    """

    found_inf: Tensor

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__(parameters, {"lr": 0.0})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 4:
                    raise ValueError(
                        f"Muon takes convolutions (out, in, k, k), got {tuple(parameter.shape)}"
                    )
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closures here
        """One step for every parameter that has a gradient. Nothing here waits for the device."""
        assert closure is None
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for parameters in alike.values():
                self._move(parameters, group["lr"])

    def _move(self, parameters: list[nn.Parameter], learning_rate: float) -> None:
        """Parameters of one shape at once: a few large products instead of many small ones."""
        skipped = self.found_inf.bool()
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        gradients = torch.stack([p.grad for p in parameters if p.grad is not None])
        before = torch.stack(momenta)
        after = torch.where(skipped, before, before.lerp(gradients, 1 - _MOMENTUM))
        ahead = gradients.lerp(after, _MOMENTUM)  # Nesterov's look ahead
        steps = orthogonal(ahead.flatten(2))
        largest_side = max(steps.shape[1:])
        steps = torch.where(skipped, 0.0, steps * (learning_rate * largest_side**0.5))
        for parameter, momentum, new, step in zip(parameters, momenta, after, steps, strict=True):
            momentum.copy_(new)
            parameter.sub_(step.view(parameter.shape))


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, rows, columns) → the same with all singular values about 1 (0.7 to 1.2)."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.mT if tall else x
    return result
