"""The training loop: load, step, log, validate, save. It knows nothing of the cluster."""

import time
from typing import Protocol

from srgan.train.batches import Batches
from srgan.train.progress import Meter, Reporter
from srgan.train.stall import Watch
from srgan.train.step import Stage
from srgan.train.validation import Validated, Validation


class Save(Protocol):
    """Writes a checkpoint of the stage after `step` steps."""

    def __call__(self, stage: Stage, step: int, validated: Validated) -> None: ...


def run_steps(
    stage: Stage,
    batches: Batches,
    validation: Validation,
    *,
    start: int,
    validated: Validated,
    reporter: Reporter | None,
    save: Save | None,
    watch: Watch,
) -> None:
    """Train from step `start` to the end; `validated` is the latest validation before it.

    Every rank runs this; only rank 0 has a `reporter` and `save`.
    """
    config = stage.config
    if reporter:
        reporter.begin(start)
    meter = Meter(stage, start)
    for step in range(start, config.steps):
        begun = time.perf_counter()
        losses = stage.step(batches.take(step), step)
        meter.add(losses, time.perf_counter() - begun)
        done = step + 1
        watch.step(done)
        last = done == config.steps
        if last or done % config.log_every == 0:
            progress = meter.read(done, batches.wait_s)  # waits for the device
            if reporter:
                reporter.progress(progress)
        if last or done % config.validate_every == 0:
            validated = Validated(done, validation.measure(stage.result))
            if reporter:
                reporter.validation(done, validated.metrics)
                for name, png in validation.pictures(stage.result):
                    reporter.picture(name, png, done)
        if save and (last or done % config.checkpoint_every == 0):
            save(stage, done, validated)
