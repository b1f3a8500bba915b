"""A bulk run on a Ray cluster that loses the only node with CPUs, or whose first one is bad."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from srgan.config import UpscaleConfig
from srgan.errors import ClusterError
from srgan.jobs import upscale_pool
from srgan.jobs.upscale_pool import Pool
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.refs import ModelRef
from srgan.services.s3 import S3Store
from tests.support.checkout import ROOT
from tests.support.pool_worker import Worker
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # Ray's own, of its processes
    pytest.mark.slow(group="nodes"),
]


@pytest.fixture(scope="module", autouse=True)
def head() -> Iterator[None]:
    ray.init(address="local", num_cpus=0, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@contextmanager
def node(log: Path) -> Iterator[Callable[[], None]]:
    """A node with one CPU, and what kills it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("ray")),
                "start",
                f"--address={ray.get_runtime_context().gcs_address}",
                "--num-cpus=1",
                f"--object-store-memory={100 * 2**20}",
                "--disable-usage-stats",
                "--block",
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def kill() -> None:
        for each in psutil.Process(process.pid).children(recursive=True):
            each.kill()
        process.wait(timeout=60)

    try:
        yield kill
    finally:
        process.terminate()
        process.wait(timeout=60)


def num_cpus() -> float:
    return float(ray.cluster_resources().get("CPU", 0))


HANGS = {"0": {"0": "hangs"}}
"""Behaviour at the first attempt of the first batch."""


def pool(store: S3Store, folder: Path, limit_s: float, plan: dict[str, Any] = HANGS) -> Pool:
    """A run of two batches."""
    (folder / "plan.json").write_text(json.dumps(plan))
    spec = UpscaleSpec(
        run="b",
        source="s3://b/photos",
        destination=str(folder),
        model=ModelRef(name="m", version=1, run="r", weights_digest="ab" * 32),
        config=UpscaleConfig(max_workers=1),
        batches=(0, 1),
        num_batches=2,
        release_version="1",
    )
    return Pool(spec, Worker, store, "root-1", limit_s)


def test_a_run_that_has_lost_its_only_node_goes_on_when_another_joins(
    object_store: S3Store, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as thread, ExitStack() as nodes:
        kill = nodes.enter_context(node(tmp_path / "first.log"))
        running = thread.submit(pool(object_store, tmp_path, 120).run)
        wait_until((tmp_path / "0-0").exists, "the first batch begins")
        kill()
        nodes.enter_context(node(tmp_path / "second.log"))
        running.result(timeout=120)
    assert sorted(path.name for path in tmp_path.glob("?-?")) == ["0-0", "0-1", "1-0"]


def test_a_run_whose_first_node_is_bad_has_its_workers_on_another_that_joins(
    object_store: S3Store, tmp_path: Path
) -> None:
    wait_until(lambda: num_cpus() == 0, "the nodes of other tests are gone")
    with ThreadPoolExecutor(1) as thread, node(tmp_path / "bad.log"), ExitStack() as nodes:
        wait_until(lambda: num_cpus() == 1, "the node joins")
        (bad,) = (
            each["NodeID"] for each in ray.nodes() if each["Alive"] and "CPU" in each["Resources"]
        )
        running = thread.submit(pool(object_store, tmp_path, 120, {"blind": bad}).run)
        wait_until(lambda: any(tmp_path.glob("lost.*")), "a worker fails there")
        nodes.enter_context(node(tmp_path / "good.log"))
        running.result(timeout=120)
    assert sorted(path.name for path in tmp_path.glob("?-?")) == ["0-0", "1-0"]


def test_the_time_limit_begins_when_the_node_is_lost(
    object_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscale_pool, "_FIRST_NOTE_S", 0.1)
    monkeypatch.setattr(upscale_pool, "_REPEAT_S", 0.1)
    limit_s = 4.0
    wait_until(lambda: num_cpus() == 0, "the nodes of other tests are gone")
    with ThreadPoolExecutor(1) as thread, node(tmp_path / "node.log") as kill:
        wait_until(lambda: num_cpus() == 1, "the node joins")  # it takes longer than the limit
        running = thread.submit(pool(object_store, tmp_path, limit_s).run)
        wait_until((tmp_path / "0-0").exists, "the first batch begins")
        time.sleep(limit_s)
        lost_at = time.monotonic()
        kill()
        with pytest.raises(ClusterError, match="it has 0 CPU, 1 CPU on one node are needed"):
            running.result(timeout=120)
    assert time.monotonic() - lost_at >= limit_s
