"""When a challenger replaces the champion."""

from pydantic import Field

from srgan.config.base import Config, Name


class GateConfig(Config):
    """The margins of the gate; they are recorded with the model version that they judge.

    Models trained on pixels alone have no margin: PSNR is what they were trained for.
    """

    sets: tuple[Name, ...] = ()
    """Evaluation sets on each of which the rule has to hold, in place of the held-out crops."""
    max_psnr_loss_db: float = Field(3.0, ge=0)
    """How far below the champion's the PSNR of a model trained on more than pixels may be. The
    paper's GAN loses 2.65 dB on Set5 against the network that it starts from (Table 2)."""
    max_psnr_below_bicubic_db: float = Field(1.5, ge=0)
    """The same below bicubic's. The paper's GAN is 0.78 dB below it on BSD100 (Table 2)."""
    max_mos_loss: float = Field(0.0, ge=0)
    """How far the mean opinion score may be below the champion's, where people rated both."""
    max_distance_ratio: float = Field(1.5, ge=1)
    """No photo's perceptual distance, the mean over its crops, may be larger than bicubic's by
    more than this factor."""
