"""Names, reuse and bookkeeping of a training stage; the job itself is replaced."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from flows import train as module
from flows.train import find_result, stage_name, tracked_params, train_stage
from srgan.errors import ClusterError, ConfigError, TrainingError
from srgan.jobs.train import TrainSpec
from srgan.keys import result_key
from srgan.recipes import tiny
from srgan.refs import CheckpointRef, DatasetRef, to_json
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.version import release_version
from srgan.versions import services
from srgan.versions.services import open_services

STAGE = tiny().pretrain
DATASET = DatasetRef(
    dataset="leaves",
    version="v" * 64,
    key="crops/leaves/versions/v.json",
    source="s3://srgan/raw/leaves",
    scale=4,
    num_train_crops=9,
    num_eval_crops=3,
    num_train_photos=3,
    num_eval_photos=1,
    num_rejected=0,
    num_read=4,
)
SPEC = TrainSpec(
    run="pretrain-0", stage=STAGE, dataset=DATASET, numerics_version="c", release_version="0.1.0+c"
)
RESULT = CheckpointRef(
    run="pretrain-0",
    stage="pretrain",
    step=60,
    key="runs/pretrain-0/checkpoints/000000060.json",
    digest="d" * 64,
    dataset_version=DATASET.version,
)


@pytest.fixture
def tracked(
    monkeypatch: pytest.MonkeyPatch, s3_settings: Settings, object_store: S3Store
) -> list[dict[str, Any]]:
    """A flow run with the id ``root``, and what was tracked for it."""
    seen: list[dict[str, Any]] = []

    @contextmanager
    def tracked_run(settings: Settings, **options: Any) -> Iterator[str]:
        seen.append(options)
        yield "mlflow-run"

    monkeypatch.setattr(services, "Settings", lambda: s3_settings)
    monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("flow-run"))
    monkeypatch.setattr(module, "root_flow_run_id", lambda: "root")
    monkeypatch.setattr(module, "find_run", lambda settings, key: f"parent of {key}")
    monkeypatch.setattr(module, "tracked_run", tracked_run)
    return seen


@pytest.mark.parametrize(
    "running", [{"checkpoint_every": 7}, {"log_every": 7}, {"min_workers": 1}, {"keep_last": 9}]
)
def test_what_does_not_decide_the_weights_is_not_part_of_the_name(running: dict[str, int]) -> None:
    assert stage_name(DATASET, STAGE.model_copy(update=running), None, "c") == stage_name(
        DATASET, STAGE, None, "c"
    )


def test_the_same_inputs_have_the_same_name_and_others_another() -> None:
    name = stage_name(DATASET, STAGE, None, "c")
    assert name.startswith("pretrain-")
    assert name == stage_name(DATASET.model_copy(update={"num_read": 0}), STAGE, None, "c")
    others = [
        stage_name(DATASET.model_copy(update={"version": "w" * 64}), STAGE, None, "c"),
        stage_name(DATASET, STAGE.model_copy(update={"steps": 61}), None, "c"),
        stage_name(DATASET, STAGE, RESULT, "c"),
        stage_name(DATASET, STAGE, None, "c", nonce="forced"),
        stage_name(DATASET, STAGE, None, "c", pairs=DATASET),
    ]
    assert len({name, *others}) == 6


def test_a_flow_run_is_named_by_stage_and_dataset() -> None:
    name = module.train.flow_run_name
    assert isinstance(name, str)
    assert name.format(stage=STAGE, dataset=DATASET) == "train pretrain on leaves"


def test_other_code_makes_another_name() -> None:
    assert stage_name(DATASET, STAGE, None, "c") != stage_name(DATASET, STAGE, None, "other")


@pytest.mark.parametrize("began", [None, "earlier"])
def test_a_stage_is_named_by_the_code_that_runs_or_by_the_code_that_began(
    tracked: list[dict[str, Any]],
    object_store: S3Store,
    monkeypatch: pytest.MonkeyPatch,
    began: str | None,
) -> None:
    specs: list[TrainSpec] = []

    def run_job(*, spec: TrainSpec, **_: Any) -> None:
        specs.append(spec)
        object_store.put(result_key(spec.run), to_json(RESULT))

    monkeypatch.setattr(module, "numerics_of_this_code", lambda: "now")
    monkeypatch.setattr(module, "run_job", run_job)
    module.train.fn(DATASET, STAGE, numerics_version=began)
    assert specs[0].run == stage_name(DATASET, STAGE, None, began or "now")
    assert specs[0].numerics_version == tracked[0]["params"]["numerics_version"] == (began or "now")
    assert specs[0].release_version == release_version(), "the nodes run what the flow runs"


def test_an_adversarial_stage_without_a_starting_point_is_refused() -> None:
    with pytest.raises(ConfigError, match="init_from"):
        stage_name(DATASET, tiny().adversarial, None, "c")


def test_a_finished_stage_is_reused_and_that_is_said(
    tracked: list[dict[str, Any]], object_store: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert find_result(object_store, "pretrain-0") is None
    object_store.put(result_key("pretrain-0"), to_json(RESULT))
    assert find_result(object_store, "pretrain-0") == RESULT.model_copy(update={"reused": True})
    assert "Reused: pretrain-0" in caplog.text


def test_a_stage_is_trained_by_a_job_under_its_own_mlflow_run(
    tracked: list[dict[str, Any]], object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs: list[TrainSpec] = []

    def run_job(*, spec: TrainSpec, run: str, label: str, **_: Any) -> None:
        assert run == label == spec.run
        specs.append(spec)
        object_store.put(result_key(run), to_json(RESULT))

    monkeypatch.setattr(module, "run_job", run_job)
    result = train_stage(
        open_services(), SPEC.model_copy(update={"num_workers": 2, "gpu": "required"})
    )
    assert result == RESULT
    assert (specs[0].mlflow_run_id, specs[0].num_workers) == ("mlflow-run", 2)
    assert specs[0].gpu == "required"
    assert (tracked[0]["key"], tracked[0]["parent"]) == ("pretrain-0", "parent of root")
    assert (tracked[0]["config"], tracked[0]["dataset"]) == (STAGE, DATASET)


def test_a_batch_that_the_workers_do_not_divide_is_refused_before_there_is_a_job(
    tracked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "run_job", lambda **_: pytest.fail("a job was started"))
    with pytest.raises(ConfigError, match=r"pretrain\.batch_size 8 .*num_workers 3"):
        module.train.fn(DATASET, STAGE, num_workers=3)
    assert tracked == []


def test_a_job_without_a_result_is_an_error_that_names_the_key(
    tracked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "run_job", lambda **_: None)
    with pytest.raises(TrainingError, match=r"runs/pretrain-0/result\.json"):
        train_stage(open_services(), SPEC)


def test_a_failed_job_fails_the_stage(
    tracked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_job(**_: Any) -> None:
        raise ClusterError("three attempts failed")

    monkeypatch.setattr(module, "run_job", run_job)
    with pytest.raises(ClusterError, match="three attempts"):
        train_stage(open_services(), SPEC)


def test_mlflow_shows_the_config_flat_and_what_went_in() -> None:
    params = tracked_params(SPEC)
    assert params["generator.num_blocks"] == "2"
    assert params["dataset_version"] == DATASET.version
    assert params["init_from"] == "none"
