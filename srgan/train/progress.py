"""Measure the progress of a running stage, and tell it to a reporter."""

import math
import resource
import sys
import time
from collections import deque
from typing import Protocol

import torch
from torch import Tensor

from srgan.config import AdversarialConfig
from srgan.errors import TrainingError
from srgan.progress import StageProgress
from srgan.train import ranks
from srgan.train.step import Stage

_MAX_SKIPPED_IN_A_ROW = 20
_NEARLY = 0.9
"""Part of the wished share below which the bound of the weight is told: means are rounded."""
_NUM_RECENT = 20  # logging intervals from which the remaining time is estimated


class Reporter(Protocol):
    """Receives rank 0's news. A reporter never stops the training."""

    def begin(self, step: int) -> None:
        """Called before the first step, `step`."""

    def progress(self, progress: StageProgress) -> None:
        """Called at each logging interval."""

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        """Called after each validation with ``psnr`` and ``bicubic_psnr`` in dB."""

    def picture(self, name: str, png: bytes, step: int) -> None:
        """Called for each comparison picture after a validation, and for ``degraded`` at step 0."""

    def note(self, step: int, text: str) -> None:
        """Called with a warning, or with what an adversarial stage decided after `step` steps."""


class Meter:
    """Sums the losses on the device and reads them once per logging interval.

    Steps skipped because of non-finite gradients count only in ``skipped`` (their share).
    """

    def __init__(self, stage: Stage, start: int, wait_s: float = 0.0) -> None:
        """`wait_s` seconds of waiting for patches were before the start."""
        self._stage = stage
        self._names: list[str] = []
        self._sums = self._last_skipped = torch.zeros(0)
        self._skipped_in_a_row = self._most_in_a_row = torch.zeros((), device=stage.device)
        self.read_at = start
        """Steps done at the latest call of `read`."""
        self._began = time.perf_counter()
        self._recent = deque([(start, self._began)], maxlen=_NUM_RECENT + 1)
        self._training_s = 0.0
        self._wait_s_before = wait_s

    def add(self, losses: dict[str, Tensor], seconds: float) -> None:
        """Add the losses of one step that took `seconds`. No synchronisation."""
        starts = not self._names
        if starts:
            self._names = list(losses)
        # By name, because steps in which the discriminator learns alone have another order.
        values = torch.stack([losses[name].float() for name in self._names])
        skipped = losses["skipped"]
        if starts:
            # Timed from here on: the first step compiles and chooses kernels, minutes at worst.
            self._recent[0] = (self.read_at + 1, time.perf_counter())
            self._sums = torch.zeros_like(values)
            self._last_skipped = torch.zeros_like(values)
        self._sums += torch.where(skipped.bool(), torch.zeros_like(values), values)
        # `where` zeroed this step's own mark together with its losses.
        self._sums[self._names.index("skipped")] += skipped
        self._skipped_in_a_row = (self._skipped_in_a_row + 1) * skipped
        self._most_in_a_row = torch.maximum(self._most_in_a_row, self._skipped_in_a_row)
        self._last_skipped = torch.where(skipped.bool(), values, self._last_skipped)
        self._training_s += seconds

    def read(self, step: int, wait_s: float) -> StageProgress:
        """Means since the last call; waits for the device and all ranks.

        `TrainingError` on all ranks when too many steps in a row were skipped, wherever between two
        calls.
        """
        begun = time.perf_counter()
        num_steps = step - self.read_at
        waited = torch.zeros(ranks.num_ranks(), device=self._sums.device)
        waited[ranks.rank()] = wait_s - self._wait_s_before
        summed = ranks.sum_over_ranks(torch.cat([self._sums, waited]))
        sums = summed[: len(self._names)] / ranks.num_ranks()
        totals = dict(zip(self._names, sums.tolist(), strict=True))
        if self._most_in_a_row >= _MAX_SKIPPED_IN_A_ROW:
            self._give_up(step)
        now = time.perf_counter()
        training_s = self._training_s + now - begun
        self._recent.append((step, now))
        longest_s = float(summed[len(self._names) :].max())
        progress = self._progress(step, num_steps, totals, training_s, longest_s)
        self.read_at = step
        self._most_in_a_row = self._skipped_in_a_row
        self._sums.zero_()
        self._training_s = 0.0
        self._wait_s_before = wait_s
        return progress

    def _progress(
        self, step: int, num_steps: int, totals: dict[str, float], training_s: float, wait_s: float
    ) -> StageProgress:
        config = self._stage.config
        num_skipped = totals.pop("skipped")
        num_good = num_steps - num_skipped
        losses = {name: total / num_good for name, total in totals.items()} if num_good else {}
        losses["skipped"] = num_skipped / num_steps
        (first_step, first_time), (last_step, last_time) = self._recent[0], self._recent[-1]
        if last_step > first_step:
            pace_s = (last_time - first_time) / (last_step - first_step)
        else:  # read after the very first step
            pace_s = last_time - self._began
        return StageProgress(
            stage=config.stage,
            step=step,
            steps=config.steps,
            crops_per_s=config.batch_size * num_steps / training_s,
            eta_s=pace_s * (config.steps - step),
            learning_rate=self._stage.learning_rate(step - 1),
            losses={name: value for name, value in losses.items() if math.isfinite(value)},
            data_wait_share=min(1.0, wait_s / training_s),
            data_wait_s=wait_s,
            missed_share=self._missed_share(losses),
            memory_bytes=_peak_memory_bytes(self._stage.device),
        )

    def _missed_share(self, losses: dict[str, float]) -> float | None:
        """The wished share, if the weights of the interval fell short of it.

        Not told of an interval in which the discriminator learned alone.
        """
        config = self._stage.config
        if not isinstance(config, AdversarialConfig) or config.adversarial_share is None:
            return None
        wished = config.adversarial_share
        if self.read_at < config.discriminator_warmup or not config.largest_weight:
            return None
        return wished if losses.get("adversarial_share", wished) < _NEARLY * wished else None

    def _give_up(self, step: int) -> None:
        last = dict(zip(self._names, self._last_skipped.tolist(), strict=True))
        losses = ", ".join(f"{name} {value:.4g}" for name, value in last.items())
        raise TrainingError(
            f"{self._stage.config.stage}: gradients were not finite in {int(self._most_in_a_row)} "
            f"steps in a row before step {step} (the last of them: {losses}). The last checkpoint "
            "is good; lower learning_rate.peak or set gradient_clip"
        )


def _peak_memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
