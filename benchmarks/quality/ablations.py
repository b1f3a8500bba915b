"""Ablations: the fast recipe and the page's GAN, shortened, without one choice at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.quality.contestants import (
    GAN,
    PIXEL_WEIGHT,
    RECIPE,
    Contestant,
    Given,
    generator_of,
)
from benchmarks.quality.judges import Contents
from srgan.config import DiscriminatorConfig
from srgan.recipes import get_recipe

WHOLE = "nothing"
"""The ablation that takes nothing away: what the others are compared with."""
ABLATION_STEPS = 300
GAN_ABLATION_STEPS = 100
"""Steps if minutes are not given."""

_DATA: dict[str, dict[str, object]] = {
    "shrunk photos": {"shrunk": ()},
    "leaving out flat crops": {"least_detail": 0.0},
    "photos shrunk to two sizes, to six instead": {
        "shrunk": get_recipe("few_photos_x4").data.shrunk
    },
}
"""Ablations of data instead of the stage."""


@dataclass(frozen=True)
class Without:
    """The trainings without one choice, one for each seed."""

    choice: str
    contestants: list[Contestant]


def ablations(num_seeds: int, steps: int = ABLATION_STEPS) -> Iterator[Without]:
    """Take choices away from the fast recipe's first stage, shortened."""
    rate = RECIPE.pretrain.learning_rate.model_copy(update={"warmup_steps": steps // 20})
    whole = RECIPE.pretrain.model_copy(
        update={
            "steps": steps,
            "learning_rate": rate,
            # The same share of this stage as 0.999 is of the whole one.
            "ema_decay": 0.99,
            "checkpoint_every": steps,
            "validate_every": steps,
        }
    )
    constant = {"warmup_steps": 0, "decay": "none"}
    without: dict[str, dict[str, object]] = {
        WHOLE: {},
        "L1, MSE instead": {"loss": "mse"},
        "Muon, Adam instead": {"optimizer": "adam"},
        "warm-up and cosine, constant instead": {"learning_rate": rate.model_copy(update=constant)},
        "the large learning rate, the paper's 1e-4 instead": {
            "learning_rate": rate.model_copy(update={"peak": 1e-4})
        },
        "bf16, fp32 instead": {"precision": "fp32"},
        "the bound on gradients": {"gradient_clip": None},
        **{choice: {} for choice in _DATA},
        "colours in their order, shuffled instead": {"shuffle_colours": True},
    }
    for number, (choice, changes) in enumerate(without.items()):
        yield Without(
            choice,
            [
                Contestant(
                    f"ablation{number}-seed{seed}",
                    choice,
                    whole.model_copy(update={**changes, "seed": seed}),
                    data=RECIPE.data.model_copy(update=_DATA.get(choice, {})),
                )
                for seed in range(num_seeds)
            ],
        )


def gan_ablations(
    contents: Contents,
    start: Contestant | Given,
    num_seeds: int,
    steps: int = GAN_ABLATION_STEPS,
) -> Iterator[Without]:
    """Take choices away from the GAN on SqueezeNet's features; none without its weights."""
    if "fire9" not in contents:
        return
    warmup = min(GAN.learning_rate.warmup_steps, steps // 5)
    rate = GAN.learning_rate.model_copy(update={"warmup_steps": warmup})
    whole = GAN.model_copy(
        update={
            "generator": generator_of(start),
            "content": contents["fire9"].model_copy(update={"pixel_weight": PIXEL_WEIGHT}),
            "steps": steps,
            "learning_rate": rate,
            "checkpoint_every": steps,
            "validate_every": steps,
        }
    )
    without: dict[str, dict[str, object]] = {
        WHOLE: {},
        "pixels beside the features, the paper's features alone instead": {
            "content": contents["fire9"]
        },
        "the adversarial term": {"adversarial_weight": 0.0},
        "the small adversarial weight, the paper's 1e-3 instead": {"adversarial_weight": None},
        "warm-up and cosine, constant instead": {
            "learning_rate": rate.model_copy(update={"warmup_steps": 0, "decay": "none"})
        },
        "the bound on gradients": {"gradient_clip": None},
        "the term against the grid": {"grid_weight": 0.0},
        "the small discriminator, the paper's instead": {"discriminator": DiscriminatorConfig()},
    }
    for number, (choice, changes) in enumerate(without.items()):
        yield Without(
            choice,
            [
                Contestant(
                    f"gan-ablation{number}-seed{seed}",
                    choice,
                    whole.model_copy(update={**changes, "seed": seed}),
                    start,
                )
                for seed in range(num_seeds)
            ],
        )
