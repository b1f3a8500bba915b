"""The three trainings of the shipped generators, as the recipes do them."""

from benchmarks.quality.contestants import Contestant
from srgan.config import DataConfig, LearningRate
from srgan.recipes import get_recipe

_DATA = DataConfig(
    crop_size=192,
    # Cameras' full size is soft: what teaches detail is the same photo at a half to an eighth.
    shrunk=(0.5, 0.35, 0.25, 0.18, 0.125),
    least_detail=8,
)
_DEMO, _FEW_PHOTOS = get_recipe("demo"), get_recipe("few_photos_x4")


def plain() -> Contestant:
    """`few_photos_x4` on the generator of the demo, which is half as large."""
    stage = _FEW_PHOTOS.pretrain.model_copy(
        update={
            "generator": _DEMO.pretrain.generator,
            "steps": 8000,
            "learning_rate": LearningRate(peak=3e-4, warmup_steps=100, decay="cosine"),
            "checkpoint_every": 250,
        }
    )
    return Contestant("plain", "first half", stage, data=_DATA)


def refined() -> Contestant:
    """As many steps again from there, on other patches: the highest PSNR."""
    first = plain()
    stage = first.stage.model_copy(update={"seed": 1})
    return Contestant("refined", "shipped", stage, first, _DATA)


def sharp() -> Contestant:
    """The same after the demo's GAN stage, longer and with more of the adversarial loss."""
    gan = _DEMO.adversarial
    assert gan is not None
    stage = gan.model_copy(
        update={
            "steps": 400,
            "adversarial_share": 0.5,
            "learning_rate": LearningRate(peak=2e-4, warmup_steps=20, decay="cosine"),
            "ema_decay": 0.99,
            "checkpoint_every": 50,
            "validate_every": 100,
            "log_every": 20,
        }
    )
    return Contestant("sharp", "shipped:sharp", stage, refined(), _DATA)
