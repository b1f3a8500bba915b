"""Training step of SRResNet: a plain eager fp32 NCHW loop against this project's own stage.

    python benchmarks/training_step.py

Both sides train the paper's generator (16 blocks, 64 channels) on MSE with batches of 16 patches of
96×96 in this process, in turn, and the medians are compared. Threads: torch's default.
"""

import statistics
import time

import torch
from torch import nn

from srgan.config import GeneratorConfig, PretrainConfig
from srgan.models.build import build_generator
from srgan.train.build import build_stage

ROUNDS, STEPS, BATCH = 7, 3, 16


def main() -> None:
    """Warm both sides up, time them in turn, print medians and their ratio."""
    config = PretrainConfig(generator=GeneratorConfig(), steps=10**6, precision="auto")
    stage = build_stage(config, device=torch.device("cpu"), initial=None)
    windows = torch.randint(0, 256, (BATCH, 3, stage.window, stage.window), dtype=torch.uint8)
    plain = _Plain(config.generator)
    lr, hr = stage.degradation(windows)
    sides = {
        "plain eager fp32 NCHW": lambda step: plain.step(lr, hr),
        "srgan, precision auto": lambda step: stage.step(windows, step),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(ROUNDS + 1):
        for name, run in sides.items():
            started = time.perf_counter()
            for step in range(STEPS):
                run(round_ * STEPS + step)
            if round_:
                times[name].append((time.perf_counter() - started) / STEPS)
    medians = {name: statistics.median(each) for name, each in times.items()}
    for name, seconds in medians.items():
        print(f"{name}: {seconds:.3f} s per step, {BATCH / seconds:.1f} crops/s")
    first, second = medians.values()
    print(f"ratio: {first / second:.2f}")


class _Plain:
    """What a straightforward training script does."""

    def __init__(self, config: GeneratorConfig) -> None:
        self.generator = build_generator(config).train()
        self.optimizer = torch.optim.Adam(self.generator.parameters(), lr=1e-4)
        self.loss = nn.MSELoss()

    def step(self, lr: torch.Tensor, hr: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        self.loss(self.generator(lr), hr).backward()
        self.optimizer.step()


if __name__ == "__main__":
    main()
