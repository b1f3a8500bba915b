"""Named complete configs. A recipe is a Python function; flags do not multiply."""

from collections.abc import Callable

from srgan.config import (
    AdversarialConfig,
    DataConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    LearningRate,
    PretrainConfig,
    Recipe,
)
from srgan.errors import ConfigError


def demo() -> Recipe:
    """Minutes on two cores: a generator without batch norm over a bicubic skip, SRGAN-MSE."""
    generator = GeneratorConfig(kind="bicubic_resnet", scale=4, num_blocks=8, num_channels=48)
    return Recipe(
        name="demo",
        data=DataConfig(scale=4, crop_size=128, eval_share=0.3),
        pretrain=PretrainConfig(
            generator=generator,
            steps=600,
            loss="l1",
            learning_rate=LearningRate(peak=6e-4, warmup_steps=50, decay="cosine"),
            precision="auto",
            gradient_clip=1.0,
            checkpoint_every=100,
            validate_every=200,
            log_every=10,
        ),
        adversarial=AdversarialConfig(
            generator=generator,
            steps=100,
            discriminator=DiscriminatorConfig(num_channels=32, dense_size=256),
            learning_rate=LearningRate(peak=1e-4, decay="tenth_at_half"),
            precision="auto",
            checkpoint_every=50,
            validate_every=50,
            log_every=5,
        ),
    )


def tiny() -> Recipe:
    """Seconds: proves that the pipeline is connected, trains nothing worth keeping."""
    generator = GeneratorConfig(kind="bicubic_resnet", scale=4, num_blocks=2, num_channels=16)
    return Recipe(
        name="tiny",
        data=DataConfig(scale=4, crop_size=64, eval_share=0.25, shard_bytes=2**20),
        pretrain=PretrainConfig(
            generator=generator,
            steps=60,
            batch_size=8,
            patch_size=48,
            loss="l1",
            learning_rate=LearningRate(peak=2e-3, warmup_steps=5, decay="cosine"),
            checkpoint_every=10,
            validate_every=30,
            log_every=5,
        ),
        adversarial=AdversarialConfig(
            generator=generator,
            steps=4,
            batch_size=4,
            patch_size=48,
            discriminator=DiscriminatorConfig(num_channels=8, dense_size=16),
            learning_rate=LearningRate(peak=1e-5),
            checkpoint_every=2,
            validate_every=4,
            log_every=1,
        ),
    )


def srgan_mse_x4() -> Recipe:
    """The paper's SRResNet and SRGAN-MSE at its own length (section 3.2); for GPUs."""
    generator = GeneratorConfig()
    return Recipe(
        name="srgan_mse_x4",
        data=DataConfig(),
        pretrain=PretrainConfig(
            generator=generator,
            steps=1_000_000,
            precision="auto",
            checkpoint_every=5000,
            validate_every=5000,
            log_every=100,
        ),
        adversarial=AdversarialConfig(
            generator=generator,
            steps=200_000,
            learning_rate=LearningRate(peak=1e-4, decay="tenth_at_half"),
            precision="auto",
            checkpoint_every=5000,
            validate_every=5000,
            log_every=100,
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "demo": demo,
    "tiny": tiny,
    "srgan_mse_x4": srgan_mse_x4,
}


def get_recipe(name: str) -> Recipe:
    """Recipe by name; an unknown one is a `ConfigError` that lists what there is."""
    if name not in RECIPES:
        raise ConfigError(f"no recipe {name!r}; there are: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()
