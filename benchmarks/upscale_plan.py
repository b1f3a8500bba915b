"""Time and memory of planning a bulk run, over real objects in the embedded S3.

    python benchmarks/upscale_plan.py [--count 100000] [--steps 4] [--extrapolate 1000000]
    python benchmarks/upscale_plan.py --drawn 1000000

Writes `--count` tiny objects in `--steps` equal parts. After each part it makes two plans, each in
a new process: one for a first run, which has everything to do, and one after a run that has done
everything, whose outputs and records it writes too. Prints seconds and peak memory above that
after the imports, a straight line through them, and the line's value at `--extrapolate` keys. For
memory the line is too steep, because SQLite's page cache stops growing at its bound; `--drawn`
shows this by a first run over a listing without a store. Linux only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from srgan.bulk.plan import make_plan
from srgan.bulk.records import Record, to_parquet
from srgan.bulk.run import BulkRun, stamp_of
from srgan.config import UpscaleConfig
from srgan.refs import ModelRef
from srgan.services.s3 import S3Store, open_store
from srgan.stack import Stack
from srgan.storage import ObjectInfo, Place

MODEL = ModelRef(name="m", version=1, run="r", weights_digest="ab" * 32)
CONFIG = UpscaleConfig()
PER_PART = 5000
"""Rows of one part of the records, as a batch of tiny images writes them."""
WRITERS = 16
PLAN_LIMIT_S = 900.0


def main() -> None:
    """Start the server, write, plan and print; or be the process that plans."""
    options = _options()
    if options.drawn:
        _show_drawn(options.drawn)
        return
    if options.destination:
        print(json.dumps(_plan(Path(options.home), options.destination)))
        return
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "home")
        try:
            stack.up(("s3",))
            _measure(stack, options)
        finally:
            stack.down()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--extrapolate", type=int, default=1_000_000)
    parser.add_argument("--drawn", type=int, help="only plan this many keys, without a store")
    parser.add_argument("--home", help=argparse.SUPPRESS)
    parser.add_argument("--destination", help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(stack: Stack, options: argparse.Namespace) -> None:
    store = open_store(stack.settings())
    counts = [options.count * step // options.steps for step in range(options.steps + 1)]
    figures: dict[str, list[tuple[float, float]]] = {"first run": [], "nothing new": []}
    for number, (first, last) in enumerate(pairwise(counts)):
        began = time.monotonic()
        _write(store, number, first, last)
        print(f"{last:,} keys written in {time.monotonic() - began:.0f} s", flush=True)
        for title, destination in (("first run", f"fresh-{number}"), ("nothing new", "up")):
            found = _plan_in_process(stack, destination)
            todo = last if title == "first run" else 0
            assert found["num_todo"] == todo, found
            assert found["num_todo"] + found["num_covered"] == last, found
            figures[title].append((found["seconds"], found["peak_mb"]))
            print(
                f"{last:,} keys, {title}: {found['seconds']:.1f} s, "
                f"peak {found['peak_mb']:.1f} MB above {found['base_mb']:.0f} MB",
                flush=True,
            )
    for title, rows in figures.items():
        _extrapolate(title, counts[1:], rows, options.extrapolate)


def _write(store: S3Store, part: int, first: int, last: int) -> None:
    """Write sources, outputs and records of the keys from `first` to `last`."""
    stamp = stamp_of(MODEL, CONFIG)

    def put(number: int) -> Record:
        name = f"{number // 1000:05d}/{number:08d}.jpg"
        body = f"photo {number}".encode()
        return Record(
            source_key=f"photos/{name}",
            source_token=store.put(f"photos/{name}", body),
            source_bytes=len(body),
            model=stamp.model,
            config_digest=stamp.config_digest,
            outcome="done",
            destination_key=f"up/{name}",
            destination_token=store.put(f"up/{name}", body),
        )

    with ThreadPoolExecutor(WRITERS) as pool:
        for number, numbers in enumerate(_pieces(first, last)):
            rows = to_parquet(pool.map(put, numbers))
            store.put(f"up/_srgan/run-{part}/records/{number:06d}.parquet", rows)


def _pieces(first: int, last: int) -> Iterator[range]:
    for start in range(first, last, PER_PART):
        yield range(start, min(start + PER_PART, last))


def _plan_in_process(stack: Stack, destination: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--home", str(stack.home), "--destination", destination]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PLAN_LIMIT_S)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


class _Drawn:
    """A bucket with a made-up listing for a plan; it keeps nothing that is written."""

    bucket = "drawn"

    def __init__(self, count: int) -> None:
        self._count = count

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        names = (f"{number // 1000:05d}/{number:08d}.jpg" for number in range(self._count))
        return (ObjectInfo(f"{prefix}{name}", "ab" * 16, 250_000) for name in names)

    def put(self, key: str, body: bytes, **options: object) -> str:
        return ""

    def find(self, key: str) -> None:
        return None

    head = find


def _show_drawn(count: int) -> None:
    for part in (count // 4, count // 2, count):
        source: Any = _Drawn(part)
        store: Any = _Drawn(0)
        found = _measured_plan(Place("s3://drawn/photos", source), Place("s3://drawn/up", store))
        assert found["num_todo"] == part, found
        print(
            f"{part:,} keys drawn, first run: {found['seconds']:.1f} s, "
            f"peak {found['base_mb'] + found['peak_mb']:.0f} MB in all",
            flush=True,
        )


def _plan(home: Path, destination: str) -> dict[str, float]:
    store = open_store(Stack(home).settings())
    source, end = (Place(store.uri(prefix), store) for prefix in ("photos", destination))
    return _measured_plan(source, end)


def _measured_plan(source: Place, destination: Place) -> dict[str, float]:
    base_mb = reset_peak_mb()
    began = time.monotonic()
    made = make_plan(BulkRun("measured", source, destination, MODEL, CONFIG))
    return {
        "seconds": time.monotonic() - began,
        "base_mb": base_mb,
        "peak_mb": peak_mb() - base_mb,
        "num_todo": made.num_todo,
        "num_covered": made.num_covered,
    }


def reset_peak_mb() -> float:
    """Let the peak memory of this process begin again; return what it holds now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory_mb("VmRSS")


def peak_mb(pid: int | str = "self") -> float:
    """The most memory of this process since then, or of another since its start."""
    return _memory_mb("VmHWM", pid)


def _memory_mb(what: str, pid: int | str = "self") -> float:
    """Read memory of a process (man 5 proc); `getrusage` would count its parent too."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split(f"{what}:")[1].split()[0]) / 1024


def _extrapolate(
    title: str, counts: list[int], rows: list[tuple[float, float]], target: int
) -> None:
    if len(counts) < 2:
        return
    for name, unit, values in zip(
        ("time", "peak memory above imports"), ("s", "MB"), zip(*rows, strict=True), strict=True
    ):
        slope, start = np.polyfit(counts, values, 1)
        print(
            f"{title}, {name}: {slope * 1e5:.2f} {unit} per 100,000 keys; "
            f"extrapolated to {target:,}: {start + slope * target:.0f} {unit}"
        )


if __name__ == "__main__":
    main()
