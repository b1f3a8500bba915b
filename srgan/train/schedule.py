"""Learning rate as a function of the step alone, so that a resumed run needs no scheduler state."""

import math

from srgan.config import LearningRate


def learning_rate_at(config: LearningRate, step: int, steps: int) -> float:
    """Learning rate of step `step` (counted from 0) in a stage of `steps`.

    A linear warm-up to `peak`, then constant, a tenth from half of the stage on (section 3.2), or
    half a cosine down to zero.
    """
    if step < config.warmup_steps:
        return config.peak * (step + 1) / config.warmup_steps
    if config.decay == "tenth_at_half":
        return config.peak if 2 * step < steps else config.peak / 10
    if config.decay == "cosine":
        share = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
        return config.peak * 0.5 * (1 + math.cos(math.pi * share))
    return config.peak
