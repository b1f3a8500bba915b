"""A laboratory of the quality comparison whose trainings take seconds."""

from pathlib import Path

from PIL import Image

from benchmarks.quality.contestants import Contestant
from benchmarks.quality.photos import open_set, training_photos
from benchmarks.quality.training import Lab
from srgan.config import AdversarialConfig, DataConfig, DiscriminatorConfig, PretrainConfig
from tests.support.perceptual_weights import drawn_weights
from tests.support.photos import DrawPhoto

DATA = DataConfig(scale=4, crop_size=64, shrunk=(0.75,))
SIDE = 112
"""Pixels of an image of the set: within its border NIQE has a block."""


def contestant(**changes: object) -> Contestant:
    """A training that takes seconds."""
    stage = {
        "generator": {"kind": "bicubic_resnet", "scale": 4, "num_blocks": 1, "num_channels": 4},
        "steps": 4,
        "batch_size": 2,
        "patch_size": 32,
        "ema_decay": 0.9,
        "optimizer": "muon",
        "checkpoint_every": 1,
        "validate_every": 2,
        "log_every": 1,
    }
    config = PretrainConfig.model_validate({**stage, **changes})
    return Contestant("fast", "fast", config, data=DATA)


def gan(title: str, **changes: object) -> Contestant:
    """A GAN from that training; `title` decides the name too."""
    stage = contestant().stage.model_dump(exclude={"stage", "loss"})
    opponent = DiscriminatorConfig(num_channels=2, dense_size=4)
    config = AdversarialConfig.model_validate({**stage, "discriminator": opponent, **changes})
    name = title.lower().replace("-", "_")
    return Contestant(name, title, config, contestant(), data=DATA)


def build_lab(folder: Path, draw_photo: DrawPhoto) -> Lab:
    """Three photos to train on, and a set of two that trainings are followed on."""
    photos, hr = folder / "photos", folder / "Set5" / "HR"
    for place, seeds, side in ((photos, range(3), 96), (hr, range(10, 12), SIDE)):
        place.mkdir(parents=True)
        for seed in seeds:
            Image.fromarray(draw_photo(seed, height=side, width=side)).save(place / f"{seed}.png")
    out = folder / "out"
    out.mkdir()
    watched = open_set(hr.parent)
    allowed, _ = training_photos(photos, watched)
    return Lab(out, allowed, watched, {"squeezenet1_1": drawn_weights()})
