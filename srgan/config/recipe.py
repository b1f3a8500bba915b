"""A complete retraining."""

from typing import Self

from pydantic import model_validator

from srgan.config.base import Config, Name
from srgan.config.data import DataConfig
from srgan.config.gate import GateConfig
from srgan.config.retrain import RetrainConfig
from srgan.config.stages import AdversarialConfig, PretrainConfig


class Recipe(Config):
    """A complete retraining: data, stages, its reasons and the rule of promotion."""

    name: Name
    data: DataConfig
    pretrain: PretrainConfig
    adversarial: AdversarialConfig | None = None
    """None: the pretrained generator is the result, as for the paper's SRResNet."""
    gate: GateConfig = GateConfig()
    """When the result replaces the champion."""
    retrain: RetrainConfig = RetrainConfig()
    """When training again is worth its cost, and what it starts from."""

    @model_validator(mode="after")
    def _check_stages_fit(self) -> Self:
        if self.adversarial and self.pretrain.generator != self.adversarial.generator:
            raise ValueError("pretrain and adversarial must name the same generator")
        if self.data.scale != self.pretrain.generator.scale:
            raise ValueError(
                f"data.scale {self.data.scale} and generator.scale "
                f"{self.pretrain.generator.scale} differ"
            )
        for stage in (self.pretrain, self.adversarial):
            if stage is None:
                continue
            margin = stage.degradation.margin(self.data.scale)
            if stage.patch_size + 2 * margin > self.data.crop_size:
                raise ValueError(
                    f"{stage.stage}.patch_size {stage.patch_size} and the degradation's margin of "
                    f"{margin} pixels on each side exceed data.crop_size {self.data.crop_size}"
                )
        return self
