"""When a retraining is worth its cost, and what it starts from."""

from typing import Literal

from pydantic import Field

from srgan.config.base import Config, Positive


class GrowthConfig(Config):
    """How many photos must be new, changed or removed to be a reason; both limits count."""

    min_changed_photos: Positive = 1
    min_changed_share: float = Field(0.05, ge=0)
    """Of the photos that there were. Below it, photos add up from one time to the next."""


class RetrainConfig(Config):
    """The reasons for a retraining besides another recipe or other code, and its start."""

    start: Literal["scratch", "champion"] = "scratch"
    """``champion``: fine-tune. The last stage of the recipe starts from the champion's weights,
    and a pretrain stage before a GAN stage is left out: the champion is past it."""
    growth: GrowthConfig = GrowthConfig()
    max_age_days: float | None = Field(None, gt=0)
    """A champion older than this is trained anew though nothing else has changed; None: never."""
