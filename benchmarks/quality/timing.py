"""Seconds per step of every network, measured separately, because trainings share the machine."""

import json
import statistics
import time
from pathlib import Path

import torch

from benchmarks.quality.contestants import Contestant
from srgan.train.run import build_stage

_TIMES = "times.json"
_WARM, _ROUNDS = 2, 7


def time_steps(contestants: list[Contestant], weights: bytes, out: Path) -> dict[str, float]:
    """Return median seconds per step by the contestants' folders; measured ones are kept.

    Needs an idle machine and uses all of its cores.
    """
    path = out / _TIMES
    known = json.loads(path.read_text()) if path.exists() else {}
    found = {
        each.folder: known.get(each.folder) or _median_step_s(each, weights) for each in contestants
    }
    path.write_text(json.dumps(found, indent=1))
    return found


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
