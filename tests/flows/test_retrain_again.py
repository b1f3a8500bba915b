"""Retrainings that are put back, or that others overtake; as in `test_retrain.py`."""

from collections.abc import Sequence
from typing import Any

import pytest
from prefect import flow

from flows import promote as promote_module
from flows import retrain as retrain_module
from flows.support import beginning as beginning_module
from flows.support.beginning import find_reason
from srgan.errors import DataError
from srgan.promotion.decide import promote_by_hand
from srgan.promotion.log import PromotionLog
from srgan.recipes import tiny
from srgan.refs import CheckpointRef, DatasetRef, ModelRef
from srgan.services.mlflow_models import CHALLENGER, Registry
from srgan.services.mlflow_runs import mlflow_client
from srgan.settings import Settings
from srgan.version import release_version
from srgan.versions.register import Registrar
from tests.support.pipeline import FINE_TUNED, RAW, Pipeline
from tests.support.versions import lineage, weights

pytestmark = [
    pytest.mark.usefixtures("prefect_api", "no_report"),
    pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic"),
]


@pytest.mark.parametrize(
    "policy", [None, pytest.param(FINE_TUNED, marks=pytest.mark.slow(group="parts"))]
)
def test_a_run_that_dies_after_it_promoted_and_is_put_back_ends_with_its_report(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, policy: dict[str, str] | None
) -> None:
    pipeline.mirror()
    pipeline.crown()
    for module in (retrain_module, beginning_module):
        monkeypatch.setattr(module, "root_flow_run_id", lambda: f"{pipeline.model}-put-back")

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    pipeline.distance["model"] = 1.2
    with monkeypatch.context() as dying:
        dying.setattr(retrain_module, "report", die)
        with pytest.raises(KeyboardInterrupt):
            pipeline.retrain(policy=policy, force=True)
    assert pipeline.champion() == 2, "the first attempt promoted"
    pipeline.dataset_version = "v2"  # more photos have come since
    reported: list[int] = []
    monkeypatch.setattr(
        retrain_module, "report", lambda challenger, _: reported.append(challenger.version)
    )
    monkeypatch.setattr(retrain_module, "train", pipeline.trained_before)
    challenger = pipeline.retrain(policy=policy, force=True).result()
    assert (challenger.version, reported) == (2, [2])
    assert pipeline.evaluated[-1].dataset.version == "v1"
    assert len(pipeline.evaluated) == 2, "what was measured before should be reused"


@pytest.mark.slow(group="parts")
def test_a_run_that_is_put_back_under_other_code_goes_on_under_the_names_that_it_began_with(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (retrain_module, beginning_module):
        monkeypatch.setattr(module, "root_flow_run_id", lambda: f"{pipeline.model}-rolled-out")
    monkeypatch.setattr(beginning_module, "numerics_version", lambda: "earlier")

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(retrain_module, "register", die)
        with pytest.raises(KeyboardInterrupt):
            pipeline.retrain()
    monkeypatch.setattr(beginning_module, "numerics_version", lambda: "now")
    challenger = pipeline.retrain().result()
    assert pipeline.numerics_versions == ["earlier"] * 4, "both stages of both attempts"
    assert [spec.numerics_version for spec in pipeline.evaluated][:1] == ["earlier"]
    tags = Registry(Settings()).record(challenger).tags
    assert tags["numerics_version"] == "earlier"
    assert tags["release_version"] == release_version()


def test_a_version_under_the_number_of_a_lost_champion_is_not_taken_for_it(
    pipeline: Pipeline,
) -> None:
    pipeline.crown()
    mlflow_client(Settings()).delete_registered_model(pipeline.model)
    pipeline.dataset_version = "v2"
    pipeline.psnr["model"] = 20.0
    assert pipeline.retrain().result().version == 1
    decision = flow(find_reason.fn)(pipeline.model, pipeline.prepare(*RAW), tiny())
    assert decision.sentence.startswith(
        f"Nothing new: version 1 of {pipeline.model} (which was refused) "
    )


def test_two_retrainings_in_one_flow_each_begin_with_their_own_dataset(
    pipeline: Pipeline,
) -> None:
    @flow
    def both() -> list[ModelRef]:
        source = "s3://srgan-test/raw"
        models = {"cats": f"{pipeline.model}a", "dogs": f"{pipeline.model}b"}
        return [
            retrain_module.retrain(source, dataset, model, "tiny")
            for dataset, model in models.items()
        ]

    cats, dogs = both()
    registry = Registry(Settings())
    assert [registry.record(each).dataset_name for each in (cats, dogs)] == ["cats", "dogs"]


def test_a_champion_that_came_during_the_training_is_measured_by_the_promotion_alone(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the promotion looks whether that champion has learned what it is measured on."""
    pipeline.mirror()
    first = pipeline.crown()
    pipeline.dataset_version = "v2"
    log, registry = PromotionLog(pipeline.store, pipeline.model), Registrar(Settings())
    data = weights(7)
    second = registry.register(pipeline.model, data, lineage("adversarial-forced", data))
    train, checked = pipeline.train, []

    def train_and_be_overtaken(*arguments: Any, **options: Any) -> CheckpointRef:
        if log.champion() == first.version:
            promote_by_hand(log, second, first.version, "v1", "meanwhile")
        return train(*arguments, **options)

    def refuse(_: DatasetRef, versions: Sequence[ModelRef], **__: Any) -> None:
        checked.append([each.version for each in versions])
        if second in versions:
            raise DataError("it has learned them")

    monkeypatch.setattr(retrain_module, "train", train_and_be_overtaken)
    monkeypatch.setattr(promote_module, "check_held_out", refuse)
    monkeypatch.setattr(promote_module, "check_judges", lambda *_: None)
    with pytest.raises(DataError, match="it has learned them"):
        pipeline.retrain().result()
    assert checked == [[3, 2]]
    (spec,) = pipeline.evaluated[1:]
    assert sorted(spec.contestants) == ["model", "pretrained"]
    assert registry.alias(pipeline.model, CHALLENGER) == 3, "it can be decided on later"
    assert log.champion() == 2
