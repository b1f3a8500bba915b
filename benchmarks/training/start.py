"""Measure the time from a stage's submission to its first step, on a warm local stack.

    python -m benchmarks.training.start [--rounds N]

Starts the services in a temporary folder, prepares drawn photos and trains two steps, once to warm
up and N times to measure. The time runs from the job server's record of the job to the first
step's loss in the log; its parts are printed too.
"""

import argparse
import os
import re
import statistics
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from srgan.config import PretrainConfig
from srgan.recipes import tiny
from srgan.refs import CheckpointRef
from srgan.services.mlflow_runs import mlflow_client
from srgan.services.ray_jobs import RayJobs
from srgan.services.s3 import open_store
from srgan.settings import Settings
from srgan.stack import Stack


def main() -> None:
    """Print each round's parts, then the median."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.start")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    # Socket paths end at 107 bytes, so the folder is short.
    with tempfile.TemporaryDirectory(prefix="srgan-start-") as home:
        stack = Stack(Path(home))
        try:
            stack.up()
            os.environ.update(stack.env())
            os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
            _measure(rounds)
        finally:
            stack.down()


def _measure(rounds: int) -> None:
    # Prefect reads its environment when it is imported.
    from flows.prepare import prepare
    from flows.train import train

    recipe = tiny()
    stage = PretrainConfig.model_validate(
        {**recipe.pretrain.model_dump(), "steps": 2, "log_every": 1}
    )
    store = open_store(Settings())
    for seed in range(8):
        store.put(f"raw/start/{seed}.png", _noise(seed))
    dataset = prepare(f"s3://{Settings().bucket}/raw/start", "start", recipe.data)
    seconds = []
    for number in range(rounds + 1):
        result = train(dataset, stage, num_workers=2, force=True)
        whole_s, parts = _first_step(result)
        print(f"{'warm-up' if not number else f'round {number}'}: {whole_s:.1f} s; {parts}")
        seconds.append(whole_s)
    print(f"submit to first step, median of {rounds}: {statistics.median(seconds[1:]):.1f} s")


def _first_step(result: CheckpointRef) -> tuple[float, str]:
    """Return seconds from submission to the first step's loss, and the parts that the job logs."""
    settings = Settings()
    jobs = RayJobs(settings.require("ray_address"))
    job = next(job for job in reversed(jobs.jobs()) if job.metadata.get("run") == result.run)
    assert result.mlflow_run_id is not None
    losses = mlflow_client(settings).get_metric_history(result.mlflow_run_id, "loss")
    parts = re.search(r"ready for step 0 after (.*)", jobs.log(job, 1000) or "")
    assert parts is not None
    return (losses[0].timestamp - job.start_time_ms) / 1e3, f"in the job: {parts[1]}"


def _noise(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (160, 160, 3), np.uint8)
    png = BytesIO()
    Image.fromarray(pixels).save(png, "png")
    return png.getvalue()


if __name__ == "__main__":
    main()
