"""Print what kinds of generators reach in equal CPU time, at about equal speed.

    python -m benchmarks.generators PHOTOS SETS --out FOLDER [--seconds 600] [--rates 3e-4 1e-3]

PHOTOS is a folder to train on (20 of its photos are held out, for choosing the rate), SETS a folder
with Set5 and Set14. Each network is trained by the first stage of `fast_x4` with as many steps as
fit into the seconds. One thread; CPU time is counted, which a busy machine changes little. Finished
trainings are kept in FOLDER.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.quality.measuring import mean_psnr
from benchmarks.quality.photos import (
    SCALE,
    Pair,
    hold_out,
    open_set,
    open_training_crops,
    training_photos,
)
from srgan.allocator import use_large_pages
from srgan.config import GeneratorConfig, LearningRate, PretrainConfig
from srgan.data.dataset import Crops, Patches
from srgan.disk import write_atomically
from srgan.models.base import Generator
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator, load_generator
from srgan.recipes import get_recipe
from srgan.train.batches import Batches
from srgan.train.run import build_stage

CPU = torch.device("cpu")
GENERATORS = {
    "bicubic_resnet, 8 blocks of 48": GeneratorConfig(
        kind="bicubic_resnet", scale=SCALE, num_blocks=8, num_channels=48
    ),
    "bicubic_span, 4 blocks of 48": GeneratorConfig(
        kind="bicubic_span", scale=SCALE, num_blocks=4, num_channels=48
    ),
}
_NUM_HELD = 20
_SIDE = 192
_ROUNDS = 7
"""Measurements of a time, of which the first is left out."""


def medians(sides: dict[str, Callable[[], object]]) -> dict[str, float]:
    """CPU seconds of each side, measured in turn."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(_ROUNDS):
        for name, side in sides.items():
            begun = time.process_time()
            side()
            found[name].append(time.process_time() - begun)
    return {name: statistics.median(times[1:]) for name, times in found.items()}


def stage_of(generator: GeneratorConfig, steps: int, rate: float) -> PretrainConfig:
    """The first stage of `fast_x4` for another generator, number of steps and rate."""
    schedule = LearningRate(peak=rate, warmup_steps=max(1, steps // 10), decay="cosine")
    return get_recipe("fast_x4").pretrain.model_copy(
        update={"generator": generator, "steps": steps, "learning_rate": schedule}
    )


def patches_of(crops: Crops, config: PretrainConfig, window: int) -> Patches:
    """The patches of a training."""
    return Patches(
        crops, batch_size=config.batch_size, window=window, seed=config.seed, augment=config.augment
    )


def seconds_per_step(crops: Crops) -> dict[str, float]:
    """CPU seconds of a training step of each network."""
    stages = {
        name: build_stage(stage_of(one, 1000, 1e-3), device=CPU, initial=None, perceptual=None)
        for name, one in GENERATORS.items()
    }
    some = next(iter(stages.values()))
    patches = patches_of(crops, stage_of(some.config.generator, 1, 1e-3), some.window)
    with Batches(patches, CPU) as batches:
        windows = batches.take(0).windows
    return medians({n: lambda s=s: s.step(windows, 0) for n, s in stages.items()})  # type: ignore[misc]  # mypy cannot infer a lambda with a default


def train(crops: Crops, config: PretrainConfig, path: Path) -> Generator:
    """Train a network to its end, or read what an earlier call has trained."""
    if not path.exists():
        stage = build_stage(config, device=CPU, initial=None, perceptual=None)
        with Batches(patches_of(crops, config, stage.window), CPU) as batches:
            for step in range(config.steps):
                stage.step(batches.take(step).windows, step)
        with write_atomically(path) as draft:
            draft.write_bytes(dump_generator(stage.result))
    return load_generator(path.read_bytes()).eval()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generators", description=__doc__.splitlines()[0]
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder of what is finished")
    parser.add_argument("--seconds", type=float, default=600.0, help="CPU seconds of a training")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3], help="learning rates")
    arguments = parser.parse_args()
    use_large_pages()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    sets: dict[str, list[Pair]] = {n: open_set(arguments.sets / n) for n in ("Set5", "Set14")}
    photos, _ = training_photos(arguments.photos, [pair for each in sets.values() for pair in each])
    photos, held = hold_out(photos, _NUM_HELD)
    crops = open_training_crops(photos, arguments.out, get_recipe("fast_x4").data)
    lr = torch.rand(1, 3, _SIDE, _SIDE).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        networks = {n: build_generator(c).eval() for n, c in GENERATORS.items()}
        times = medians({n: lambda g=g: g(lr) for n, g in networks.items()})  # type: ignore[misc]  # as above
    steps = {n: int(arguments.seconds / s) for n, s in seconds_per_step(crops).items()}
    print("| | output MP per CPU second | steps | rate | held out | Set5 | Set14 |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, generator in GENERATORS.items():
        speed = (_SIDE * SCALE) ** 2 / 1e6 / times[name]
        for rate in arguments.rates:
            config = stage_of(generator, steps[name], rate)
            path = arguments.out / f"{generator.kind}-{arguments.seconds:g}-{rate:g}.safetensors"
            trained = train(crops, config, path)
            psnr = [mean_psnr(trained, pairs) for pairs in (held, *sets.values())]
            cells = " | ".join(f"{value:.3f}" for value in psnr)
            print(f"| {name} | {speed:.2f} | {steps[name]} | {rate:g} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
