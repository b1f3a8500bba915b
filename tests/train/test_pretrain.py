"""One step of the first stage."""

import pytest
import torch

from srgan.errors import CheckpointError, ConfigError
from srgan.models.interchange import dump_generator
from tests.support.stages import BATCH_NORM, PLAIN, differing, everything, pretrain, start, windows


@pytest.mark.parametrize("loss", ["mse", "l1"])
def test_repeating_one_batch_lowers_its_loss(loss: str) -> None:
    stage = start(pretrain(BATCH_NORM, loss=loss))
    batch = windows(stage)
    first = stage.step(batch, 0)["loss"]
    for step in range(1, 20):
        last = stage.step(batch, step)["loss"]
    assert last < 0.9 * first


def test_two_runs_of_one_seed_are_equal_to_the_bit_and_another_seed_is_not() -> None:
    one, two, other = (start(pretrain(seed=seed)) for seed in (1, 1, 2))
    for stage in (one, two, other):
        stage.step(windows(stage), 0)
    assert differing(everything(one), everything(two)) == []
    assert "generator.entry.weight" in differing(everything(one), everything(other))


def test_a_batch_that_is_not_finite_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = start(pretrain(BATCH_NORM, ema_decay=0.9, gradient_clip=1.0))
    stage.step(windows(stage), 0)
    before = everything(stage)
    degrade = stage.degradation.forward
    monkeypatch.setattr(
        stage.degradation, "forward", lambda batch: [x * float("nan") for x in degrade(batch)]
    )
    losses = stage.step(windows(stage, 1), 1)
    assert losses["skipped"] == 1
    assert differing(everything(stage), before) == []


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_keeps_weights_and_losses_in_fp32(precision: str) -> None:
    stage = start(pretrain(BATCH_NORM, precision=precision))
    losses = stage.step(windows(stage), 0)
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert {p.dtype for p in stage.generator.parameters()} == {torch.float32}
    exact = start(pretrain(BATCH_NORM))
    torch.testing.assert_close(
        losses["loss"], exact.step(windows(exact), 0)["loss"], rtol=0.02, atol=0.02
    )


def test_a_stage_continues_from_the_generator_it_is_given() -> None:
    trained = start(pretrain(seed=1))
    trained.step(windows(trained), 0)
    stage = start(pretrain(seed=2), dump_generator(trained.generator))
    assert differing(trained.generator.state_dict(), stage.generator.state_dict()) == []


def test_a_generator_of_another_architecture_is_refused_naming_both() -> None:
    other = start(pretrain(BATCH_NORM)).generator
    with pytest.raises(CheckpointError, match=r"srresnet.*bicubic_resnet"):
        start(pretrain(PLAIN), dump_generator(other))


def test_the_average_follows_and_is_the_result() -> None:
    stage = start(pretrain(ema_decay=0.99))
    assert stage.result is not stage.generator
    before = everything(stage)
    stage.step(windows(stage), 0)
    assert "ema.exit.weight" in differing(everything(stage), before)


def test_synchronised_batch_norm_is_refused_without_a_gpu_naming_the_field() -> None:
    with pytest.raises(ConfigError, match=r"pretrain\.sync_batch_norm needs GPUs.* cpu"):
        start(pretrain(BATCH_NORM, sync_batch_norm=True))
