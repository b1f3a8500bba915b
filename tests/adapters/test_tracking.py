"""Runs, figures and pictures on a real MLflow server."""

import time
import urllib.request

import pytest

from srgan.adapters.tracking import (
    MetricLog,
    artifact_url,
    find_run,
    finish_run,
    log_file,
    log_metrics,
    mlflow_client,
    run_url,
    start_run,
    tracked_run,
)
from srgan.errors import ConfigError
from srgan.settings import Settings


def begin(settings: Settings, key: str, parent: str | None = None) -> str:
    return start_run(settings, name=key, key=key, parent=parent, params={"steps": "5"})


def test_a_key_names_one_run_which_is_reopened(mlflow_settings: Settings) -> None:
    assert find_run(mlflow_settings, "stage-1") is None
    first = begin(mlflow_settings, "stage-1")
    finish_run(mlflow_settings, first, "FAILED")
    assert begin(mlflow_settings, "stage-1") == first
    assert find_run(mlflow_settings, "stage-1") == first
    run = mlflow_client(mlflow_settings).get_run(first)
    assert run.info.status == "RUNNING"
    assert run.data.params == {"steps": "5"}


def test_a_reopened_run_keeps_its_params_and_takes_what_is_missing(
    mlflow_settings: Settings,
) -> None:
    first = begin(mlflow_settings, "stage-2")
    again = start_run(
        mlflow_settings, name="x", key="stage-2", parent=None, params={"steps": "9", "new": "1"}
    )
    assert again == first
    params = mlflow_client(mlflow_settings).get_run(first).data.params
    assert params == {"steps": "5", "new": "1"}


def test_a_child_names_its_parent(mlflow_settings: Settings) -> None:
    parent = begin(mlflow_settings, "retrain-1")
    child = begin(mlflow_settings, "stage-of-retrain-1", parent)
    tags = mlflow_client(mlflow_settings).get_run(child).data.tags
    assert tags["mlflow.parentRunId"] == parent


def test_a_run_ends_as_its_block_does(mlflow_settings: Settings) -> None:
    def ends_as(key: str, error: BaseException | None) -> str:
        with tracked_run(mlflow_settings, name=key, key=key, parent=None, params={}) as run_id:
            if error:
                raise error
        return run_id

    def status(key: str) -> str:
        run_id = find_run(mlflow_settings, key)
        assert run_id is not None
        return str(mlflow_client(mlflow_settings).get_run(run_id).info.status)

    ends_as("fine", None)
    with pytest.raises(ValueError, match="bad"):
        ends_as("failing", ValueError("bad"))
    with pytest.raises(KeyboardInterrupt):
        ends_as("interrupted", KeyboardInterrupt())
    assert [status(key) for key in ("fine", "failing", "interrupted")] == [
        "FINISHED",
        "FAILED",
        "KILLED",
    ]


def test_thousands_of_figures_arrive_without_waiting_for_them(mlflow_settings: Settings) -> None:
    run_id = begin(mlflow_settings, "metrics")
    log = MetricLog(mlflow_settings, run_id)
    began = time.monotonic()
    for step in range(2500):
        log.log(step, {"loss": 1 / (step + 1)})
    log.picture("step-1", b"\x89PNG")
    waited_s = time.monotonic() - began
    log.close()
    assert waited_s < 1.0, f"the training loop waited {waited_s:.1f} s for MLflow"
    history = mlflow_client(mlflow_settings).get_metric_history(run_id, "loss")
    assert sorted(metric.step for metric in history) == list(range(2500))
    with urllib.request.urlopen(artifact_url(mlflow_settings, run_id, "pictures/step-1.png")) as r:
        assert r.read() == b"\x89PNG"


def test_a_server_that_refuses_figures_does_not_stop_the_training(
    mlflow_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    log = MetricLog(mlflow_settings, "0" * 32)  # there is no such run
    log.log(1, {"loss": 0.5})
    log.close()
    assert "lost 1 figures and 0 pictures" in caplog.text


def test_final_figures_and_files_are_there_when_the_call_returns(
    mlflow_settings: Settings,
) -> None:
    run_id = begin(mlflow_settings, "evaluation")
    log_metrics(mlflow_settings, run_id, {"psnr/model": 29.5})
    log_file(mlflow_settings, run_id, "comparison.png", b"picture")
    assert mlflow_client(mlflow_settings).get_run(run_id).data.metrics == {"psnr/model": 29.5}
    with urllib.request.urlopen(artifact_url(mlflow_settings, run_id, "comparison.png")) as r:
        assert r.read() == b"picture"
    assert run_url(mlflow_settings, run_id).endswith(f"/runs/{run_id}")


def test_a_missing_address_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI is not set"):
        MetricLog(Settings(MLFLOW_TRACKING_URI=None), "run")
