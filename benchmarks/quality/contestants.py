"""Contestants: networks with their recipes in steps, and the ablations of the fast one."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from srgan.config import (
    AdversarialConfig,
    DataConfig,
    DiscriminatorConfig,
    FeatureContentConfig,
    GeneratorConfig,
    LearningRate,
    MseContentConfig,
    PretrainConfig,
)
from srgan.recipes import get_recipe
from srgan.refs import digest

RECIPE = get_recipe("fast_x4")
_FEW_PHOTOS = get_recipe("few_photos_x4")
WHOLE = "nothing"
"""The ablation that takes nothing away: what the others are compared with."""

_DATA: dict[str, dict[str, object]] = {
    "shrunk photos": {"shrunk": ()},
    "leaving out flat crops": {"least_detail": 0.0},
    "photos shrunk to two sizes, to six instead": {"shrunk": _FEW_PHOTOS.data.shrunk},
}
"""Ablations of data instead of the stage."""

TAUGHT_BY_THE_JUDGE = ("SRGAN-SqueezeNet", "SqueezeNet alone")
"""Titles of networks that learned from SqueezeNet, which measures the distance."""

_LONGER: dict[str, object] = {"steps": 2800, "checkpoint_every": 200}
"""Steps of the GANs: 10 to 20 minutes on two cores with bf16, ten times the recipe's stage."""
_SEEDS = (0, 1, 2)
_DECIDING = ("fast", "few_photos", "srgan_squeezenet", "features_squeezenet", "srgan_mse")
"""Networks on which the page rests a claim."""
ABLATION_STEPS = 300
GAN_ABLATION_STEPS = 100


@dataclass(frozen=True)
class Contestant:
    """One training: a stage and, for a GAN, whose generator it starts from."""

    name: str
    title: str
    stage: PretrainConfig | AdversarialConfig
    start: "Contestant | None" = None
    data: DataConfig = RECIPE.data

    @property
    def folder(self) -> str:
        """Folder named by its inputs: another recipe is another training, a new option is not."""
        configs = [
            c.model_dump(mode="json", exclude_defaults=True) for c in (self.stage, self.data)
        ]
        return f"{self.name}-{digest([*configs, self.start and self.start.folder])[:8]}"

    def seeds(self, count: int) -> list["Contestant"]:
        """The training and, if a claim rests on it, the same with other seeds: `count` in all.

        A GAN starts from the same generator each time, so its seeds say what its own stage varies.
        """
        if self.name not in _DECIDING:
            return [self]
        others = (
            replace(
                self,
                name=f"{self.name}-seed{seed}",
                stage=self.stage.model_copy(update={"seed": seed}),
            )
            for seed in range(1, count)
        )
        return [self, *others]


def networks(weights: str) -> list[Contestant]:
    """Return the networks of the table; `weights` is the SHA-256 of SqueezeNet's file."""
    gan = RECIPE.adversarial
    assert gan is not None
    assert isinstance(gan.content, FeatureContentConfig)
    perceptual = gan.content.model_copy(update={"weights": weights})
    fast = Contestant("fast", "fast", RECIPE.pretrain)
    few = _FEW_PHOTOS
    in_order = few.pretrain.model_copy(update={"shuffle_colours": False})
    return [
        fast,
        Contestant("few_photos", "few-photos", few.pretrain, data=few.data),
        Contestant("few_in_order", "few-photos, colours in order", in_order, data=few.data),
        Contestant(
            "srgan_squeezenet",
            "SRGAN-SqueezeNet",
            gan.model_copy(update={"content": perceptual, **_LONGER}),
            fast,
        ),
        Contestant(
            "features_squeezenet",
            "SqueezeNet alone",
            gan.model_copy(update={"content": perceptual, "adversarial_weight": 0.0, **_LONGER}),
            fast,
        ),
        Contestant(
            "srgan_mse",
            "SRGAN-MSE",
            gan.model_copy(
                update={"content": MseContentConfig(), "adversarial_weight": 1e-3, **_LONGER}
            ),
            fast,
        ),
        Contestant("srcnn", "SRCNN", _first_paper("srcnn", steps=5000)),
        Contestant("fsrcnn", "FSRCNN", _first_paper("fsrcnn", steps=18_500)),
        Contestant("espcn", "ESPCN", _first_paper("espcn", steps=27_000)),
        Contestant("srresnet", "SRResNet-MSE", _srresnet()),
    ]


def ablations() -> Iterator[tuple[str, list[Contestant]]]:
    """Take options away from the shortened fast recipe; a training for each seed."""
    steps = ABLATION_STEPS
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
        **{title: {} for title in _DATA},
        "colours in their order, shuffled instead": {"shuffle_colours": True},
    }
    for number, (title, changes) in enumerate(without.items()):
        yield (
            title,
            [
                Contestant(
                    f"ablation{number}-seed{seed}",
                    title,
                    whole.model_copy(update={**changes, "seed": seed}),
                    data=RECIPE.data.model_copy(update=_DATA.get(title, {})),
                )
                for seed in _SEEDS
            ],
        )


def gan_ablations(weights: str) -> Iterator[tuple[str, list[Contestant]]]:
    """Take options away from the second stage, which starts from the whole fast generator."""
    trained = {each.name: each for each in networks(weights)}
    steps = GAN_ABLATION_STEPS
    gan = trained["srgan_squeezenet"].stage
    assert isinstance(gan, AdversarialConfig)
    assert isinstance(gan.content, FeatureContentConfig)
    rate = gan.learning_rate
    whole = gan.model_copy(
        update={"steps": steps, "checkpoint_every": steps, "validate_every": steps}
    )
    paper = DiscriminatorConfig()
    without: dict[str, dict[str, object]] = {
        WHOLE: {},
        "pixels beside the features, the paper's features alone instead": {
            "content": gan.content.model_copy(update={"pixel_weight": 0.0})
        },
        "the adversarial term": {"adversarial_weight": 0.0},
        "the small adversarial weight, the paper's 1e-3 instead": {"adversarial_weight": 1e-3},
        "warm-up and cosine, constant instead": {
            "learning_rate": rate.model_copy(update={"warmup_steps": 0, "decay": "none"})
        },
        "the bound on gradients": {"gradient_clip": None},
        "the small discriminator, the paper's instead": {"discriminator": paper},
    }
    for number, (title, changes) in enumerate(without.items()):
        yield (
            title,
            [
                Contestant(
                    f"gan-ablation{number}-seed{seed}",
                    title,
                    whole.model_copy(update={**changes, "seed": seed}),
                    trained["fast"],
                )
                for seed in _SEEDS
            ],
        )


def _first_paper(kind: str, *, steps: int) -> PretrainConfig:
    """One of the small networks on luma, with L1 and Adam: the papers' schedules took days."""
    return PretrainConfig(
        generator=GeneratorConfig.model_validate({"kind": kind, "scale": 4}),
        steps=steps,
        loss="l1",
        learning_rate=LearningRate(peak=1e-3, warmup_steps=200, decay="cosine"),
        ema_decay=0.999,
        gradient_clip=1.0,
        precision="auto",
        checkpoint_every=steps // 20,
        validate_every=steps // 20,
        log_every=50,
    )


def _srresnet() -> PretrainConfig:
    """The paper's network and loss, with a larger learning rate and a cosine for few steps."""
    return PretrainConfig(
        generator=GeneratorConfig(),
        steps=3600,
        loss="mse",
        learning_rate=LearningRate(peak=4e-4, warmup_steps=100, decay="cosine"),
        ema_decay=0.99,
        gradient_clip=1.0,
        precision="auto",
        checkpoint_every=120,
        validate_every=120,
        log_every=24,
    )
