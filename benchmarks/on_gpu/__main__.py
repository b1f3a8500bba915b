"""Run all parts in turn within the minutes that were given, and say how long each took.

The parts of seconds come first. The steps take two to four minutes, most of them compiling. The
training gets what is left, but at most five minutes, so it is the part that a slow compiler
shortens. ``--tiny --device cpu`` shows that the script runs; its figures mean nothing.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from benchmarks.on_gpu.communication import measure_communication
from benchmarks.on_gpu.photos import measure_photos
from benchmarks.on_gpu.steps import FULL, TINY, measure_degradations, measure_steps
from benchmarks.on_gpu.training import cut_photos, measure_feed, train
from benchmarks.on_gpu.upscaling import measure_fallback, measure_rates, measure_rounding
from benchmarks.quality.photos import open_set

Result = TypeVar("Result")

_MOST_TRAINING_S, _LEAST_TRAINING_S = 300.0, 30.0
_RESERVE_S = 20.0
"""Compiling again, and measuring PSNR, after the training's own time."""
_TINY_S = 5.0


def main(arguments: list[str]) -> None:
    options = _parse(arguments)
    begun = time.perf_counter()
    device = torch.device(options.device)
    size = TINY if options.tiny else FULL
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    print(f"{time.strftime('%Y-%m-%d')}, {name}, torch {torch.__version__}", flush=True)
    set5 = open_set(options.sets / "Set5")
    with tempfile.TemporaryDirectory(prefix="srgan-gpu-") as folder:
        crops = _in_time("cutting photos", lambda: cut_photos(options.photos, set5, Path(folder)))
        _in_time("loader", lambda: measure_feed(crops, device, size))
        _in_time("upscaling", lambda: measure_rates(device, size))
        _in_time("photos", lambda: measure_photos(device, size))
        _in_time("auto against fp32", lambda: measure_rounding(device, set5))
        _in_time("memory fallback", lambda: measure_fallback(device, size))
        _in_time("communication", lambda: measure_communication(device, size))
        _in_time("degradations", lambda: measure_degradations(device, size))
        _in_time("steps", lambda: measure_steps(device, size))
        left_s = 60 * options.minutes - (time.perf_counter() - begun) - _RESERVE_S
        seconds = _TINY_S if options.tiny else min(_MOST_TRAINING_S, left_s)
        if not options.tiny and seconds < _LEAST_TRAINING_S:
            print(f"training: left out, {seconds:.0f} s are left of {options.minutes:g} minutes")
        else:
            _in_time("training", lambda: train(crops, set5, device, seconds, size))
    print(f"all: {time.perf_counter() - begun:.0f} s", flush=True)


def _in_time(title: str, part: Callable[[], Result]) -> Result:
    begun = time.perf_counter()
    result = part()
    print(f"{title}: {time.perf_counter() - begun:.1f} s", flush=True)
    return result


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_gpu", description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of photos to train on")
    parser.add_argument("sets", type=Path, help="folder with Set5")
    parser.add_argument("--minutes", type=float, default=8.0, help="of all parts; default: 8")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the script")
    parser.add_argument("--tiny", action="store_true", help="only show that it runs")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here; --tiny --device cpu only shows that the script runs")
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
