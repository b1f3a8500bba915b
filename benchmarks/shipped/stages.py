"""The two trainings of the shipped generators.

Their values stand here and not in a recipe, so that the files can be made again after recipes have
changed.
"""

from benchmarks.quality.contestants import Contestant
from srgan.config import (
    AdversarialConfig,
    DataConfig,
    DiscriminatorConfig,
    FeatureContentConfig,
    GeneratorConfig,
    LearningRate,
    PretrainConfig,
)
from srgan.config.networks import PUBLISHED_WEIGHTS, FeatureNetwork

TEACHER: FeatureNetwork = "efficientnet_lite0"
"""Network that teaches ``shipped:sharp``."""
_DATA = DataConfig(
    crop_size=192,
    # Cameras' full size is soft: what teaches detail is the same photo at a half to an eighth.
    shrunk=(0.5, 0.35, 0.25, 0.18, 0.125),
    least_detail=8,
)
_GENERATOR = GeneratorConfig(kind="bicubic_resnet", scale=4, num_blocks=8, num_channels=48)


def plain() -> Contestant:
    """As the recipe `few_photos_x4`, on a generator of half the size: the highest PSNR.

    More training from there brought nothing. 5,000 steps again at this rate with other patches:
    31.17 instead of 31.16 dB on Set5. 1,200 steps with MSE, colours in order and patches of 144:
    31.17 dB too, 0.01 dB more on Set14.
    """
    stage = PretrainConfig(
        generator=_GENERATOR,
        steps=8000,
        loss="l1",
        optimizer="muon",
        learning_rate=LearningRate(peak=3e-4, warmup_steps=100, decay="cosine"),
        shuffle_colours=True,
        ema_decay=0.999,
        gradient_clip=1.0,
        precision="auto",
        checkpoint_every=250,
        validate_every=500,
        log_every=50,
    )
    return Contestant("plain", "shipped", stage, data=_DATA)


def sharp() -> Contestant:
    """The same after a GAN stage. Its discriminator learns first, and sees images rolled."""
    stage = AdversarialConfig(
        generator=_GENERATOR,
        steps=900,
        batch_size=8,
        patch_size=64,
        discriminator=DiscriminatorConfig(num_channels=32, dense_size=256),
        content=FeatureContentConfig(
            network=TEACHER,
            layer="block5",
            feature_scale=1 / 41,
            weights=PUBLISHED_WEIGHTS[TEACHER].digest,
            pixel_weight=0.25,
        ),
        adversarial_weight=1.0,
        adversarial_share=0.5,
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
    )
    return Contestant("sharp", "shipped:sharp", stage, plain(), _DATA)
