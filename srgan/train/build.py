"""The stage of a config."""

import torch

from srgan.config import AdversarialConfig, PretrainConfig
from srgan.train.adversarial import Adversarial
from srgan.train.pretrain import Pretrain
from srgan.train.step import Stage


def build_stage(
    config: PretrainConfig | AdversarialConfig,
    *,
    device: torch.device,
    initial: bytes | None,
    perceptual: bytes | None = None,
) -> Stage:
    """The stage before its first step; `initial` is a generator file to start from.

    `perceptual` is the weights file of the network in its content loss, where there is one.
    """
    stage: Stage
    if isinstance(config, AdversarialConfig):
        stage = Adversarial(config, device=device, initial=initial, perceptual=perceptual)
    else:
        stage = Pretrain(config, device=device, initial=initial, perceptual=perceptual)
    stage.settle_buckets()
    return stage
