"""News of a training job: log lines, the progress object and system metrics."""

import json
import logging
import re
from types import SimpleNamespace

import pytest
import torch

from srgan.errors import StorageError
from srgan.jobs import train_reporter
from srgan.jobs.node import Timeline
from srgan.jobs.train_reporter import JobReporter, system_metrics
from srgan.keys import progress_key
from srgan.progress import StageProgress
from srgan.services.s3 import S3Store
from srgan.settings import Settings

PROGRESS = StageProgress(
    stage="pretrain",
    step=5,
    steps=60,
    crops_per_s=20.0,
    eta_s=22.0,
    learning_rate=1e-3,
    losses={"loss": 0.5},
    data_wait_share=0.0,
    data_wait_s=0.0,
    missed_share=None,
    memory_bytes=1,
)


def test_progress_is_logged_with_its_step_and_lies_in_the_bucket(
    s3_settings: Settings,
    object_store: S3Store,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "srgan")
    reporter = JobReporter(s3_settings, object_store, "run", None, Timeline())
    reporter.progress(PROGRESS)
    reporter.validation(5, {"psnr": 30.0, "bicubic_psnr": 28.5})
    reporter.close()
    assert json.loads(object_store.get(progress_key("run"))) == PROGRESS.model_dump(
        exclude={"what"}
    )
    assert caplog.messages == [
        "pretrain 5/60  20.0 crops/s  22 s left  loss 0.5",
        "validation at step 5: bicubic_psnr 28.500 dB  psnr 30.000 dB",
    ]
    assert [vars(record)["step"] for record in caplog.records] == [5, 5]


def test_the_way_to_the_first_step_is_logged_with_what_it_took(
    s3_settings: Settings,
    object_store: S3Store,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "srgan")
    marks = [("begun", 0.0), ("checks", 1.5), ("workers", 9.0)]
    reporter = JobReporter(s3_settings, object_store, "run", None, Timeline(marks))
    reporter.begin(40)
    reporter.close()
    expected = (
        r"ready for step 40 after \d+\.\d s: checks 1\.5 s, workers 7\.5 s, stage and data .* s"
    )
    (message,) = caplog.messages
    assert re.fullmatch(expected, message)


def test_a_store_that_refuses_the_progress_does_not_stop_the_training(
    s3_settings: Settings,
    object_store: S3Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(key: str, body: bytes, **_: str) -> str:
        raise StorageError(f"no space for {key}")

    monkeypatch.setattr(object_store, "put", refuse)
    reporter = JobReporter(s3_settings, object_store, "run", None, Timeline())
    reporter.progress(PROGRESS)
    reporter.close()
    assert "no space for runs/run/progress.json" in caplog.text


def test_a_training_on_the_cpu_does_not_touch_the_gpu_that_it_sees(
    s3_settings: Settings, object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def memory() -> tuple[int, int]:
        asked.append("GPU 0")
        return 1, 4

    log = SimpleNamespace(log=lambda *_: None, close=lambda: None)
    monkeypatch.setattr(train_reporter, "MetricLog", lambda *_: log)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    for device, gpus in (("cpu", []), ("cuda", ["GPU 0"])):
        reporter = JobReporter(s3_settings, object_store, "run", "1", Timeline(), device)
        reporter.progress(PROGRESS)
        reporter.close()
        assert asked == gpus


def test_the_machine_tells_its_load() -> None:
    found = system_metrics("cpu")
    assert 0 <= found["system/cpu_utilization_percentage"] <= 100
    assert 0 < found["system/system_memory_usage_percentage"] <= 100
    assert found["system/system_memory_usage_megabytes"] > 100
