"""Named complete configs. A recipe is a Python function; flags do not multiply."""

from collections.abc import Callable
from typing import Literal

from srgan.config import (
    AdversarialConfig,
    ContentLossConfig,
    DataConfig,
    DegradationConfig,
    DiscriminatorConfig,
    FeatureContentConfig,
    GateConfig,
    GeneratorConfig,
    KernelConfig,
    LearningRate,
    MseContentConfig,
    NoiseConfig,
    PretrainConfig,
    Recipe,
    ResizeConfig,
    RoundConfig,
    SecondOrderConfig,
)
from srgan.config.networks import FEATURE_SCALE, PUBLISHED_WEIGHTS, FeatureNetwork
from srgan.errors import ConfigError


def demo() -> Recipe:
    """Minutes on two cores: a generator without batch norm over a bicubic skip, a light SRGAN.

    Its GAN stage learns from a network that comes with a package, so nothing is downloaded.
    """
    generator = GeneratorConfig(kind="bicubic_resnet", scale=4, num_blocks=8, num_channels=48)
    return Recipe(
        name="demo",
        # Holds out 9 of the demo's 17 photos, because few photos make wide intervals. 9,600 patches
        # do not use up the places in crops of 128, and validation stays short.
        data=DataConfig(scale=4, crop_size=128, eval_share=0.65),
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
            steps=80,
            batch_size=8,
            discriminator=DiscriminatorConfig(num_channels=32, dense_size=256),
            content=_features("efficientnet_lite0", "block5").model_copy(
                update={"pixel_weight": 0.25}
            ),
            adversarial_weight=1.0,
            adversarial_share=0.3,
            grid_weight=10.0,
            # The start is good: larger steps make crisper images, but not on every photo, and then
            # nine photos show the gate too little.
            learning_rate=LearningRate(peak=2e-5, warmup_steps=10, decay="cosine"),
            gradient_clip=1.0,
            precision="auto",
            checkpoint_every=40,
            validate_every=40,
            log_every=5,
        ),
        # No other judge here, so that the gate decides by the same one whatever else is mirrored.
        gate=GateConfig(judges=("efficientnet_lite1_distance",)),
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


def fast_x4() -> Recipe:
    """An hour on two cores: better than ESPCN's paper, then a GAN on EfficientNet-Lite0."""
    generator = GeneratorConfig(kind="bicubic_resnet", scale=4, num_blocks=10, num_channels=64)
    return Recipe(
        name="fast_x4",
        data=DataConfig(scale=4, crop_size=256, shrunk=(0.8, 0.6), least_detail=14),
        pretrain=PretrainConfig(
            generator=generator,
            steps=16_000,
            loss="l1",
            optimizer="muon",
            learning_rate=LearningRate(peak=3e-4, warmup_steps=200, decay="cosine"),
            ema_decay=0.999,
            gradient_clip=1.0,
            precision="auto",
            checkpoint_every=500,
            validate_every=500,
            log_every=50,
        ),
        # Measured on the shipped generator, which is of this kind: docs/perceptual.md.
        adversarial=AdversarialConfig(
            generator=generator,
            steps=300,
            batch_size=8,
            patch_size=64,
            discriminator=DiscriminatorConfig(num_channels=32, dense_size=256),
            # Features hardly see a fine grid: without pixels it grows with every step.
            content=_features("efficientnet_lite0", "block5").model_copy(
                update={"pixel_weight": 1.0}
            ),
            # With 0.5, fewer pixels and 900 steps images are crisper, and farther from originals.
            adversarial_share=0.1,
            grid_weight=30.0,
            discriminator_shift=True,
            discriminator_warmup=100,
            learning_rate=LearningRate(peak=1e-4, warmup_steps=20, decay="cosine"),
            ema_decay=0.99,
            gradient_clip=1.0,
            precision="auto",
            checkpoint_every=100,
            validate_every=100,
            log_every=20,
        ),
    )


def few_photos_x4() -> Recipe:
    """`fast_x4` with more variety from the same photos: for a few hundred of them."""
    recipe = fast_x4()
    return recipe.model_copy(
        update={
            "name": "few_photos_x4",
            # Crops of 192, because a photo of 481×321 still holds one at 0.6 of its size.
            "data": recipe.data.model_copy(
                update={"crop_size": 192, "shrunk": (0.9, 0.8, 0.7, 0.6, 0.5, 0.42)}
            ),
            "pretrain": recipe.pretrain.model_copy(
                update={"steps": 12_000, "shuffle_colours": True}
            ),
        }
    )


def srresnet_mse_x4() -> Recipe:
    """The paper's SRResNet-MSE at full length (section 3.2); for GPUs."""
    return _paper("srresnet_mse_x4")


def srresnet_vgg22_x4() -> Recipe:
    """The paper's SRResNet-VGG22 at full length; for GPUs, needs VGG19's weights."""
    # Section 3.4 uses it in this variant only.
    content = _vgg("vgg22").model_copy(update={"total_variation_weight": 2e-8})
    return _paper("srresnet_vgg22_x4", pretrain=content)


def srgan_mse_x4() -> Recipe:
    """The paper's SRResNet-MSE, then SRGAN-MSE, at full length; for GPUs."""
    return _paper("srgan_mse_x4", content=MseContentConfig())


def srgan_vgg22_x4() -> Recipe:
    """The paper's SRResNet-MSE, then SRGAN-VGG22, at full length; for GPUs, needs VGG19."""
    return _paper("srgan_vgg22_x4", content=_vgg("vgg22"))


def srgan_vgg54_x4() -> Recipe:
    """The paper's SRGAN: SRResNet-MSE, then SRGAN-VGG54; for GPUs, needs VGG19's weights."""
    return _paper("srgan_vgg54_x4", content=_vgg("vgg54"))


def real_x4() -> Recipe:
    """Photographs as cameras and web sites leave them, as Real-ESRGAN; for GPUs, needs VGG19.

    Not trained here yet. The weights of pixels and grid are those of smaller trainings.
    """
    generator = GeneratorConfig(kind="bicubic_resnet", scale=4)
    # Real-ESRGAN's ranges for its crops of 400 pixels, of which patches with their margin have 0.6:
    # so have kernels, and the smallest resized images keep 96 pixels instead of 60.
    sides = (7, 13)
    degradation = DegradationConfig(
        second_order=SecondOrderConfig(
            first=RoundConfig(
                blur=KernelConfig(sides=sides, sigma=(0.2, 1.8)),
                resize=ResizeConfig(factors=(0.4, 1.5)),
            ),
            second=RoundConfig(
                blur_chance=0.8,
                blur=KernelConfig(sides=sides, sigma=(0.2, 0.9)),
                resize=ResizeConfig(up=0.3, down=0.4, factors=(0.5, 1.2)),
                noise=NoiseConfig(sigma=(1.0, 25.0), poisson_scale=(0.05, 2.5)),
            ),
            sinc_sides=sides,
        )
    )
    return Recipe(
        name="real_x4",
        # Windows have 248 pixels: with crops of 256 the rim of each would never be learned.
        data=DataConfig(crop_size=384),
        pretrain=PretrainConfig(
            generator=generator,
            steps=300_000,
            loss="l1",
            degradation=degradation,
            learning_rate=LearningRate(peak=4e-4, warmup_steps=1000, decay="cosine"),
            ema_decay=0.999,
            gradient_clip=1.0,
            precision="auto",
            checkpoint_every=5000,
            validate_every=5000,
            log_every=100,
        ),
        adversarial=AdversarialConfig(
            generator=generator,
            steps=100_000,
            # Deep features alone let a grid grow. Real-ESRGAN has the L1 of pixels beside them.
            content=_vgg("vgg54").model_copy(update={"pixel_weight": 1.0}),
            grid_weight=30.0,
            degradation=degradation,
            learning_rate=LearningRate(peak=1e-4, decay="tenth_at_half"),
            ema_decay=0.999,
            precision="auto",
            checkpoint_every=5000,
            validate_every=5000,
            log_every=100,
        ),
        # On bicubic's images it loses to models trained for them; photos decide that are degraded.
        gate=GateConfig(sets=("degraded",)),
    )


def _features(network: FeatureNetwork, layer: str) -> FeatureContentConfig:
    """Content on a layer of a network with the weights that its makers publish."""
    return FeatureContentConfig(
        network=network,
        layer=layer,
        feature_scale=FEATURE_SCALE[network],
        weights=PUBLISHED_WEIGHTS[network].digest,
    )


def _vgg(layer: str) -> FeatureContentConfig:
    return _features("vgg19", layer)


def _paper(
    name: str,
    *,
    pretrain: Literal["mse"] | FeatureContentConfig = "mse",
    content: ContentLossConfig | None = None,
) -> Recipe:
    """Section 3.2: 10⁶ steps at 1e-4, then with `content` a GAN of 10⁵ at 1e-4 and 10⁵ at 1e-5."""
    generator = GeneratorConfig()
    seldom = {"checkpoint_every": 5000, "validate_every": 5000, "log_every": 100}
    gan = content and AdversarialConfig(
        generator=generator,
        steps=200_000,
        content=content,
        learning_rate=LearningRate(peak=1e-4, decay="tenth_at_half"),
        precision="auto",
        **seldom,
    )
    return Recipe(
        name=name,
        data=DataConfig(),
        pretrain=PretrainConfig(
            generator=generator, steps=1_000_000, loss=pretrain, precision="auto", **seldom
        ),
        adversarial=gan,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    recipe.__name__: recipe
    for recipe in (
        *(demo, tiny, fast_x4, few_photos_x4, real_x4),
        *(srresnet_mse_x4, srresnet_vgg22_x4, srgan_mse_x4, srgan_vgg22_x4, srgan_vgg54_x4),
    )
}


def get_recipe(name: str) -> Recipe:
    """Recipe by name; an unknown one is a `ConfigError` that lists the known ones."""
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}; there are: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()
