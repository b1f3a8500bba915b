"""Figures of a running stage."""

import math

import pytest
import torch
from torch import Tensor

from srgan.errors import TrainingError
from srgan.train.progress import Meter, Progress
from tests.support.stages import pretrain, start


def losses(value: float, skipped: float = 0.0) -> dict[str, Tensor]:
    return {"loss": torch.tensor(value), "skipped": torch.tensor(skipped)}


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("srgan.train.progress.time.perf_counter", clock)
    return clock


def meter() -> Meter:
    return Meter(start(pretrain(steps=1000)), 0)


def test_losses_are_means_over_the_interval() -> None:
    figures = meter()
    for value in (1.0, 2.0, 6.0):
        figures.add(losses(value), 0.1)
    assert figures.read(3, 0.0).losses == {"loss": 3.0, "skipped": 0.0}
    figures.add(losses(5.0), 0.1)
    assert figures.read(4, 0.0).losses == {"loss": 5.0, "skipped": 0.0}


def test_skipped_steps_are_counted_and_stay_out_of_the_means() -> None:
    figures = meter()
    figures.add(losses(1.0), 0.1)
    figures.add(losses(math.nan, skipped=1.0), 0.1)
    assert figures.read(2, 0.0).losses == {"loss": 1.0, "skipped": 0.5}


def test_an_interval_of_skipped_steps_only_has_no_losses() -> None:
    figures = meter()
    figures.add(losses(math.nan, skipped=1.0), 0.1)
    assert figures.read(1, 0.0).losses == {"skipped": 1.0}


def test_twenty_skipped_steps_in_a_row_end_the_training_naming_step_and_losses() -> None:
    figures = meter()
    figures.add(losses(1.0), 0.1)
    for _ in range(20):
        figures.add(losses(math.nan, skipped=1.0), 0.1)
    with pytest.raises(TrainingError, match=r"pretrain.*20 steps before step 21 \(loss nan"):
        figures.read(21, 0.0)


def test_one_good_step_among_the_skipped_ones_lets_the_training_go_on() -> None:
    figures = meter()
    for step in range(39):
        figures.add(losses(1.0, skipped=float(step != 19)), 0.1)
    assert figures.read(39, 0.0).losses["skipped"] == pytest.approx(38 / 39)


def test_the_remaining_time_follows_the_recent_pace(clock: Clock) -> None:
    figures = meter()
    for step in range(1, 61):
        clock.now += 10.0 if step <= 30 else 2.0
        figures.add(losses(1.0), 1.0)
        progress = figures.read(step, 0.0)
    assert progress.eta_s == pytest.approx(940 * 2.0), "the slow start must be forgotten"


def test_a_first_step_that_compiles_for_minutes_does_not_count(clock: Clock) -> None:
    figures = meter()
    for step in range(10):
        clock.now += 120.0 if step == 0 else 2.0
        figures.add(losses(1.0), 2.0)
    assert figures.read(10, 0.0).eta_s == pytest.approx(990 * 2.0)


def test_the_speed_leaves_validation_out_and_the_remaining_time_does_not(clock: Clock) -> None:
    figures = meter()
    figures.add(losses(1.0), 0.5)
    clock.now += 2.0  # half a second of training, and a validation
    progress = figures.read(1, 0.25)
    assert progress.crops_per_s == pytest.approx(4 / 0.5)
    assert progress.eta_s == pytest.approx(999 * 2.0)
    assert progress.data_wait_share == pytest.approx(0.5)


def test_progress_reads_as_one_line() -> None:
    progress = Progress(
        stage="pretrain",
        step=50,
        steps=400,
        crops_per_s=26.44,
        eta_s=212.0,
        learning_rate=1e-4,
        losses={"loss": 0.01234},
        data_wait_share=0.0,
        memory_bytes=0,
    )
    assert progress.line() == "pretrain 50/400  26.4 crops/s  3 min 32 s left  loss 0.01234"
