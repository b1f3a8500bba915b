"""A complete retraining."""

from typing import Literal, Self

from pydantic import Field, model_validator

from srgan.config.base import Config, Name, Positive
from srgan.config.data import DataConfig
from srgan.config.stages import AdversarialConfig, PretrainConfig


class GateConfig(Config):
    """Judges and margins of the gate; they are recorded with the model version that they judge.

    Models trained only on pixels have no margin, because PSNR is what they were trained for.
    """

    sets: tuple[Name, ...] = ()
    """Evaluation sets on each of which the rule must hold, instead of the held-out crops."""
    judges: tuple[Name, ...] = ()
    """Perceptual figures that judge, such as ``squeezenet_distance``; without any, all that were
    measured and rank images as people do, NIQE only on images of 20 of its blocks. One whose
    network taught one of the two models never counts."""
    max_psnr_loss_db: float = Field(3.0, ge=0)
    """Largest loss of PSNR against the champion, for models trained on more than pixels. The
    paper's GAN loses 2.65 dB on Set5 against the network that it starts from (Table 2)."""
    max_psnr_below_bicubic_db: float = Field(1.5, ge=0)
    """The same against bicubic. The paper's GAN is 0.78 dB below it on BSD100 (Table 2)."""
    max_mos_loss: float = Field(0.5, ge=0)
    """Loss of mean opinion score against the champion that the interval of people's ratings must
    rule out. The paper's SRGAN and SRResNet are 0.74 apart on Set14 (Table 2)."""
    max_distance_ratio: float = Field(1.5, ge=1)
    """Largest ratio of a photo's perceptual distance, the mean over its crops, to bicubic's. NIQE
    is not a distance from the original and has no such limit."""


class GrowthConfig(Config):
    """How many photos must be new, changed or removed to start a retraining; both limits apply."""

    min_changed_photos: Positive = 1
    """At least as many photos."""
    min_changed_share: float = Field(0.05, ge=0)
    """Share of the photos that there were before. Smaller changes add up until they reach it."""


class RetrainConfig(Config):
    """Reasons to retrain besides a changed recipe or changed code, and what to start from."""

    start: Literal["scratch", "champion"] = "scratch"
    """``champion``: fine-tune. The last stage of the recipe starts from the champion's weights,
    and a pretrain stage before a GAN stage is left out: the champion is past it."""
    growth: GrowthConfig = GrowthConfig()
    """How much a dataset has to change."""
    max_age_days: float | None = Field(None, gt=0)
    """Retrain a champion older than this even if nothing else has changed; None: never."""
    max_drift: float | None = Field(None, gt=0, lt=1)
    """Largest distance of a bulk run's sources from what the champion was trained on. Beyond it any
    new, changed or removed photo is a reason, however few there are. None: drift is never one."""


class Recipe(Config):
    """A complete retraining: data, stages, reasons and the rule of promotion."""

    name: Name
    """Name of the recipe; reports and model cards show it."""
    data: DataConfig
    """How photos become crops."""
    pairs: Name | None = None
    """Dataset of pairs (flow prepare-pairs) of which stages take their `pair_share`."""
    pretrain: PretrainConfig
    """First stage, the paper's SRResNet."""
    adversarial: AdversarialConfig | None = None
    """None: the pretrained generator is the result, as for the paper's SRResNet."""
    gate: GateConfig = GateConfig()
    """When the result replaces the champion."""
    retrain: RetrainConfig = RetrainConfig()
    """When a retraining is worth its cost, and what it starts from."""

    @model_validator(mode="after")
    def _check_stages_fit(self) -> Self:
        if self.adversarial and self.pretrain.generator != self.adversarial.generator:
            raise ValueError("pretrain and adversarial must name the same generator")
        if self.data.scale != self.pretrain.generator.scale:
            raise ValueError(
                f"data.scale {self.data.scale} and generator.scale "
                f"{self.pretrain.generator.scale} differ"
            )
        stages = [stage for stage in (self.pretrain, self.adversarial) if stage]
        shared = [stage.stage for stage in stages if stage.num_pairs]
        if shared and self.pairs is None:
            raise ValueError(
                f"{shared[0]}.pair_share needs `pairs`, the name of a dataset that the flow "
                "prepare-pairs has made"
            )
        if self.pairs is not None and not shared:
            raise ValueError(
                f"pairs {self.pairs!r} are used by no stage; set pretrain.pair_share or "
                "adversarial.pair_share"
            )
        for stage in stages:
            margin = stage.degradation.margin(self.data.scale)
            if stage.patch_size + 2 * margin > self.data.crop_size:
                raise ValueError(
                    f"{stage.stage}.patch_size {stage.patch_size} and the degradation's margin of "
                    f"{margin} pixels on each side exceed data.crop_size {self.data.crop_size}"
                )
        return self
