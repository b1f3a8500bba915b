"""Count what bulk runs and trainings ask of their services: the constants of `constants.py`.

    python -m benchmarks.scaling.count [requests sizes codecs figures following driver tracking]

`requests`: S3 requests of a plan and of its batches, by kind of object. `sizes`: bytes of the
plan's tables, of records and of lists of photos, for each key. `codecs`: CPU seconds of decoding
and encoding. `figures`: bytes of a training's figures in MLflow's database. `following`: requests
to Prefect's server, events, time and memory of a flow that follows batches. `driver`: memory of the
driver of the Ray job. `tracking`: requests of a training to MLflow. Each section starts the
services that it needs in a temporary folder. Counts and bytes do not depend on what else the
machine does. Linux only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.scaling import servers, storage
from srgan.stack import Stack

SECTIONS = {
    "requests": (storage.requests, ("s3",)),
    "sizes": (storage.sizes, ()),
    "codecs": (storage.codecs, ()),
    "figures": (servers.figures, ()),
    "following": (servers.following, ("s3", "prefect")),
    "driver": (servers.driver, ("s3", "ray")),
    "tracking": (servers.tracking, ("s3", "mlflow")),
}
"""Sections by name, with the services that they need."""


def main() -> None:
    """Run the sections; or be the process that runs one beside its services."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in options.sections or SECTIONS:
        section, services = SECTIONS[name]
        if options.child or not services:
            section()
            continue
        print(f"{name}, {time.strftime('%Y-%m-%d')}, load {os.getloadavg()[0]:.1f}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            stack = Stack(Path(folder) / "home")
            try:
                stack.up(services)
                # In another process: clients read addresses when they are imported.
                command = [sys.executable, "-m", "benchmarks.scaling.count", "--child", name]
                subprocess.run(command, env={**os.environ, **stack.env()}, check=True)
            finally:
                stack.down()


if __name__ == "__main__":
    main()
