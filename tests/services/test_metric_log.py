"""Figures and pictures of a running training on a real MLflow server."""

import time
import urllib.request

import pytest

from srgan.errors import ConfigError
from srgan.services.metric_log import MetricLog
from srgan.services.mlflow_runs import artifact_url, mlflow_client, start_run
from srgan.settings import Settings


def test_thousands_of_figures_arrive_without_waiting_for_them(mlflow_settings: Settings) -> None:
    run_id = start_run(mlflow_settings, name="x", key="metrics", parent=None, params={})
    log = MetricLog(mlflow_settings, run_id)
    began = time.monotonic()
    for step in range(2500):
        log.log(step, {"loss": 1 / (step + 1)})
    log.picture("step-1", b"\x89PNG")
    log.note("warning", "as large as 90 ×")
    waited_s = time.monotonic() - began
    log.close()
    assert waited_s < 1.0, f"the training loop waited {waited_s:.1f} s for MLflow"
    history = mlflow_client(mlflow_settings).get_metric_history(run_id, "loss")
    assert sorted(metric.step for metric in history) == list(range(2500))
    with urllib.request.urlopen(artifact_url(mlflow_settings, run_id, "pictures/step-1.png")) as r:
        assert r.read() == b"\x89PNG"
    with urllib.request.urlopen(artifact_url(mlflow_settings, run_id, "warning.txt")) as r:
        assert r.read().decode() == "as large as 90 ×"


def test_a_server_that_refuses_figures_does_not_stop_the_training(
    mlflow_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    log = MetricLog(mlflow_settings, "0" * 32)  # there is no such run
    log.log(1, {"loss": 0.5})
    log.close()
    assert "lost 1 figures and 0 pictures" in caplog.text


def test_a_missing_address_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI is not set"):
        MetricLog(Settings(MLFLOW_TRACKING_URI=None), "run")
