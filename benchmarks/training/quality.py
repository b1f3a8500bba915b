"""Measure the quality that speed costs: short schedules of SRResNet in fp32 and bf16."""

import statistics

import numpy as np

from benchmarks.training.measure import Size
from benchmarks.training.steps import CPU, options
from srgan.config import LearningRate, PretrainConfig
from srgan.data.crops import cut
from srgan.data.dataset import Crops, Patches
from srgan.demo.photos import shipped_photos
from srgan.images import decode_in_8_bits
from srgan.train.batches import Batches
from srgan.train.run import build_stage
from srgan.train.validation import Validation

CROP = 128
HELD_OUT = ("chelsea.png", "flower.jpg")
SEEDS = (0, 1, 2)


def quality(size: Size, num_steps: int) -> None:
    """Print PSNR on held-out photos after `num_steps` steps, by precision, with three seeds."""
    train, held_out = _crops(held_out=False), _crops(held_out=True)
    for precision in ("fp32", "auto"):
        scores = [_train(train, held_out, size, num_steps, precision, seed) for seed in SEEDS]
        each = ", ".join(f"{score:.3f}" for score in scores)
        print(
            f"quality, {precision}: {statistics.mean(scores):.2f} dB after {num_steps} steps "
            f"({each}; spread {max(scores) - min(scores):.2f})"
        )


def _train(
    train: Crops, held_out: Crops, size: Size, num_steps: int, precision: str, seed: int
) -> float:
    rate = LearningRate(peak=4e-4, warmup_steps=num_steps // 20, decay="cosine")
    fields = {"steps": num_steps, "precision": precision, "seed": seed, "learning_rate": rate}
    config = PretrainConfig.model_validate({**options(size), **fields})
    stage = build_stage(config, device=CPU, initial=None)
    patches = Patches(train, batch_size=size.batch, window=stage.window, seed=seed, augment=True)
    with Batches(patches, CPU) as batches:
        for step in range(num_steps):
            stage.step(batches.take(step).windows, step)
    return Validation(held_out, config.generator.scale, CPU).measure(stage.result).metrics["psnr"]


def _crops(*, held_out: bool) -> Crops:
    """Cut crops of the shipped photos: of held-out ones, or of the others."""
    files = [f for name, f in shipped_photos().items() if (name in HELD_OUT) == held_out]
    photos = [decode_in_8_bits(file.read_bytes(), max_pixels=10**8).rgb for file in files]
    cuts = [list(cut(photo, CROP)) for photo in photos]
    counts = [len(each) for each in cuts]
    return Crops(
        size=CROP,
        names=[file.name for file, count in zip(files, counts, strict=True) for _ in range(count)],
        photo_of=np.repeat(np.arange(len(files)), counts).tolist(),
        shards=[np.stack(each) for each in cuts],
        shard_of=np.repeat(np.arange(len(files)), counts),
        row_of=np.concatenate([np.arange(count) for count in counts]),
    )
