"""The training loop: load, step, log, validate, save. It knows nothing of the cluster."""

import time
from typing import Protocol

from srgan.config import AdversarialConfig
from srgan.measure.guards import Fault
from srgan.train.batches import Batches
from srgan.train.course import Course, saturation
from srgan.train.progress import Meter, Reporter
from srgan.train.stall import Watch
from srgan.train.step import Stage
from srgan.train.validation import Validated, Validation


class Keeper(Protocol):
    """Writes checkpoints of a stage, and brings one back; every rank calls it."""

    def save(
        self,
        stage: Stage,
        step: int,
        validated: Validated,
        course: Course | None,
        *,
        final: bool,
    ) -> None:
        """Write a checkpoint after `step` steps."""

    def go_back(self, stage: Stage, course: Course) -> Validated:
        """Load the checkpoint at `course.good_step`; return its validation."""


def run_steps(
    stage: Stage,
    batches: Batches,
    validation: Validation,
    *,
    start: int,
    validated: Validated,
    course: Course | None,
    reporter: Reporter | None,
    keeper: Keeper,
    watch: Watch,
) -> tuple[int, Course | None]:
    """Train from step `start` to the end; return the last step and the course.

    `validated` is the latest validation before the start. An adversarial stage with a course
    (`train.course`) may go back to an earlier checkpoint and may end early. Every rank runs this;
    only rank 0 has a `reporter`.
    """
    config = stage.config
    if reporter:
        reporter.begin(start)
    alone = config.discriminator_warmup if isinstance(config, AdversarialConfig) else 0
    meter = Meter(stage, start)
    done = start
    ended = done == config.steps
    while not ended:
        begun = time.perf_counter()
        batch = batches.take(done)
        losses = stage.step(batch.windows, done, batch.pairs)
        meter.add(losses, time.perf_counter() - begun)
        done += 1
        watch.step(done)
        ended = done == config.steps
        validates = ended or done % config.validate_every == 0
        saves = validates or done % config.checkpoint_every == 0
        # At each checkpoint, which holds what the course heard, and before the generator's first
        # step, because opinions count from then on.
        if saves or done == alone or done % config.log_every == 0:
            num_steps = done - meter.read_at
            progress = meter.read(done, batches.wait_s)  # waits for the device
            if reporter:
                reporter.progress(progress)
            if course:
                course = course.heard(progress.losses, num_steps)
        if validates:
            measured = validation.measure(stage.result)
            validated = Validated(done, measured.metrics)
            if reporter:
                reporter.validation(done, validated.metrics)
                for name, png in validation.pictures(stage.result):
                    reporter.picture(name, png, done)
            if course:
                num_returns = len(course.returns)
                course = _after(course, stage, validated, measured.faults)
                if len(course.returns) > num_returns:
                    if reporter:
                        reporter.note(done, course.returns[-1].line())
                    validated = keeper.go_back(stage, course)
                    done, ended = validated.step, False
                    meter = Meter(stage, done, batches.wait_s)
                    continue
                ended = ended or course.ended is not None
        if saves:
            keeper.save(stage, done, validated, course, final=ended)
    return done, course


def _after(course: Course, stage: Stage, validated: Validated, faults: dict[str, Fault]) -> Course:
    config = stage.config
    assert isinstance(config, AdversarialConfig)  # no other stage has a course
    return course.after(
        validated.step,
        validated.metrics,
        faults | saturation(course.opinions),
        patience=config.patience,
        max_returns=config.max_returns,
    )
