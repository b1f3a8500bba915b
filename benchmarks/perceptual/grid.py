"""Print what makes a grid in a GAN stage, and what keeps it away: ``grid.py PHOTOS SETS WEIGHTS``.

PHOTOS is a folder to train on, SETS a folder with Set5 and Set14, WEIGHTS SqueezeNet's file. A
small generator gets 600 steps of L1, then 240 steps of each variant from the same start, on the
same patches. The teacher is SqueezeNet, so its distance falls by itself; EfficientNet-Lite1 and
NIQE have taught nobody. About 20 minutes on two cores.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.quality.measuring import method
from benchmarks.quality.photos import SCALE, Pair, open_set, open_training_crops, training_photos
from srgan.config import (
    AdversarialConfig,
    DataConfig,
    DiscriminatorConfig,
    FeatureContentConfig,
    GeneratorConfig,
    LearningRate,
    PretrainConfig,
)
from srgan.config.networks import FEATURE_SCALE, PUBLISHED_WEIGHTS
from srgan.data.dataset import Crops, Patches
from srgan.measure.guards import checkerboard
from srgan.measure.metrics import psnr
from srgan.measure.niqe import Naturalness
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.base import Generator
from srgan.models.interchange import dump_generator
from srgan.settings import Settings
from srgan.train.batches import Batches
from srgan.train.run import build_stage
from srgan.versions.mirror_weights import fetch

CPU = torch.device("cpu")
GENERATOR = GeneratorConfig(kind="bicubic_resnet", scale=SCALE, num_blocks=4, num_channels=32)
SHARED = {
    "generator": GENERATOR,
    "batch_size": 8,
    "patch_size": 64,
    "gradient_clip": 1.0,
    "seed": 1,
}
VARIANTS: dict[str, dict[str, float]] = {
    "content on features": {"adversarial_weight": 0},
    "content and grid term, weight 10": {"adversarial_weight": 0, "grid_weight": 10},
    "content and grid term, weight 30": {"adversarial_weight": 0, "grid_weight": 30},
    "content and grid term, weight 100": {"adversarial_weight": 0, "grid_weight": 100},
    "content and adversarial loss, share 0.3": {"adversarial_weight": 1, "adversarial_share": 0.3},
    "both, and grid term, weight 30": {
        "adversarial_weight": 1,
        "adversarial_share": 0.3,
        "grid_weight": 30,
    },
}


def trained(
    config: PretrainConfig | AdversarialConfig,
    crops: Crops,
    initial: bytes | None = None,
    perceptual: bytes | None = None,
) -> Generator:
    """Train a stage to its end and return its generator."""
    stage = build_stage(config, device=CPU, initial=initial, perceptual=perceptual)
    patches = Patches(
        crops, batch_size=config.batch_size, window=stage.window, seed=config.seed, augment=True
    )
    with Batches(patches, CPU) as batches:
        for step in range(config.steps):
            stage.step(batches.take(step).windows, step)
    return stage.result.eval()


def figures(
    generator: Generator, pairs: list[Pair], judges: list[PerceptualDistance | Naturalness]
) -> Iterator[float]:
    """PSNR, the judges' means, and mean and worst grid in levels."""
    upscale = method(generator)
    images = [(pair.hr.rgb, upscale(pair.lr).rgb) for pair in pairs]
    yield float(np.mean([psnr(hr, sr, border=SCALE) for hr, sr in images]))
    for judge in judges:
        yield float(np.mean([judge(hr, sr, border=SCALE) for hr, sr in images]))
    grids = [float(checkerboard(hr, sr, scale=SCALE)) for hr, sr in images]
    yield from (float(np.mean(grids)), max(grids))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("sets", type=Path)
    parser.add_argument("weights", type=Path)
    arguments = parser.parse_args()
    weights = arguments.weights.read_bytes()
    pairs = [pair for name in ("Set5", "Set14") for pair in open_set(arguments.sets / name)]
    photos, _ = training_photos(arguments.photos, pairs)
    published = PUBLISHED_WEIGHTS["efficientnet_lite1"].source
    judges = [
        PerceptualDistance("squeezenet1_1", weights),
        PerceptualDistance("efficientnet_lite1", fetch(Settings(), published)),
        Naturalness(),
    ]
    columns = ["PSNR", *(judge.name for judge in judges), "grid", "worst grid"]
    print("| | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    content = FeatureContentConfig(
        network="squeezenet1_1",
        layer="fire9",
        feature_scale=FEATURE_SCALE["squeezenet1_1"],
        weights="00000000",  # nothing is mirrored here
        pixel_weight=1.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        crops = open_training_crops(photos, Path(folder), DataConfig(crop_size=160))
        rate = LearningRate(peak=1e-3, warmup_steps=50, decay="cosine")
        pretrain = PretrainConfig.model_validate(
            {**SHARED, "steps": 600, "loss": "l1", "learning_rate": rate}
        )
        start = trained(pretrain, crops)
        report("start", figures(start, pairs, judges))
        for name, options in VARIANTS.items():
            gan = AdversarialConfig.model_validate(
                {
                    **SHARED,
                    "steps": 240,
                    "learning_rate": LearningRate(peak=1e-4, decay="cosine"),
                    "discriminator": DiscriminatorConfig(num_channels=16, dense_size=128),
                    "content": content,
                    **options,
                }
            )
            result = trained(gan, crops, dump_generator(start), weights)
            report(name, figures(result, pairs, judges))


def report(name: str, values: Iterator[float]) -> None:
    print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |", flush=True)


if __name__ == "__main__":
    main()
