"""Patches that the loader feeds to a device, and a training on them."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.on_gpu.steps import PAPERS_STEPS, Size, fresh_stage, steps_per_second, wait
from benchmarks.quality.measuring import mean_psnr
from benchmarks.quality.photos import Pair, open_training_crops, training_photos
from srgan.config import DataConfig, LearningRate, PretrainConfig
from srgan.data.dataset import Crops, Patches
from srgan.train.batches import Batches

_DATA = DataConfig(crop_size=192, shrunk=(0.8, 0.6), least_detail=8)
_SIDE = 96
_MEGABYTE = 1e6


def cut_photos(photos: Path, held: Sequence[Pair], out: Path) -> Crops:
    """Cut crops of the photos that show none of `held` into files in `out`."""
    allowed, _ = training_photos(photos, held)
    return open_training_crops(allowed, out, _DATA)


def measure_feed(crops: Crops, device: torch.device, size: Size) -> None:
    """Take batches for nothing: how many the loader cuts and copies to the device."""
    begun, done = 0.0, 0
    with Batches(_patches(crops, size.large_batch, _SIDE, seed=0), device) as batches:
        batches.take(0)  # starts the thread and the copying
        begun = time.perf_counter()
        while time.perf_counter() - begun < size.timed_s:
            done += 1
            batches.take(done)
        wait(device)
        took = time.perf_counter() - begun
    rate = done * size.large_batch / took
    print(
        f"loader, batches of {size.large_batch} patches of {_SIDE}²: {rate:.0f} patches/s, "
        f"{rate * 3 * _SIDE**2 / _MEGABYTE:.0f} MB/s, one process, one thread",
        flush=True,
    )


def train(
    crops: Crops, set5: Sequence[Pair], device: torch.device, seconds: float, size: Size
) -> None:
    """Train SRResNet-MSE with a schedule that fits into the time, and print PSNR on Set5."""
    draft = PretrainConfig(
        generator=size.generator,
        steps=PAPERS_STEPS,
        learning_rate=LearningRate(peak=4e-4, warmup_steps=5, decay="cosine"),
        ema_decay=0.999,
        precision="bf16" if device.type == "cuda" else "auto",
        compile=size.compiles,
        batch_size=size.large_batch,
    )
    begun = time.perf_counter()
    rate = steps_per_second(fresh_stage(draft, device), device, size)
    left_s = max(1.0, seconds - (time.perf_counter() - begun))
    config = draft.model_copy(update={"steps": max(10, int(0.9 * left_s * rate))})
    stage = fresh_stage(config, device)
    patches = _patches(crops, config.batch_size, stage.window, seed=config.seed)
    begun = time.perf_counter()
    with Batches(patches, device) as batches:
        for step in range(config.steps):
            stage.step(batches.take(step).windows, step)
        wait(device)
        took = time.perf_counter() - begun
    psnr = mean_psnr(stage.result.to("cpu"), list(set5))
    print(
        f"SRResNet-MSE, {config.steps:,} steps of {config.batch_size} patches in {took:.0f} s "
        f"({config.steps / took:.1f} steps/s, {batches.wait_s:.0f} s of it waiting for patches): "
        f"{psnr:.2f} dB on Set5; the paper's has 32.05",
        flush=True,
    )


def _patches(crops: Crops, batch_size: int, window: int, *, seed: int) -> Patches:
    return Patches(crops, batch_size=batch_size, window=window, seed=seed, augment=True)
