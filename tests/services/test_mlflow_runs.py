"""Runs, figures, pictures and curves on a real MLflow server."""

import json
import urllib.request

import pytest
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from srgan.config import PretrainConfig
from srgan.errors import RegistryError
from srgan.refs import DatasetRef
from srgan.services.mlflow_runs import (
    artifact_page,
    artifact_url,
    find_run,
    finish_run,
    log_file,
    log_metrics,
    mlflow_client,
    mlflow_errors,
    model_url,
    read_curves,
    require_answer,
    run_url,
    start_run,
    tracked_run,
)
from srgan.settings import Settings
from tests.support.ports import free_ports
from tests.support.stages import pretrain


def test_errors_and_links_do_not_show_the_password_in_the_address(
    mlflow_settings: Settings,
) -> None:
    address = f"http://me:secret@127.0.0.1:{free_ports(1)[0]}"
    away = Settings(MLFLOW_TRACKING_URI=address)
    shown = address.replace("me:secret@", "")
    with pytest.raises(RegistryError, match=f"MLflow at {shown} does not answer"):
        require_answer(away)
    with (
        pytest.raises(RegistryError, match=f"the registry at {shown} gave an error"),
        mlflow_errors(explain=away),
    ):
        raise MlflowException("it is broken")
    assert artifact_url(away, "r", "p").startswith(f"{shown}/get-artifact?")
    plain = mlflow_settings.require("mlflow_tracking_uri")
    require_answer(Settings(MLFLOW_TRACKING_URI=plain.replace("//", "//me:secret@")))
    require_answer(Settings(MLFLOW_TRACKING_URI=f"{plain}/team@x"))


def test_an_error_of_mlflow_does_not_quote_the_password_in_its_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"http://me:pass-word@127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = Settings()
    with pytest.raises(MlflowException, match="API request to http") as raised, mlflow_errors():
        mlflow_client(away).get_run("r")
    with pytest.raises(RegistryError) as explained, mlflow_errors(explain=away):
        mlflow_client(away).get_run("r")
    with mlflow_errors(warn="not ended"):
        mlflow_client(away).get_run("r")
    with (
        pytest.raises(MlflowException) as tracked,
        tracked_run(away, name="n", key="k", parent=None, params={}),
    ):
        pass
    told = [str(each.value) for each in (raised, explained, tracked)]
    for text in (*told, caplog.text):
        assert "me:***@127.0.0.1" in text
        assert "pass-word" not in text


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


def test_a_run_names_who_started_it(mlflow_settings: Settings) -> None:
    run_id = begin(mlflow_settings.model_copy(update={"actor": "anna"}), "annas")
    assert mlflow_client(mlflow_settings).get_run(run_id).data.tags["mlflow.user"] == "anna"


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


def test_a_run_shows_its_config_and_the_dataset_version_that_it_learns_from(
    mlflow_settings: Settings,
) -> None:
    numbers = dict.fromkeys(("num_train_photos", "num_eval_photos", "num_rejected", "num_read"), 1)
    dataset = DatasetRef(
        dataset="leaves",
        version="v" * 64,
        key="crops/leaves/versions/v.json",
        source="s3://photos/leaves",
        scale=2,
        num_train_crops=9,
        num_eval_crops=3,
        licence="CC0",
        **numbers,
    )
    options = {"name": "x", "key": "lineage", "parent": None, "params": {}}
    for _ in range(2):  # a resumed run says it again
        with tracked_run(mlflow_settings, config=pretrain(), dataset=dataset, **options) as run_id:
            pass
    with urllib.request.urlopen(artifact_url(mlflow_settings, run_id, "config.json")) as r:
        assert PretrainConfig.model_validate_json(r.read()) == pretrain()
    (found,) = mlflow_client(mlflow_settings).get_run(run_id).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("leaves", "v" * 36)
    source = json.loads(found.dataset.source)
    assert (source["version"], source["licence"]) == (dataset.version, "CC0")


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


def test_curves_are_in_the_order_of_steps_and_a_resumed_stage_counts_once(
    mlflow_settings: Settings,
) -> None:
    run_id = start_run(mlflow_settings, name="curves", key="curves", parent=None, params={})
    logged = [("loss", 3.0, 1, 1), ("loss", 9.0, 2, 3), ("loss", 2.0, 3, 2), ("loss", 1.0, 4, 3)]
    mlflow_client(mlflow_settings).log_batch(
        run_id, metrics=[Metric(*each) for each in [*logged, ("other", 1.0, 1, 1)]]
    )
    assert read_curves(mlflow_settings, run_id, ["loss", "psnr"]) == {
        "loss": [(1, 3.0), (2, 2.0), (3, 1.0)]
    }


def test_links_have_the_public_address_where_there_is_one(mlflow_settings: Settings) -> None:
    run_id = begin(mlflow_settings, "linked")
    public = mlflow_settings.model_copy(update={"mlflow_public_url": "https://mlflow.example/ml"})
    for link in (
        run_url(public, run_id),
        model_url(public, "pets x4", 3),
        artifact_url(public, run_id, "report.html"),
        artifact_page(public, run_id, "report.html"),
    ):
        assert link.startswith("https://mlflow.example/ml/"), link
