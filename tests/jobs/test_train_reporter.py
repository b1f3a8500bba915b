"""Where the news of a training job go."""

import json
import re

import pytest

from srgan.errors import StorageError
from srgan.jobs.node import Timeline
from srgan.jobs.train import TrainSpec
from srgan.jobs.train_reporter import JobReporter
from srgan.keys import progress_key
from srgan.refs import DatasetRef
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.train.progress import Progress
from tests.support.stages import pretrain

PROGRESS = Progress(
    stage="pretrain",
    step=5,
    steps=60,
    crops_per_s=20.0,
    eta_s=22.0,
    learning_rate=1e-3,
    losses={"loss": 0.5},
    data_wait_share=0.0,
    memory_bytes=1,
)


@pytest.fixture
def spec() -> TrainSpec:
    numbers = dict.fromkeys(
        (
            "num_train_crops",
            "num_eval_crops",
            "num_train_photos",
            "num_eval_photos",
            "num_rejected",
            "num_read",
        ),
        8,
    )
    dataset = DatasetRef(dataset="d", version="v", key="k", source="s3://b/p", scale=2, **numbers)
    return TrainSpec(
        run="run", stage=pretrain(), dataset=dataset, numerics_version="c", release_version="c"
    )


def test_progress_is_printed_and_lies_in_the_bucket(
    s3_settings: Settings,
    object_store: S3Store,
    spec: TrainSpec,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reporter = JobReporter(s3_settings, object_store, spec, Timeline())
    reporter.progress(PROGRESS)
    reporter.validation(5, {"psnr": 30.0, "bicubic_psnr": 28.5})
    reporter.close()
    assert json.loads(object_store.get(progress_key("run"))) == PROGRESS.model_dump()
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "pretrain 5/60  20.0 crops/s  22 s left  loss 0.5",
        "validation at step 5: bicubic_psnr 28.500 dB  psnr 30.000 dB",
    ]


def test_the_way_to_the_first_step_is_printed_with_what_it_took(
    s3_settings: Settings,
    object_store: S3Store,
    spec: TrainSpec,
    capsys: pytest.CaptureFixture[str],
) -> None:
    marks = [("begun", 0.0), ("checks", 1.5), ("workers", 9.0)]
    reporter = JobReporter(s3_settings, object_store, spec, Timeline(marks))
    reporter.begin(40)
    reporter.close()
    expected = (
        r"ready for step 40 after \d+\.\d s: checks 1\.5 s, workers 7\.5 s, stage and data .* s\n"
    )
    assert re.fullmatch(expected, capsys.readouterr().out)


def test_a_store_that_refuses_the_progress_does_not_stop_the_training(
    s3_settings: Settings,
    object_store: S3Store,
    spec: TrainSpec,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(key: str, body: bytes, **_: str) -> str:
        raise StorageError(f"no space for {key}")

    monkeypatch.setattr(object_store, "put", refuse)
    reporter = JobReporter(s3_settings, object_store, spec, Timeline())
    reporter.progress(PROGRESS)
    reporter.close()
    assert "no space for runs/run/progress.json" in caplog.text
