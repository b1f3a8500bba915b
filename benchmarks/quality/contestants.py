"""Contestants: networks with their recipes in steps, and generators that were trained elsewhere."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from benchmarks.quality.judges import Contents
from srgan.config import (
    AdversarialConfig,
    ContentLossConfig,
    DataConfig,
    DiscriminatorConfig,
    FeatureContentConfig,
    GeneratorConfig,
    LearningRate,
    MseContentConfig,
    PretrainConfig,
)
from srgan.config.networks import FeatureNetwork
from srgan.models.interchange import load_generator
from srgan.recipes import get_recipe
from srgan.refs import digest
from srgan.train.content import feature_content

RECIPE = get_recipe("fast_x4")
_FEW_PHOTOS = get_recipe("few_photos_x4")

GAN_STEPS = 2800
"""Steps of SRGAN-MSE if nothing else is asked for; all other GANs get as many minutes."""
GAN = AdversarialConfig(
    generator=RECIPE.pretrain.generator,
    steps=GAN_STEPS,
    discriminator=DiscriminatorConfig(num_channels=32, dense_size=256),
    adversarial_weight=1e-4,
    grid_weight=30.0,
    learning_rate=LearningRate(peak=1e-4, warmup_steps=20, decay="cosine"),
    ema_decay=0.99,
    gradient_clip=1.0,
    precision="auto",
    checkpoint_every=GAN_STEPS // 14,
    validate_every=GAN_STEPS // 14,
    log_every=20,
)
"""Stage that all GANs of the page share. It is not a recipe's, so that trainings stay comparable
when a recipe changes."""
PIXEL_WEIGHT = 1.0
"""Weight of the pixels beside the features of SqueezeNet, which do not see a fine grid."""
MEASURE = "srgan_mse"
"""Name of the GAN whose minutes all others get."""
_GAN_BATCH = {"batch_size": 8, "patch_size": 64}
"""Smaller than the paper's 16 × 96², so that a processor makes hundreds of steps in minutes."""
_PAPERS_VARIATION = 2e-8
_DECIDING = ("fast", "few_photos", "srgan_", "alone_")
"""Beginnings of the names of networks on which the page rests a claim."""


@dataclass(frozen=True)
class Given:
    """A generator that was trained elsewhere."""

    title: str
    data: bytes = field(repr=False)
    """Generator file of ours."""
    teachers: frozenset[FeatureNetwork] = frozenset()
    """Perceptual networks that taught it."""

    @property
    def folder(self) -> str:
        """Folder named by the file's bytes; keeps figures only."""
        return f"given-{hashlib.sha256(self.data).hexdigest()[:8]}"


@dataclass(frozen=True)
class Contestant:
    """One training: a stage and, for a GAN, whose generator it starts from."""

    name: str
    title: str
    stage: PretrainConfig | AdversarialConfig
    start: "Contestant | Given | None" = None
    data: DataConfig = RECIPE.data

    @property
    def folder(self) -> str:
        """Folder named by its inputs: another recipe is another training, a new option is not."""
        configs = [
            c.model_dump(mode="json", exclude_defaults=True) for c in (self.stage, self.data)
        ]
        return f"{self.name}-{digest([*configs, self.start and self.start.folder])[:8]}"

    @property
    def teachers(self) -> frozenset[FeatureNetwork]:
        """Perceptual networks that taught it, or its start."""
        content = feature_content(self.stage)
        own = frozenset[FeatureNetwork]([content.network] if content else [])
        return own | self.start.teachers if self.start else own

    def seeds(self, count: int) -> list["Contestant"]:
        """The training and, if a claim rests on it, the same with other seeds: `count` in all.

        A GAN starts from the same generator each time, so its seeds say what its own stage varies.
        """
        if not self.name.startswith(_DECIDING):
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


def networks(contents: Contents, start: Given | None = None) -> list[Contestant]:
    """Return the networks of the table that can be trained with these contents.

    GANs start from `start`, or else from the fast network.
    """
    fast = Contestant("fast", "fast", RECIPE.pretrain)
    few = _FEW_PHOTOS
    in_order = few.pretrain.model_copy(update={"shuffle_colours": False})
    found = [
        fast,
        Contestant("few_photos", "few-photos", few.pretrain, data=few.data),
        Contestant("few_in_order", "few-photos, colours in order", in_order, data=few.data),
        *_gans(contents, start or fast),
        Contestant("srcnn", "SRCNN", _first_paper("srcnn", steps=5000)),
        Contestant("fsrcnn", "FSRCNN", _first_paper("fsrcnn", steps=18_500)),
        Contestant("espcn", "ESPCN", _first_paper("espcn", steps=27_000)),
        Contestant("srresnet", "SRResNet-MSE", _srresnet("mse")),
    ]
    if vgg := contents.get("vgg22"):
        loss = vgg.model_copy(update={"total_variation_weight": _PAPERS_VARIATION})
        found.append(Contestant("srresnet_vgg16_22", "SRResNet-VGG16-22", _srresnet(loss)))
    return found


def titles_without_weights(contents: Contents) -> list[str]:
    """Titles of networks that cannot be trained, because their teacher's weights are missing."""
    needed = {"SqueezeNet": "fire9", "VGG16-22": "vgg22", "VGG16-53": "vgg53"}
    missing = [title for title, layer in needed.items() if layer not in contents]
    first = ["SRResNet-VGG16-22"] if "VGG16-22" in missing else []
    return [name for title in missing for name in (f"SRGAN-{title}", f"{title} alone")] + first


def _gans(contents: Contents, start: Contestant | Given) -> Iterator[Contestant]:
    """Every content with a discriminator, and alone: the same steps with a weight of 0.

    SRGAN-SqueezeNet has pixels beside its features and a small adversarial weight, the others have
    the paper's content and its weight of 1e-3, the default.
    """
    pixels = {"pixel_weight": PIXEL_WEIGHT}
    kinds: list[tuple[str, str, ContentLossConfig | None, float | None]] = [
        ("squeezenet", "SqueezeNet", contents.get("fire9"), GAN.adversarial_weight),
        ("mse", "MSE", MseContentConfig(), None),
        ("vgg16_22", "VGG16-22", contents.get("vgg22"), None),
        ("vgg16_53", "VGG16-53", contents.get("vgg53"), None),
    ]
    for name, title, content, weight in kinds:
        if content is None:
            continue
        loss = content.model_copy(update=pixels) if name == "squeezenet" else content
        stage = GAN.model_copy(
            update={
                **_GAN_BATCH,
                "generator": generator_of(start),
                "content": loss,
                "adversarial_weight": weight,
            }
        )
        alone = stage.model_copy(update={"adversarial_weight": 0.0})
        yield Contestant(f"srgan_{name}", f"SRGAN-{title}", stage, start)
        yield Contestant(f"alone_{name}", f"{title} alone", alone, start)


def generator_of(start: Contestant | Given) -> GeneratorConfig:
    """Config of the generator that a training ends with, or a file holds."""
    if isinstance(start, Contestant):
        return start.stage.generator
    config = load_generator(start.data).config
    assert config is not None  # files of ours have one
    return config


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


def _srresnet(loss: Literal["mse"] | FeatureContentConfig) -> PretrainConfig:
    """The paper's network and loss, with a larger learning rate and a cosine for few steps."""
    return PretrainConfig(
        generator=GeneratorConfig(),
        steps=3600,
        loss=loss,
        learning_rate=LearningRate(peak=4e-4, warmup_steps=100, decay="cosine"),
        ema_decay=0.99,
        gradient_clip=1.0,
        precision="auto",
        checkpoint_every=120,
        validate_every=120,
        log_every=24,
    )
