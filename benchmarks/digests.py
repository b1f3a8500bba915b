"""Print digests that show whether weights, figures and pixels stayed the same.

    python benchmarks/digests.py > before.txt
    python benchmarks/digests.py --against before.txt
    python benchmarks/digests.py --recipe tiny.json    # from `srgan recipes tiny`, at any commit

Starts the whole local stack in a temporary home, retrains with two workers on photos drawn from a
seed, trains the same recipe again with one worker, and upscales a few files with the new version.
Prints one line for each thing that a refactoring must not change; with `--against`, exits with 1 if
a line differs from that file. Compare on one machine, because other processors round differently.

It uses the `srgan` command, the deployments and the bucket, and imports nothing from the project.
So it runs unchanged before and after every move of code.
"""

import argparse
import hashlib
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
PHOTOS, DATASET, MODEL = "raw/digests", "digests", "digests-x4"
SMALL, LARGE = "small/digests", "large/digests"
LIMIT_S = 1800


def main() -> None:
    """Print the digests, and compare them if asked to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path, help="output of an earlier run")
    parser.add_argument(
        "--recipe", default="tiny", help="name of a recipe, or a JSON file with one"
    )
    options = parser.parse_args()
    # Read first, because otherwise a missing file would be found after minutes.
    before = _parse(options.against.read_text()) if options.against else None
    now: dict[str, str] = {}
    # SIGTERM also ends the services, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "home")
        try:
            stack.start()
            for name, digest in digests(stack, stack.recipe(options.recipe)):
                now[name] = digest
                print(f"{name:34}  {digest}", flush=True)
        finally:
            stack.srgan("stack", "down")
    if before is None:
        return
    names = sorted(now.keys() | before.keys())
    changed = [name for name in names if now.get(name) != before.get(name)]
    for name in changed:
        print(f"DIFFERENT {name}: was {before.get(name)}, is {now.get(name)}")
    print(f"{len(names) - len(changed)} of {len(names)} equal to {options.against}")
    sys.exit(1 if changed else 0)


class Stack:
    """The local stack of this checkout, used from outside as a user would."""

    def __init__(self, home: Path) -> None:
        path = os.pathsep.join([str(PROGRAMS), os.environ["PATH"]])
        # The Ray node and the worker inherit PYTHONPATH, so they run this checkout's code too.
        self.env = {
            **os.environ,
            "SRGAN_HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "PATH": path,
        }

    def start(self) -> None:
        """Start the services, deploy the flows and open the bucket."""
        self.srgan("stack", "up")
        self.srgan("stack", "deploy")
        for line in shlex.split(self.srgan("stack", "env")):
            name, is_variable, value = line.partition("=")
            if is_variable:
                self.env[name] = value
        self.bucket = self.env["SRGAN_BUCKET"]
        self.s3 = boto3.client(
            "s3",
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            region_name=self.env["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
        )

    def srgan(self, *arguments: str) -> str:
        """Run `srgan ARGUMENTS`; return its output."""
        return self._run(str(PROGRAMS / "srgan"), *arguments)

    def flow(self, deployment: str, **parameters: object) -> None:
        """Run a deployment to its end."""
        run = ["prefect", "deployment", "run", deployment, "--watch"]
        self._run(*run, "--params", json.dumps(parameters))

    def recipe(self, name_or_file: str) -> dict[str, Any]:
        """Read a whole recipe from a file, or by its name."""
        file = Path(name_or_file)
        found = file.read_text() if file.exists() else self.srgan("recipes", name_or_file)
        recipe: dict[str, Any] = json.loads(found)
        return recipe

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        """Read an object."""
        data: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return data

    def keys(self, prefix: str) -> list[str]:
        """List all keys below a prefix, sorted."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return sorted(each["Key"] for page in pages for each in page.get("Contents", []))

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            env=self.env,
            cwd=ROOT,
            text=True,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        if done.returncode:
            said = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            raise SystemExit(f"`{shlex.join(command)}` failed with {done.returncode}:\n{said}")
        return done.stdout


def digests(stack: Stack, recipe: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and digests, in the order in which the pipeline makes these things."""
    yield "recipe", _sha256(json.dumps(recipe, sort_keys=True).encode())
    for seed in range(8):
        stack.put(f"{PHOTOS}/{seed}.png", _photo(seed, 200, 160, "PNG"))
    source = f"s3://{stack.bucket}/{PHOTOS}"
    stack.flow(
        "retrain/retrain",
        source=source,
        dataset=DATASET,
        model=MODEL,
        recipe=recipe,
        num_workers=2,
    )
    # Shards are named by their content.
    shards = stack.keys(f"crops/{DATASET}/shards/")
    yield "crops", _sha256("\n".join(shards).encode())
    two_workers = _results(stack)
    yield from _weights(two_workers, "2 workers")
    yield from _evaluation(stack)
    # A stage's name does not hold the number of workers: without force, its result is reused.
    stack.flow(
        "train-recipe/train-recipe", dataset=DATASET, recipe=recipe, num_workers=1, force=True
    )
    one_worker = _results(stack)
    yield from _weights(
        {run: one_worker[run] for run in one_worker.keys() - two_workers}, "1 worker"
    )
    yield from _upscaled(stack)


def _results(stack: Stack) -> dict[str, dict[str, Any]]:
    keys = [key for key in stack.keys("runs/") if key.endswith("/result.json")]
    return {key.split("/")[1]: json.loads(stack.get(key)) for key in keys}


def _weights(results: dict[str, dict[str, Any]], workers: str) -> Iterator[tuple[str, str]]:
    stages = {run.rpartition("-")[0]: result["digest"] for run, result in results.items()}
    assert len(stages) == len(results) == 2, f"expected one run of each stage: {sorted(results)}"
    for stage, digest in sorted(stages.items(), reverse=True):
        yield f"weights of {stage}, {workers}", digest


def _evaluation(stack: Stack) -> Iterator[tuple[str, str]]:
    keys = [key for key in stack.keys("runs/") if "/evaluations/" in key]
    (report_key,) = [key for key in keys if key.endswith("/report.json")]
    (picture_key,) = [key for key in keys if key.endswith("/comparison.png")]
    report = json.loads(stack.get(report_key))
    for part in ("means", "images"):
        figures = [repr(each) for each in _numbers(report[part])]
        yield (
            f"evaluation, {part}",
            f"{_sha256(' '.join(figures).encode())} ({len(figures)} numbers)",
        )
    yield "evaluation, picture", _sha256(stack.get(picture_key))


def _numbers(value: Any) -> Iterator[float]:
    """Numbers of a JSON value by sorted names; names, keys and code versions are left out."""
    if isinstance(value, dict):
        for name in sorted(value):
            yield from _numbers(value[name])
    elif isinstance(value, list):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float):
        yield value


def _upscaled(stack: Stack) -> Iterator[tuple[str, str]]:
    # Sizes that are not multiples of tiles, both formats, a gray image, an alpha channel.
    stack.put(f"{SMALL}/a.png", _photo(100, 50, 40, "PNG"))
    stack.put(f"{SMALL}/b.jpg", _photo(101, 333, 217, "JPEG"))
    stack.put(f"{SMALL}/deep/gray.png", _photo(102, 41, 67, "PNG", "L"))
    stack.put(f"{SMALL}/deep/alpha.png", _photo(103, 64, 48, "PNG", "RGBA"))
    stack.flow(
        "upscale/upscale",
        source=f"s3://{stack.bucket}/{SMALL}",
        destination=f"s3://{stack.bucket}/{LARGE}",
        model=f"models:/{MODEL}/1",
    )
    for key in stack.keys(f"{LARGE}/"):
        name = key.removeprefix(f"{LARGE}/")
        if not name.startswith("_srgan/"):
            yield f"upscaled {name}", _sha256(stack.get(key))


def _photo(seed: int, width: int, height: int, format: str, mode: str = "RGB") -> bytes:
    """Draw random overlapping discs: edges at every scale, as in photographs."""
    random = np.random.default_rng(seed)
    image = Image.new(mode, (width, height))
    draw = ImageDraw.Draw(image)
    channels = len(image.getbands())
    for _ in range(400):
        x, y = random.integers(0, width), random.integers(0, height)
        radius = 3 + 40 * random.random() ** 3
        values = [int(value) for value in random.integers(0, 256, channels)]
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=values[0] if channels == 1 else tuple(values))
    data = io.BytesIO()
    image.save(data, format)
    return data.getvalue()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _parse(text: str) -> dict[str, str]:
    """Parse the output of an earlier run; two or more spaces stand before each digest."""
    lines = [line.split("  ", 1) for line in text.splitlines() if "  " in line]
    return {name.strip(): digest.strip() for name, digest in lines}


if __name__ == "__main__":
    main()
