"""Update one network's weights, skip non-finite gradients, and keep a running average."""

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from srgan.models.base import Generator
from srgan.train.muon import Muon

_BETAS = (0.9, 0.999)  # section 3.2 gives β1 = 0.9
_STATISTICS_AGE = 9.0
"""Mean age of batch norm's running statistics in steps: (1 − momentum) / momentum, torch's 0.1."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one update; both values stay on the device."""

    gradient_norm: Tensor
    """Global norm over all parameters before clipping."""
    skipped: Tensor
    """1.0 where gradients were not finite and the update did nothing, else 0.0."""


class Update:
    """Adam for one network, or with ``muon`` Muon for its inner convolutions and Adam for the rest.

    Gradients are averaged over the ranks before their norm is taken, so all ranks see the same
    norm and skip the same steps. Nothing here waits for the device.

    In fp16 the loss is scaled up for the backward pass, by a factor that halves after a step that
    was not finite and doubles after 2,000 that were.
    """

    def __init__(
        self,
        network: nn.Module,
        gradient_clip: float | None,
        optimizer: Literal["adam", "muon"] = "adam",
        *,
        scaled: bool = False,
    ) -> None:
        self._parameters = list(network.parameters())
        self._statistics = [_Kept(each) for each in _by_type(network.buffers())]
        self._largest_norm = gradient_clip if gradient_clip is not None else math.inf
        inner = _inner_convolutions(self._parameters) if optimizer == "muon" else []
        self.muon = Muon(inner) if inner else None
        # Fused: the one implementation that masks a step on the device (`found_inf`).
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(
            [p for p in self._parameters if not any(p is one for one in inner)],
            betas=_BETAS,
            fused=True,
        )
        device = self._parameters[0].device.type
        self.scaler = torch.amp.GradScaler(device) if scaled else None

    def begin(self) -> None:
        """Remember the running statistics; call before the step's first forward."""
        for statistics in self._statistics:
            statistics.remember()

    def step(self, loss: Tensor, learning_rate: float) -> Outcome:
        """Backward and one optimiser step; gradients must not be used afterwards."""
        for parameter in self._parameters:
            parameter.grad = None
        optimizers = [self.optimizer, self.muon] if self.muon else [self.optimizer]
        if self.scaler:
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's
            for optimizer in optimizers:
                self.scaler.unscale_(optimizer)
            # The scaler's own `step` would check each optimiser's gradients separately.
            self.scaler.update()
        else:
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if math.isfinite(self._largest_norm):
            nn.utils.clip_grads_with_norm_(self._parameters, self._largest_norm, norm)
        skipped = (~torch.isfinite(norm)).to(torch.float32)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            optimizer.found_inf = skipped  # type: ignore[attr-defined]  # as GradScaler does
            optimizer.step()
        return Outcome(norm, skipped)

    @torch.no_grad()
    def finish(self, skipped: Tensor) -> None:
        """Put the running statistics back where the step was skipped."""
        is_skipped = skipped.bool()
        for statistics in self._statistics:
            statistics.restore(is_skipped)

    def gradient(self, loss: Tensor, images: Tensor) -> Tensor:
        """Gradient of `loss` by `images`, of their shape.

        In fp16 it is computed on the scaled loss, or small values would vanish on the way.
        """
        if self.scaler is None:
            (found,) = torch.autograd.grad(loss, images)
            return found
        (found,) = torch.autograd.grad(self.scaler.scale(loss), images)
        return found / self.scaler.scale(torch.ones_like(loss))

    def state(self) -> dict[str, Any]:
        muon = {"muon": self.muon.state_dict()} if self.muon else {}
        scaler = {"scaler": self.scaler.state_dict()} if self.scaler else {}
        return {**self.optimizer.state_dict(), **muon, **scaler}

    def load_state(self, state: dict[str, Any]) -> None:
        if self.muon:
            self.muon.load_state_dict(state["muon"])
        if self.scaler:
            self.scaler.load_state_dict(state["scaler"])
        self.optimizer.load_state_dict({key: state[key] for key in ("state", "param_groups")})


class _Kept:
    """Buffers of one type, and their values at the step's begin in one tensor.

    SRResNet has 99 buffers. On a GPU each kernel costs a launch, so they are copied together.
    """

    def __init__(self, buffers: list[Tensor]) -> None:
        self._buffers = buffers
        self._before, self._now, self._chosen = (_joined(buffers) for _ in range(3))
        parts = torch.split(self._chosen, [buffer.numel() for buffer in buffers])
        self._parts = [part.view(b.shape) for part, b in zip(parts, buffers, strict=True)]

    @torch.no_grad()
    def remember(self) -> None:
        _joined(self._buffers, out=self._before)

    @torch.no_grad()
    def restore(self, is_skipped: Tensor) -> None:
        """Put the values back where `is_skipped` (a bool on the device) says so."""
        _joined(self._buffers, out=self._now)
        torch.where(is_skipped, self._before, self._now, out=self._chosen)
        torch._foreach_copy_(self._buffers, self._parts)


def _by_type(buffers: Iterable[Tensor]) -> list[list[Tensor]]:
    found: dict[torch.dtype, list[Tensor]] = {}
    for buffer in buffers:
        found.setdefault(buffer.dtype, []).append(buffer)
    return list(found.values())


def _joined(buffers: list[Tensor], out: Tensor | None = None) -> Tensor:
    """All values of buffers of one type, one after the other."""
    return torch.cat([buffer.reshape(-1) for buffer in buffers], out=out)


def _inner_convolutions(parameters: list[nn.Parameter]) -> list[nn.Parameter]:
    """All but the first and the last, because their channels are those of an image."""
    return [parameter for parameter in parameters if parameter.ndim == 4][1:-1]


class Ema:
    """A second generator that follows the first with a slowly growing memory.

    The decay is min(decay, (1 + n) / (10 + n)) after n updates: with the full decay from the
    start, the average would hold random initial weights for thousands of steps. The running
    statistics of batch norm are averaged to the same mean age as the weights: copied ones would
    belong to weights that come decay / (1 − decay) steps later.
    """

    def __init__(self, generator: Generator, decay: float) -> None:
        self.generator = copy.deepcopy(generator).eval().requires_grad_(False)
        self._decay = decay
        device = next(generator.parameters()).device
        self.num_updates = torch.zeros((), device=device)
        """On the device, because only there it is known whether a step counts."""

    @torch.no_grad()
    def update(self, generator: Generator, skipped: Tensor) -> None:
        """Follow `generator` unless `skipped` (0 or 1, on the device) says that it did not move."""
        counts = 1 - skipped
        corrected = (1 + self.num_updates) / (10 + self.num_updates)
        decay = corrected.clamp(max=self._decay)
        _follow(
            list(self.generator.parameters()),
            list(generator.parameters()),
            (1 - decay) * counts,
        )
        averages, counters = _statistics(self.generator)
        statistics, counters_now = _statistics(generator)
        if averages:
            younger = (decay / (1 - decay) - _STATISTICS_AGE).clamp(min=0)
            _follow(averages, statistics, counts / (1 + younger))
        if counters:
            torch._foreach_copy_(counters, counters_now)
        self.num_updates += counts


def _follow(averages: list[Tensor], current: list[Tensor], weight: Tensor) -> None:
    """Move averages towards the current values by a share that stays on the device."""
    # One kernel for all tensors on a GPU; `lerp` does not take a weight on the device.
    moves = list(torch._foreach_sub(current, averages))
    torch._foreach_mul_(moves, weight)
    torch._foreach_add_(averages, moves)


def _statistics(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Running statistics, and the whole numbers beside them (batches seen so far)."""
    buffers = list(network.buffers())
    return (
        [each for each in buffers if each.is_floating_point()],
        [each for each in buffers if not each.is_floating_point()],
    )
