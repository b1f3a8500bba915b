"""Metrics for Prometheus, as a node of a real Ray exports them."""

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import ray

from srgan.bulk.records import Record
from srgan.config import UpscaleConfig
from srgan.jobs.node import Timeline
from srgan.jobs.train_reporter import JobReporter
from srgan.jobs.upscale_pool import Pool
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.progress import StageProgress
from srgan.refs import ModelRef
from srgan.services import ray_metrics
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from tests.support.pool_worker import Worker
from tests.support.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of its processes

_OF_RAY = re.compile(r'(?:[A-Z]|otel_)\w+="[^"]*",?')
"""Labels that Ray adds."""
PROGRESS = StageProgress(
    stage="pretrain",
    step=5,
    steps=60,
    crops_per_s=20.5,
    eta_s=22.0,
    learning_rate=1e-3,
    losses={"content": 0.25, "skipped": 0.0},
    data_wait_share=0.125,
    data_wait_s=0.0,
    missed_share=None,
    memory_bytes=1,
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address at which the only node of this Ray exports its metrics, ten times as fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_metrics, "_REPEAT_S", ray_metrics._REPEAT_S / 10)
        # Nothing listens there. Else a run that waits looks for this cluster's job server.
        patch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:9")
        ray.init(
            address="local",
            num_cpus=1,
            include_dashboard=False,
            log_to_driver=False,
            _system_config={"metrics_report_interval_ms": 1000},
        )
        (node,) = ray.nodes()
        yield f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        ray.shutdown()


def exported(address: str, wanted: str, within_s: float = 30) -> str:
    """The metrics of ours, once there is one with this text; labels of Ray's are left out."""
    found = ""

    def look() -> bool:
        nonlocal found
        with urllib.request.urlopen(address, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        ours = [line for line in lines if line.startswith("ray_srgan_")]
        found = "\n".join(_OF_RAY.sub("", line) for line in ours)
        return wanted in found

    wait_until(look, f"{wanted} at {address}", within_s)
    return found


def record(key: str, outcome: str, reason: str = "", side: int = 0) -> Record:
    given = {"outcome": outcome, "reason": reason, "width": side, "height": side}
    return Record(
        source_key=key, source_token="t", source_bytes=1, model="m", config_digest="c", **given
    )


def test_the_progress_of_a_training_is_exported_with_its_run_and_stage(
    cluster: str, s3_settings: Settings, object_store: S3Store
) -> None:
    reporter = JobReporter(s3_settings, object_store, "pretrain-1a", None, Timeline())
    reporter.progress(PROGRESS)
    reporter.close()
    found = exported(cluster, "ray_srgan_train_loss")
    labels = 'run="pretrain-1a",stage="pretrain"'
    for line in (
        f"ray_srgan_train_crops_per_second{{{labels}}} 20.5",
        f"ray_srgan_train_step{{{labels}}} 5.0",
        f"ray_srgan_train_steps{{{labels}}} 60.0",
        f"ray_srgan_train_data_wait_share{{{labels}}} 0.125",
        f'ray_srgan_train_loss{{loss="content",{labels}}} 0.25',
    ):
        assert line in found


def test_images_of_a_bulk_run_are_counted_by_outcome_and_reason_and_never_by_key(
    cluster: str,
) -> None:
    @ray.remote(num_cpus=1)
    def count(rows: list[Record]) -> None:
        for row in rows:
            ray_metrics.count_image("upscale-1a", row)

    rows = [record(f"secret/{number}", "done", side=2000) for number in range(3)]
    reasons = ("truncated", "truncated", "too_large")
    rows += [record("secret/bad", "failed", reason) for reason in reasons]
    ray.get(count.remote(rows))
    found = exported(cluster, "ray_srgan_bulk_output_megapixels_total")
    run = 'run="upscale-1a"'
    for line in (
        f'ray_srgan_bulk_images_total{{outcome="done",reason="",{run}}} 3.0',
        f'ray_srgan_bulk_images_total{{outcome="failed",reason="truncated",{run}}} 2.0',
        f'ray_srgan_bulk_images_total{{outcome="failed",reason="too_large",{run}}} 1.0',
        f"ray_srgan_bulk_output_megapixels_total{{{run}}} 12.0",
    ):
        assert line in found
    assert "secret" not in found


def test_a_run_shows_its_queue_to_the_end(
    cluster: str, object_store: S3Store, tmp_path: Path
) -> None:
    (tmp_path / "plan.json").write_text("{}")
    spec = UpscaleSpec(
        run="b",
        source="s3://b/photos",
        destination=str(tmp_path),
        model=ModelRef(name="m", version=1, run="r", weights_digest="ab" * 32),
        config=UpscaleConfig(max_workers=1),
        batches=tuple(range(3)),
        num_batches=3,
        release_version="1",
    )
    Pool(spec, Worker, object_store, "root-1", 0.0).run()
    exported(cluster, 'ray_srgan_bulk_batches{run="upscale-b",state="working"} 0.0')


def test_a_gauge_stays_as_long_as_its_process_and_shows_its_newest_value(cluster: str) -> None:
    show = partial(ray_metrics.show_batches, "upscale-1b", working=2)
    show(waiting=4)
    wanted = 'ray_srgan_bulk_batches{run="upscale-1b",state="waiting"}'
    exported(cluster, f"{wanted} 4.0")
    time.sleep(4)  # Ray forgets what was not sent for two seconds
    exported(cluster, f"{wanted} 4.0", within_s=0)
    show(waiting=0)
    exported(cluster, f"{wanted} 0.0")


def test_outside_of_a_process_of_ray_nothing_is_recorded_and_ray_is_not_imported() -> None:
    code = (
        "import sys\n"
        "from srgan.services import ray_metrics\n"
        "ray_metrics.show_batches('r', waiting=1, working=0)\n"
        "ray_metrics.EVALUATED_IMAGES.add(run='r')\n"
        "assert ray_metrics._recorder.cache_info().currsize == 0\n"
        "print('ray' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "False\n"


def test_names_are_those_that_prometheus_wants() -> None:
    for metric in ray_metrics.METRICS:
        assert re.fullmatch(r"ray_srgan_[a-z_]+", metric.exported)
        assert metric.exported.endswith("_total") == isinstance(metric, ray_metrics.Counter)
    declared = [each for each in vars(ray_metrics).values() if isinstance(each, ray_metrics.Metric)]
    assert set(declared) == set(ray_metrics.METRICS)
