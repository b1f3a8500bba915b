"""The parts that both stages share."""

import shutil

import pytest
import torch

from srgan.config import AdversarialConfig, PretrainConfig
from srgan.train.step import dump_stage
from tests.support.stages import BATCH_NORM, adversarial, pretrain, start, windows


@pytest.mark.slow(group="parts")
# Both are the compiler's own.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("config", [pretrain(BATCH_NORM), adversarial(BATCH_NORM, patch_size=32)])
def test_a_compiled_stage_learns_what_one_that_is_not_learns(
    config: PretrainConfig | AdversarialConfig,
) -> None:
    compiled, plain = start(config.model_copy(update={"compile": True})), start(config)
    for step in range(2):
        losses = compiled.step(windows(plain, step), step)
        torch.testing.assert_close(
            losses, plain.step(windows(plain, step), step), rtol=1e-3, atol=1e-4
        )
    assert compiled.networks().keys() == plain.networks().keys()
    assert dump_stage(compiled).keys() == dump_stage(plain).keys()
