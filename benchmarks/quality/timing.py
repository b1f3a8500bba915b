"""Seconds per step of every network, measured apart: trainings share their machine with others."""

import json
import statistics
import time
from pathlib import Path

import torch

from benchmarks.quality.contestants import Contestant
from srgan.train.build import build_stage

TIMES = "times.json"
_WARM, _ROUNDS = 2, 7


def time_steps(contestants: list[Contestant], weights: bytes, out: Path) -> None:
    """Write the median seconds per step by contestant; on an idle machine, with all its cores."""
    found = {each.name: _median_step_s(each, weights) for each in contestants}
    (out / TIMES).write_text(json.dumps(found, indent=1))


def read_step_s(out: Path, name: str) -> float | None:
    """What was measured; None before `time_steps`."""
    path = out / TIMES
    return json.loads(path.read_text()).get(name) if path.exists() else None


def _median_step_s(contestant: Contestant, weights: bytes) -> float:
    config = contestant.stage
    stage = build_stage(config, device=torch.device("cpu"), initial=None, perceptual=weights)
    shape = (config.batch_size, 3, stage.window, stage.window)
    windows = torch.randint(0, 256, shape, dtype=torch.uint8)
    seconds = []
    for step in range(_WARM + _ROUNDS):
        begun = time.perf_counter()
        stage.step(windows, step)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[_WARM:])
