"""Seconds per step of every network, and how many steps fit into minutes."""

import json
import logging
import statistics
import time
from pathlib import Path

import torch

from benchmarks.quality.judges import Weights
from srgan.config import AdversarialConfig, PretrainConfig
from srgan.refs import digest
from srgan.train.content import feature_content
from srgan.train.run import build_stage

logger = logging.getLogger(__name__)

_TIMES = "times.json"
_WARM, _ROUNDS = 1, 5
_FREE = {
    "steps",
    "seed",
    "learning_rate",
    "ema_decay",
    "adversarial_weight",
    "discriminator_warmup",
    "checkpoint_every",
    "validate_every",
    "log_every",
}
"""Settings that do not change what a step computes, so that an ablation of the adversarial weight
gets exactly the steps of the whole."""
_FEWEST_STEPS = 2
_MOST_DECAY = 0.1
"""Largest share of the newest weights in the average of a short training."""


class StepTimes:
    """Median seconds per step on this machine, with all of its threads; measured ones are kept.

    Needs an idle machine.
    """

    def __init__(self, out: Path, weights: Weights) -> None:
        self._path = out / _TIMES
        self._weights = weights
        self._known: dict[str, float] = (
            json.loads(self._path.read_text()) if self._path.exists() else {}
        )

    def known(self, stage: PretrainConfig | AdversarialConfig) -> float | None:
        """Seconds per step if they were measured, in this call or an earlier one."""
        return self._known.get(_name(stage))

    def measure(self, stage: PretrainConfig | AdversarialConfig) -> float:
        """Seconds per step, measured if they are not known."""
        name = _name(stage)
        if name not in self._known:
            self._known[name] = self._median_step_s(stage)
            what = f"{stage.stage} step of {stage.generator.kind}"
            logger.info("a %s takes %.3f s", what, self._known[name])
            self._path.write_text(json.dumps(self._known, indent=1))
        return self._known[name]

    def _median_step_s(self, config: PretrainConfig | AdversarialConfig) -> float:
        content = feature_content(config)
        perceptual = self._weights[content.network] if content else None
        device = torch.device("cpu")
        stage = build_stage(config, device=device, initial=None, perceptual=perceptual)
        shape = (config.batch_size, 3, stage.window, stage.window)
        windows = torch.randint(0, 256, shape, dtype=torch.uint8)
        seconds = []
        # Where the discriminator learns alone for a while, steps are shorter than later.
        first = config.discriminator_warmup if isinstance(config, AdversarialConfig) else 0
        for step in range(_WARM + _ROUNDS):
            begun = time.perf_counter()
            stage.step(windows, first + step)
            seconds.append(time.perf_counter() - begun)
        return statistics.median(seconds[_WARM:])


def _name(stage: PretrainConfig | AdversarialConfig) -> str:
    computed = stage.model_dump(mode="json", exclude=_FREE)
    return digest([computed, stage.ema_decay is not None])[:16]


def steps_in(minutes: float, step_s: float) -> int:
    """Steps that take so many minutes, to the nearest step."""
    return max(_FEWEST_STEPS, round(60 * minutes / step_s))


def with_steps(
    stage: PretrainConfig | AdversarialConfig, steps: int
) -> PretrainConfig | AdversarialConfig:
    """Return the stage with other steps, and with the same shares of them as before.

    Warm-ups, the memory of the average and the distance of validations scale with the steps.
    """
    if steps == stage.steps:
        return stage
    share = steps / stage.steps
    rate = stage.learning_rate
    warmup = min(round(rate.warmup_steps * share), steps // 2)
    every = max(1, round(stage.validate_every * share))
    update: dict[str, object] = {
        "steps": steps,
        "learning_rate": rate.model_copy(update={"warmup_steps": warmup}),
        "checkpoint_every": every,
        "validate_every": every,
        "log_every": min(stage.log_every, every),
    }
    if stage.ema_decay is not None:
        update["ema_decay"] = 1 - min(_MOST_DECAY, (1 - stage.ema_decay) / share)
    if isinstance(stage, AdversarialConfig):
        of_discriminator = min(round(stage.discriminator_warmup * share), steps // 2)
        update["discriminator_warmup"] = of_discriminator
    return stage.model_copy(update=update)
