"""Judges and teachers of a retraining: what cannot be compared is not trained."""

import json

import pytest

from flows.promote import promote
from srgan.config import (
    GateConfig,
)
from srgan.errors import CheckpointError, ConfigError
from srgan.models.weights import publish_weights
from srgan.promotion.log import PromotionLog
from srgan.recipes import get_recipe, tiny
from srgan.services.mlflow_models import Registry
from srgan.settings import Settings
from tests.support.pipeline import Pipeline

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic"),
]

NEVER_BY_PSNR = "srgan weights mirror efficientnet_lite1"


@pytest.mark.slow(group="parts")
def test_without_a_judge_nothing_is_trained_against_a_gan_that_is_champion(
    pipeline: Pipeline,
) -> None:
    pipeline.crown()
    trained = list(pipeline.trained)
    pipeline.dataset_version = "v2"
    for recipe in (tiny(), tiny().model_copy(update={"adversarial": None})):
        state = pipeline.retrain(recipe)
        assert state.is_failed()
        with pytest.raises(ConfigError, match=NEVER_BY_PSNR) as caught:
            state.result()
        assert "a model of recipe tiny and champion version 1" in str(caught.value)
    assert pipeline.trained == trained


def test_without_the_teacher_of_a_content_loss_nothing_is_trained(pipeline: Pipeline) -> None:
    state = pipeline.retrain(get_recipe("demo").model_copy(update={"gate": GateConfig()}))
    with pytest.raises(CheckpointError, match="`srgan weights mirror efficientnet_lite0`"):
        state.result()
    assert pipeline.trained == []


def test_without_a_judge_that_the_gate_names_nothing_is_trained(pipeline: Pipeline) -> None:
    gate = GateConfig(judges=("vgg19_distance",))
    state = pipeline.retrain(tiny().model_copy(update={"gate": gate}))
    with pytest.raises(ConfigError, match="`srgan weights mirror vgg19`"):
        state.result()
    assert pipeline.trained == []


def test_a_promotion_without_a_judge_is_refused_and_taken_once_there_is_one(
    pipeline: Pipeline,
) -> None:
    recipe = tiny().model_copy(update={"adversarial": None})
    pipeline.crown(recipe)
    pipeline.mirror()
    pipeline.distance["model"] = 1.4
    pipeline.retrain()
    assert pipeline.champion() == 1
    pipeline.store.delete("weights/squeezenet1_1.json")
    evaluated = len(pipeline.evaluated)
    with pytest.raises(ConfigError, match=NEVER_BY_PSNR):
        promote(pipeline.model, 2)
    assert len(pipeline.evaluated) == evaluated, "it should be said before anything is measured"
    assert len(PromotionLog(pipeline.store, pipeline.model).entries()) == 2
    publish_weights(pipeline.store, "squeezenet1_1", b"other weights", "here")
    pipeline.distance["model"] = 1.2
    assert promote(pipeline.model, 2).promoted


def test_a_decision_is_recorded_with_rule_intervals_and_gate(pipeline: Pipeline) -> None:
    pipeline.mirror()
    gate = GateConfig(max_psnr_loss_db=0.25)
    pipeline.crown(tiny().model_copy(update={"gate": gate}))
    pipeline.distance["model"] = 1.2
    pipeline.psnr["model"] = 28.2
    second = pipeline.retrain(tiny().model_copy(update={"gate": gate}), force=True).result()
    entry = PromotionLog(pipeline.store, pipeline.model).entries()[-1]
    assert "28.200 dB PSNR is more than 0.25 dB below champion" in entry.decision.reason
    assert entry.gate == gate
    assert entry.against == "champion"
    assert entry.differences["squeezenet_distance"].high == pytest.approx(-0.1)
    tags = Registry(Settings()).record(second).tags
    assert tags["decision_rule"] == entry.rule
    assert json.loads(tags["decision_differences"])["psnr"]["mean"] == pytest.approx(-0.3)


@pytest.mark.slow(group="parts")
def test_models_trained_on_pixels_alone_are_still_judged_by_psnr(pipeline: Pipeline) -> None:
    recipe = tiny().model_copy(update={"adversarial": None})
    pipeline.crown(recipe)
    pipeline.dataset_version = "v2"
    pipeline.psnr["model"] = 28.7
    pipeline.retrain(recipe)
    assert pipeline.champion() == 2
