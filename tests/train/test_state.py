"""A stage as bytes and back."""

import pytest
import torch

from srgan.errors import CheckpointError
from srgan.train.step import dump_stage, load_stage
from tests.support.stages import (
    BATCH_NORM,
    adversarial,
    differing,
    everything,
    pretrain,
    start,
    windows,
)


def test_a_restored_stage_takes_the_same_next_step_to_the_bit() -> None:
    config = adversarial(BATCH_NORM, ema_decay=0.99)
    stage, restored = start(config), start(config)
    stage.step(windows(stage, 0), 0)
    load_stage(restored, dump_stage(stage))
    for each in (stage, restored):
        each.step(windows(each, 1), 1)
    assert differing(everything(stage), everything(restored)) == []
    assert stage.ema is not None
    assert restored.ema is not None
    assert torch.equal(stage.ema.num_updates, restored.ema.num_updates)


def test_the_same_state_has_the_same_bytes() -> None:
    stage = start(adversarial(ema_decay=0.99))
    stage.step(windows(stage), 0)
    assert dump_stage(stage) == dump_stage(stage)


def test_the_parts_of_another_stage_are_refused_by_name() -> None:
    stage = start(adversarial())
    with pytest.raises(CheckpointError, match="discriminator"):
        load_stage(stage, dump_stage(start(pretrain())))


def test_a_part_of_another_network_is_refused_by_name() -> None:
    stage = start(adversarial(discriminator={"num_channels": 3, "dense_size": 4}))
    with pytest.raises(CheckpointError, match="part 'discriminator'"):
        load_stage(stage, dump_stage(start(adversarial())))
