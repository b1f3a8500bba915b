"""Print what parts of a GAN stage bring: ``ablations.py PHOTOS SETS WEIGHTS --out FOLDER``.

The parts are the adversarial loss, the grid term and `discriminator_shift`. Options that were
measured once and not kept are in docs/decisions/0019-options-of-the-gan-that-were-not-kept.md;
this script does not know them.

PHOTOS is a folder to train on, SETS a folder with Set5 and Set14, WEIGHTS a file of SqueezeNet 1.1,
such as torchvision's; figures depend on it. A small generator gets 600 steps of L1, then 240 steps
of each variant from the same start; a seed decides the patches and the discriminator's first
weights. The teacher is SqueezeNet, so its distance falls by itself; EfficientNet-Lite1 and NIQE
have taught nobody. Takes 3 to 6 minutes for each variant and seed on one core. Finished ones are
kept in FOLDER, so it can be stopped at any time. `--only WORD` measures the variants that have the
word in their names.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

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
from srgan.disk import write_atomically
from srgan.measure.guards import checkerboard
from srgan.measure.intervals import CONFIDENCE, half_width
from srgan.measure.metrics import psnr
from srgan.measure.niqe import Naturalness
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.base import Generator
from srgan.models.interchange import dump_generator, load_generator
from srgan.settings import Settings
from srgan.train.batches import Batches
from srgan.train.run import build_stage
from srgan.versions.mirror_weights import fetch

Judges = list[PerceptualDistance | Naturalness]

CPU = torch.device("cpu")
GENERATOR = GeneratorConfig(kind="bicubic_resnet", scale=SCALE, num_blocks=4, num_channels=32)
SHARED = {"generator": GENERATOR, "batch_size": 8, "patch_size": 64, "gradient_clip": 1.0}
CONTENT = FeatureContentConfig(
    network="squeezenet1_1",
    layer="fire9",
    feature_scale=FEATURE_SCALE["squeezenet1_1"],
    weights="00000000",  # nothing is mirrored here
    pixel_weight=1.0,
)
GAN: dict[str, Any] = {"adversarial_weight": 1.0, "adversarial_share": 0.3}
BOTH: dict[str, Any] = {**GAN, "grid_weight": 30.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "adversarial loss and grid term": BOTH,
    "both, discriminator_shift": {**BOTH, "discriminator_shift": True},
    "adversarial loss": GAN,
    "adversarial loss, discriminator_shift": {**GAN, "discriminator_shift": True},
    "content on features": {"adversarial_weight": 0.0},
    "content on features and grid term": {"adversarial_weight": 0.0, "grid_weight": 30.0},
}
_TOLD = (
    "adversarial_weight",
    "adversarial_share",
    "discriminator_real",
    "discriminator_fake",
    "discriminator_gradient_norm",
)
_LAST_STEPS = 50
"""Steps at the end over which these are averaged."""


def train(
    config: PretrainConfig | AdversarialConfig,
    crops: Crops,
    initial: bytes | None = None,
    perceptual: bytes | None = None,
) -> tuple[Generator, dict[str, float]]:
    """Train a stage; its generator, what it told at its end, and CPU seconds per step.

    CPU time, because a busy machine changes it little.
    """
    stage = build_stage(config, device=CPU, initial=initial, perceptual=perceptual)
    patches = Patches(
        crops, batch_size=config.batch_size, window=stage.window, seed=config.seed, augment=True
    )
    told: list[dict[str, float]] = []
    begun = time.process_time()
    with Batches(patches, CPU) as batches:
        for step in range(config.steps):
            losses = stage.step(batches.take(step).windows, step)
            told.append({name: float(value) for name, value in losses.items()})
    seconds = (time.process_time() - begun) / config.steps
    last = told[-_LAST_STEPS:]
    means = {n: statistics.mean(each[n] for each in last) for n in _TOLD if n in last[0]}
    return stage.result.eval(), {**means, "seconds per step": seconds}


def measure(generator: Generator, pairs: list[Pair], judges: Judges) -> dict[str, float]:
    """PSNR, the judges' means, and mean and worst grid in levels."""
    upscale = method(generator)
    images = [(pair.hr.rgb, upscale(pair.lr).rgb) for pair in pairs]
    found = {"PSNR": float(np.mean([psnr(hr, sr, border=SCALE) for hr, sr in images]))}
    for judge in judges:
        found[judge.name] = float(np.mean([judge(hr, sr, border=SCALE) for hr, sr in images]))
    grids = [float(checkerboard(hr, sr, scale=SCALE)) for hr, sr in images]
    return {**found, "grid": float(np.mean(grids)), "worst grid": max(grids)}


def start_of(folder: Path, crops: Crops) -> bytes:
    """The generator file from which all variants start, trained once."""
    path = folder / "start.safetensors"
    if not path.exists():
        rate = LearningRate(peak=1e-3, warmup_steps=50, decay="cosine")
        pretrain = PretrainConfig.model_validate(
            {**SHARED, "seed": 1, "steps": 600, "loss": "l1", "learning_rate": rate}
        )
        with write_atomically(path) as draft:
            draft.write_bytes(dump_generator(train(pretrain, crops)[0]))
    return path.read_bytes()


def gan(options: dict[str, Any], seed: int) -> AdversarialConfig:
    """The config of a variant."""
    return AdversarialConfig.model_validate(
        {
            **SHARED,
            "seed": seed,
            "steps": 240,
            "learning_rate": LearningRate(peak=1e-4, decay="cosine"),
            "discriminator": DiscriminatorConfig(num_channels=16, dense_size=128),
            "content": CONTENT,
            **options,
        }
    )


def row(name: str, seeds: list[dict[str, float]]) -> str:
    """One row of the table: means, with half their 95 % intervals where seeds allow."""
    cells = []
    for column in seeds[0]:
        values = [each[column] for each in seeds]
        cell = f"{statistics.mean(values):.3f}"
        if len(values) > 1:
            cell += f" ± {half_width(np.array(values), CONFIDENCE):.3f}"
        cells.append(cell)
    return f"| {name} | {len(seeds)} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("sets", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder of what is finished")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--only", nargs="+", default=[""], help="words in the variants' names")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    weights = arguments.weights.read_bytes()
    pairs = [pair for name in ("Set5", "Set14") for pair in open_set(arguments.sets / name)]
    photos, _ = training_photos(arguments.photos, pairs)
    crops = open_training_crops(photos, arguments.out, DataConfig(crop_size=160))
    efficientnet = fetch(Settings(), PUBLISHED_WEIGHTS["efficientnet_lite1"].source)
    judges: Judges = [
        PerceptualDistance("squeezenet1_1", weights),
        PerceptualDistance("efficientnet_lite1", efficientnet),
        Naturalness(),
    ]
    start = start_of(arguments.out, crops)
    results = arguments.out / "results.json"
    done: dict[str, dict[str, float]] = json.loads(results.read_text()) if results.exists() else {}
    if "start" not in done:
        done["start"] = measure(load_generator(start).eval(), pairs, judges)
        print(row("start", [done["start"]]), flush=True)
    wanted = {n: o for n, o in VARIANTS.items() if any(word in n for word in arguments.only)}
    for seed in arguments.seeds:
        for name, options in wanted.items():
            key = json.dumps([options, seed], sort_keys=True)
            if key not in done:
                generator, told = train(gan(options, seed), crops, start, weights)
                done[key] = {**measure(generator, pairs, judges), **told}
                with write_atomically(results) as draft:
                    draft.write_text(json.dumps(done, indent=1))
                print(row(f"{name}, seed {seed}", [done[key]]), flush=True)
    columns = ["", "seeds", *done["start"], *_TOLD, "seconds per step"]
    print("\n| " + " | ".join(columns) + " |\n|---" + "|---:" * (len(columns) - 1) + "|")
    print(row("start", [done["start"]]))
    for name, options in wanted.items():
        keys = [json.dumps([options, seed], sort_keys=True) for seed in arguments.seeds]
        print(row(name, [done[key] for key in keys]))


if __name__ == "__main__":
    main()
