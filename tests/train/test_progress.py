"""Figures of a running stage."""

import math

import pytest
import torch
from torch import Tensor

from srgan.errors import TrainingError
from srgan.train.progress import Meter
from tests.support.clock import Clock
from tests.support.stages import adversarial, pretrain, start, windows


def losses(value: float, skipped: float = 0.0) -> dict[str, Tensor]:
    return {"loss": torch.tensor(value), "skipped": torch.tensor(skipped)}


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


def test_figures_keep_their_names_when_a_step_gives_them_in_another_order() -> None:
    stage = start(adversarial(discriminator_warmup=1))
    figures = Meter(stage, 0)
    told = [stage.step(windows(stage, step), step) for step in range(2)]
    assert list(told[0]) != list(told[1]), "the case is gone"
    for each in told:
        figures.add(each, 0.1)
    means = {name: (float(value) + float(told[1][name])) / 2 for name, value in told[0].items()}
    assert figures.read(2, 0.0).losses == pytest.approx(means)


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
    with pytest.raises(
        TrainingError, match=r"20 steps in a row before step 21 \(the last of them: loss nan"
    ):
        figures.read(21, 0.0)


@pytest.mark.parametrize("read_after", [None, 20, 28])
def test_a_good_step_before_the_figures_are_read_hides_no_row_of_skipped_ones(
    read_after: int | None,
) -> None:
    figures = meter()
    for step in range(10, 49):
        skipped = step < 35
        figures.add(losses(math.nan if skipped else 1.0, float(skipped)), 0.1)
        if step == read_after:
            figures.read(step, 0.0)
    with pytest.raises(TrainingError, match=r"25 steps in a row before step 50 .*: loss nan"):
        figures.read(50, 0.0)


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
    assert progress.data_wait_s == pytest.approx(0.25)


def test_waiting_for_patches_is_counted_in_each_interval_alone() -> None:
    figures = Meter(start(pretrain(steps=1000)), 0, wait_s=7.0)
    for step, waited_s in ((1, 7.5), (2, 9.5), (3, 9.5)):
        figures.add(losses(1.0), 4.0)
        progress = figures.read(step, waited_s)
        assert progress.data_wait_s == pytest.approx({1: 0.5, 2: 2.0, 3: 0.0}[step])


def test_the_wait_that_counts_is_that_of_the_rank_that_waited_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("srgan.train.progress.ranks.num_ranks", lambda: 2)
    others = torch.tensor([0.0, 0.0, 0.0, 3.0])  # sums of loss and skipped, waits of both ranks
    monkeypatch.setattr("srgan.train.progress.ranks.sum_over_ranks", lambda sums: sums + others)
    figures = meter()
    figures.add(losses(1.0), 4.0)
    assert figures.read(1, 0.5).data_wait_s == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("reached", "warmup", "told"),
    [(0.02, 0, True), (0.26, 0, True), (0.3, 0, False), (0.02, 1, False)],
)
def test_a_bound_that_keeps_the_adversarial_share_small_is_told(
    reached: float, warmup: int, told: bool
) -> None:
    config = adversarial(steps=1000, adversarial_share=0.3, discriminator_warmup=warmup)
    figures = Meter(start(config), 0)
    figures.add({**losses(1.0), "adversarial_share": torch.tensor(reached)}, 0.1)
    progress = figures.read(1, 0.0)
    assert progress.missed_share == (0.3 if told else None)
    words = "adversarial_weight is at its bound, too small for the share 0.3"
    assert (words in progress.line()) == told


def test_a_share_is_not_missed_where_none_is_wished_or_the_weight_is_zero() -> None:
    for options in ({}, {"adversarial_share": 0.3, "adversarial_weight": 0.0}):
        figures = Meter(start(adversarial(**options)), 0)
        figures.add({**losses(1.0), "adversarial_share": torch.tensor(0.0)}, 0.1)
        assert figures.read(1, 0.0).missed_share is None
