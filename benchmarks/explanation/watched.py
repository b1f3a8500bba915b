"""A short GAN stage, and what is watched of it: the recipe `demo`, and the same with 1e-3."""

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from benchmarks.quality.photos import open_training_crops
from benchmarks.quality.plots import METADATA, STYLE
from srgan.config import AdversarialConfig
from srgan.config.networks import PUBLISHED_WEIGHTS
from srgan.data.dataset import Patches
from srgan.demo.photos import shipped_photos
from srgan.models.shipped import read_shipped
from srgan.recipes import demo
from srgan.settings import Settings
from srgan.train.batches import Batches
from srgan.train.run import build_stage
from srgan.versions.mirror_weights import fetch

Curves = Mapping[str, Sequence[float]]

_WATCHED = ("discriminator_real", "discriminator_fake", "adversarial_share", "content_loss")
_LAST = 20
"""Steps at the end whose mean is printed."""


def variants() -> dict[str, AdversarialConfig]:
    """The GAN stage of the recipe `demo`, and the same with the paper's fixed weight."""
    config = demo().adversarial
    assert config is not None
    fixed = config.model_copy(update={"adversarial_share": None, "adversarial_weight": 1e-3})
    return {"a share of 0.3": config, "a weight of 1e-3": fixed}


def train(config: AdversarialConfig) -> Curves:
    """Train the stage on the demo's photographs from the shipped generator; its curves."""
    perceptual = fetch(Settings(), PUBLISHED_WEIGHTS["efficientnet_lite0"].source)
    stage = build_stage(
        config, device=torch.device("cpu"), initial=read_shipped("shipped"), perceptual=perceptual
    )
    curves: dict[str, list[float]] = {name: [] for name in _WATCHED}
    with tempfile.TemporaryDirectory() as folder:
        crops = open_training_crops(list(shipped_photos().values()), Path(folder), demo().data)
        patches = Patches(
            crops, batch_size=config.batch_size, window=stage.window, seed=config.seed, augment=True
        )
        with Batches(patches, torch.device("cpu")) as batches:
            for step in range(config.steps):
                losses = stage.step(batches.take(step).windows, step)
                for name, values in curves.items():
                    values.append(float(losses[name]))
    return curves


def ends(curves: Curves) -> dict[str, float]:
    """Means over the last steps."""
    return {name: statistics.mean(values[-_LAST:]) for name, values in curves.items()}


def plot(found: Mapping[str, Curves], path: Path) -> None:
    """Plot what the discriminator says and the adversarial share of each variant."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 5.2), layout="constrained")
        rows = figure.subplots(2, len(found), sharex=True)
        for column, (name, curves) in enumerate(found.items()):
            judged, share = rows[0][column], rows[1][column]
            judged.plot(curves["discriminator_real"], label="D(real)", color="#2b6cb0")
            judged.plot(curves["discriminator_fake"], label="D(fake)", color="#b05a00")
            judged.set(title=name, ylim=(0, 1), ylabel="mean of a batch")
            judged.legend(frameon=False, fontsize=8)
            share.plot(curves["adversarial_share"], color="#2f7d3b")
            share.set(xlabel="step", ylabel="adversarial share", ylim=(0, None))
        figure.savefig(path, format="svg", metadata=METADATA)
