"""Retraining from reason to decision, on real Prefect, MLflow and S3; the Ray jobs are replaced."""

from collections.abc import Callable
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterName,
)

from flows import evaluate as evaluate_module
from flows import retrain as retrain_module
from flows.prepare import prepare
from flows.promote import promote
from flows.retrain import train_stages
from flows.support.beginning import find_reason
from srgan.config import RetrainConfig
from srgan.errors import CheckpointError
from srgan.models.weights import publish_weights
from srgan.promotion.drift import Difference, Drift, keep_drift
from srgan.promotion.log import PromotionLog
from srgan.recipes import tiny
from srgan.refs import ModelRef
from srgan.services.mlflow_models import CHALLENGER, CHAMPION, Registry
from srgan.services.mlflow_runs import mlflow_client
from srgan.settings import Settings
from tests.support.photos import DrawPhoto
from tests.support.pipeline import FINE_TUNED, RAW, Pipeline, artifact, retraining_of

pytestmark = [
    pytest.mark.usefixtures("prefect_api", "no_report"),
    pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic"),
]


def test_the_first_retraining_makes_a_champion_and_tells_so_everywhere(pipeline: Pipeline) -> None:
    challenger = pipeline.retrain(gpu="never").result()
    assert isinstance(challenger, ModelRef)
    assert challenger.version == 1
    assert [name.split("-")[0] for name in pipeline.trained] == ["pretrain", "adversarial"]
    # The registry tells the decision of the log, here that there was no judge.
    registry = Registry(Settings())
    assert registry.alias(pipeline.model, CHAMPION) == 1
    assert registry.alias(pipeline.model, CHALLENGER) == 1
    (entry,) = PromotionLog(pipeline.store, pipeline.model).entries()
    assert "becomes the first champion" in entry.decision.reason
    assert "nothing perceptual was measured" in entry.decision.reason
    assert registry.record(challenger).decision == entry.decision.reason
    # Every flow run is named by what it does.
    model = pipeline.model
    with get_client(sync_client=True) as client:
        ours = FlowRunFilter(name=FlowRunFilterName(like_=model))
        runs = client.read_flow_runs(flow_run_filter=ours)
    assert sorted(run.name for run in runs) == [
        f"evaluate adversarial-{model}-1 on leaves",
        f"evaluate {model}/1 on leaves",
        f"promote {model}/1",
        f"retrain {model}",
    ]
    # One MLflow run holds the runs of the stages.
    (spec,) = pipeline.evaluated
    assert [*pipeline.devices, spec.gpu] == ["never"] * 3, "every job leaves GPUs to others"
    parent = retraining_of(spec)
    assert spec.mlflow_run_id is not None
    child = mlflow_client(Settings()).get_run(spec.mlflow_run_id)
    assert parent.info.run_name == f"retrain {model}"
    assert (parent.info.status, child.info.status) == ("FINISHED", "FINISHED")
    # A decision that holds is not taken twice.
    assert promote(model).promoted
    assert len(PromotionLog(pipeline.store, model).entries()) == 1
    assert len(pipeline.evaluated) == 1, "the evaluation of the retraining should be reused"


@pytest.mark.slow(group="parts")
def test_few_new_photos_are_counted_and_trained_on_once_they_are_enough(
    pipeline: Pipeline,
    preparing_here: list[str],
    monkeypatch: pytest.MonkeyPatch,
    draw_photo: DrawPhoto,
    encode_photo: Callable[..., bytes],
) -> None:
    monkeypatch.setattr(retrain_module, "prepare", prepare)
    policy = {"growth": {"min_changed_photos": 2, "min_changed_share": 0.5}}

    def upload(*seeds: int) -> None:
        for seed in seeds:
            pipeline.store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed, 96, 96)))

    pipeline.mirror()
    upload(1, 2, 3, 4)
    before = pipeline.retrain().result()
    upload(5)
    state = pipeline.retrain(policy=policy)
    assert state.is_completed()
    assert state.message == (
        f"Not enough new since version 1 of {pipeline.model} (champion): photos: 1 new, 0 changed, "
        "0 removed, 25.0 % of 4, a reason from 2 and 50 % on. Use force to train anyway."
    )
    assert len(pipeline.trained) == 2
    upload(1, 6)
    pipeline.store.delete("raw/2.png")
    challenger = pipeline.retrain(policy=policy).result()
    assert challenger.version == 2
    assert "photos: 2 new, 0 changed, 1 removed" in Registry(Settings()).record(challenger).reason
    dataset = Registry(Settings()).dataset_of(before)
    assert dataset.num_train_photos + dataset.num_eval_photos == 4


@pytest.mark.slow(group="parts")
def test_a_champion_is_fine_tuned_by_the_last_stage_alone_and_that_is_recorded(
    pipeline: Pipeline,
) -> None:
    pipeline.mirror()
    champion = pipeline.crown()
    assert Registry(Settings()).record(champion).start == "scratch"
    pipeline.distance["model"] = 1.2
    challenger = pipeline.retrain(policy=FINE_TUNED).result()
    assert [name.split("-")[0] for name in pipeline.trained[2:]] == ["adversarial"]
    (start,) = pipeline.started_from[2:]
    assert start is not None
    assert start.digest == champion.weights_digest
    tags = Registry(Settings()).record(challenger).tags
    assert (tags["start"], tags["start_weights"]) == (champion.uri, champion.weights_digest)
    assert "another recipe" in tags["reason"], "another start is another recipe"
    assert pipeline.champion() == challenger.version
    state = pipeline.retrain(policy=FINE_TUNED)
    assert state.message is not None
    assert state.message.startswith("Nothing new"), "though its own weights would be the start"


@pytest.mark.slow(group="parts")
def test_fine_tuning_begins_from_scratch_and_goes_on_with_the_same_network_only(
    pipeline: Pipeline,
) -> None:
    pipeline.mirror()
    first = pipeline.retrain(policy=FINE_TUNED).result()
    assert pipeline.started_from[0] is None
    assert Registry(Settings()).record(first).start == "scratch"
    publish_weights(pipeline.store, "efficientnet_lite1", b"weights", "here")  # its judge
    state = pipeline.retrain("demo", policy=FINE_TUNED)
    with pytest.raises(CheckpointError, match=r"2 blocks and 16 channels.*8 blocks and 48 channe"):
        state.result()
    assert len(pipeline.trained) == 2


def test_a_model_of_pixels_is_fine_tuned_by_its_only_stage(pipeline: Pipeline) -> None:
    data = pipeline.prepare("s3://b/raw", "leaves", tiny().data)
    start = pipeline.train(data, tiny().pretrain)
    recipe = tiny().model_copy(update={"adversarial": None})
    result, pretrained = train_stages(data, recipe, start, num_workers=1, numerics_version="c")
    assert pipeline.started_from[1] == start
    assert (result.stage, pretrained) == ("pretrain", None)


def test_all_stages_of_a_retraining_get_the_pairs_that_it_began_with(pipeline: Pipeline) -> None:
    data = pipeline.prepare("s3://b/raw", "leaves", tiny().data)
    pairs = data.model_copy(update={"dataset": "phone", "lr_source": "s3://b/lr"})
    train_stages(data, tiny(), None, num_workers=1, numerics_version="c", pairs=pairs)
    assert pipeline.pairs == [pairs, pairs]


@pytest.mark.slow(group="parts")
def test_nothing_new_trains_nothing_and_force_and_age_train_with_another_seed(
    pipeline: Pipeline,
) -> None:
    pipeline.mirror()
    pipeline.crown()
    state = pipeline.retrain()
    assert state.is_completed()
    assert state.message == (
        f"Nothing new: version 1 of {pipeline.model} (champion) was made of the same dataset "
        "version, recipe and code. Use force to train again."
    )
    assert len(pipeline.trained) == 2
    assert pipeline.retrain(force=True).result().version == 2
    challenger = pipeline.retrain(policy={"max_age_days": 1e-9}).result()
    assert challenger.version == 3
    assert "days old" in Registry(Settings()).record(challenger).reason
    recipes, forced, aged = (pipeline.seeds[at : at + 2] for at in (0, 2, 4))
    assert recipes == [0, 0]
    assert len({0, *forced, *aged}) == 3, "the same seed would make the same weights once more"
    state = pipeline.retrain()
    assert state.message is not None
    assert state.message.startswith("Nothing new"), "another seed is not another recipe"


def test_the_drift_of_the_champions_last_bulk_run_is_in_the_decision_if_it_may_count(
    pipeline: Pipeline,
) -> None:
    champion = pipeline.crown()
    found = Difference(statistic="noise", sources=9, inputs=1, distance=0.9, chance=0)
    drift = Drift(run="r", source="s3://b/p", num_sources=60, num_inputs=60, differences=(found,))
    keep_drift(pipeline.store, champion, drift)
    decision = flow(find_reason.fn)(pipeline.model, pipeline.prepare(*RAW), tiny())
    assert decision.sentence.startswith("Nothing new")
    recipe = tiny().model_copy(update={"retrain": RetrainConfig(max_drift=0.5)})
    decision = flow(find_reason.fn)(pipeline.model, pipeline.prepare(*RAW), recipe)
    assert not decision.train
    assert "noise 0.90, more than 0.5, but there are no other photos" in decision.sentence
    pipeline.dataset_version = "v2"
    decision = flow(find_reason.fn)(pipeline.model, pipeline.prepare(*RAW), recipe)
    assert decision.train
    assert decision.sentence.endswith("noise 0.90, more than 0.5")


def test_new_photos_are_trained_on_and_the_champion_is_measured_on_them_too(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pipeline.mirror()
    pipeline.crown()
    pipeline.dataset_version = "v2"
    pipeline.distance["model"] = 1.2
    challenger = pipeline.retrain().result()
    assert challenger.version == 2
    spec = pipeline.evaluated[-1]
    assert spec.dataset.version == "v2"
    assert isinstance(spec.contestants["champion"], ModelRef)
    assert spec.contestants["champion"].version == 1
    assert pipeline.champion() == 2
    # The reason is in the log, on the version, on the run and in an artifact.
    reason = (
        f"Since version 1 of {pipeline.model} (champion): its dataset version v1 is gone, so "
        "new photos cannot be counted"
    )
    assert f"Decision about {pipeline.model}: training. {reason}" in caplog.text
    assert Registry(Settings()).record(challenger).reason == reason
    run = retraining_of(spec)
    assert run.data.tags["srgan.reason"] == reason
    assert run.data.params["start"] == "scratch"
    assert f"**Training.** {reason}" in artifact(f"{pipeline.model}-reason")
    # A promotion that was interrupted before it moved the alias is completed.
    registry = Registry(Settings())
    registry.set_alias(pipeline.model, CHAMPION, 1)
    assert promote(pipeline.model).challenger == 2
    assert registry.alias(pipeline.model, CHAMPION) == 2


def test_a_worse_challenger_is_refused_and_not_trained_again(pipeline: Pipeline) -> None:
    pipeline.mirror()
    pipeline.crown()
    pipeline.dataset_version = "v2"
    pipeline.distance["model"] = 1.4
    pipeline.retrain()
    assert pipeline.champion() == 1
    assert Registry(Settings()).alias(pipeline.model, CHAMPION) == 1
    state = pipeline.retrain()
    assert state.message is not None
    assert "version 2" in state.message
    assert "which was refused" in state.message
    assert len(pipeline.trained) == 4
    # Once it is deleted from the registry, it does not count.
    mlflow_client(Settings()).delete_model_version(pipeline.model, "2")
    data = pipeline.prepare("s3://srgan-test/raw", "leaves", tiny().data)
    decision = flow(find_reason.fn)(pipeline.model, data, tiny())
    assert decision.sentence.startswith("Since version 1 of")


def test_a_failing_stage_leaves_a_failed_run_and_no_version(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("the cluster is gone")

    monkeypatch.setattr(evaluate_module, "run_job", fail)
    assert pipeline.retrain().is_failed()
    assert Registry(Settings()).alias(pipeline.model, CHALLENGER) is None
    assert pipeline.champion() is None
