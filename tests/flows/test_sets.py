"""Evaluation sets from recipe to log: photos of the training are refused, each set decides."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flows import evaluate as evaluate_module
from flows.promote import promote
from srgan.config import DataConfig, GateConfig, Recipe, SetConfig
from srgan.data.prepare import prepare_dataset
from srgan.errors import DataError
from srgan.measure.evaluation import EvaluateSpec, Report
from srgan.measure.sets import prepare_set
from srgan.promotion.log import PromotionLog
from srgan.recipes import tiny
from srgan.refs import DatasetRef, EvaluationRef, SetResult, to_json
from srgan.services.mlflow_models import Registry
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from tests.support.pipeline import Pipeline
from tests.support.places import place

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic"),
]

DATA = DataConfig(scale=4, crop_size=32, eval_share=0.3)
RECIPE = tiny().model_copy(update={"adversarial": None, "gate": GateConfig(sets=("own",))})
Photos = Callable[..., None]


@pytest.fixture
def photos(
    flow_store: S3Store,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
) -> Photos:
    """`photos("raw/own", 1, 2)`: photos drawn from seeds below a prefix."""

    def put(prefix: str, *seeds: int) -> None:
        for seed in seeds:
            flow_store.put(f"{prefix}/{seed}.png", encode_photo(draw_photo(seed)))

    return put


@pytest.fixture
def measuring(
    pipeline: Pipeline,  # the fixture
    photos: Photos,
    monkeypatch: pytest.MonkeyPatch,
) -> Pipeline:
    """The pipeline over a real dataset, whose evaluation job measures sets a little differently."""
    photos("raw/leaves", *range(8))

    def prepare(source: str, dataset: str, data: DataConfig) -> DatasetRef:
        return prepare_dataset(place(pipeline.store, "raw/leaves"), pipeline.store, dataset, DATA)

    def run_job(*, spec: EvaluateSpec, **options: Any) -> None:
        pipeline.run_job(spec=spec, **options)
        store = pipeline.store
        report = Report.model_validate_json(store.get(spec.report_key))
        sets = {}
        for ref in spec.sets:
            key = spec.set_report_key(ref.name)
            store.put(key, to_json(report.model_copy(update={"on": ref})))
            sets[ref.name] = SetResult(
                version=ref.version, key=key, num_images=2, metrics=report.metrics
            )
        store.put(spec.report_key, to_json(report.model_copy(update={"sets": sets})))
        result = EvaluationRef.model_validate_json(store.get(spec.result_key))
        store.put(spec.result_key, to_json(result.model_copy(update={"sets": sets})))

    from flows import retrain as retrain_module

    monkeypatch.setattr(retrain_module, "prepare", prepare)
    monkeypatch.setattr(evaluate_module, "run_job", run_job)
    return pipeline


def make_set(store: S3Store) -> str:
    return prepare_set(place(store, "raw/own"), store, "own", SetConfig()).version


def test_a_set_that_shows_a_training_photo_fails_the_retraining_before_it_trains(
    measuring: Pipeline, photos: Photos
) -> None:
    photos("raw/own", *range(8), 20)
    make_set(measuring.store)
    state = measuring.retrain(RECIPE)
    assert state.is_failed()
    with pytest.raises(DataError, match=r"raw/own/\d\.png and raw/leaves/\d\.png \(the same pix"):
        state.result()
    assert measuring.trained == []


def test_a_set_that_nobody_made_fails_the_retraining_with_the_flow_that_makes_it(
    measuring: Pipeline,
) -> None:
    missing = "make it with the flow prepare-eval, whose parameters are name=own"
    with pytest.raises(DataError, match=missing):
        measuring.retrain(RECIPE).result()
    assert measuring.trained == []


@pytest.mark.slow(group="parts")
def test_the_sets_of_a_recipe_decide_and_are_recorded_and_a_new_version_asks_again(
    measuring: Pipeline, photos: Photos
) -> None:
    photos("raw/own", 20, 21)
    version = make_set(measuring.store)
    challenger = measuring.retrain(RECIPE).result()
    log = PromotionLog(measuring.store, measuring.model)
    (entry,) = log.entries()
    assert entry.sets["own"].version == version
    assert entry.sets["own"].metrics["model"]["psnr"] == 28.5
    assert "on own PSNR 28.500 dB is higher than bicubic's" in entry.decision.reason
    tags = Registry(Settings()).record(challenger).tags
    assert tags["decision_rule"].startswith("on each of the evaluation sets own")
    assert version in tags["decision_sets"]
    assert version in tags["sets"]

    measuring.psnr["model"] = 28.1
    second = measuring.retrain(changed(RECIPE)).result()
    assert [each.decision.promoted for each in log.entries()] == [True, False]
    promote(measuring.model, second.version)
    assert len(log.entries()) == 2, "a refusal on the same set holds"
    photos("raw/own", 22)
    make_set(measuring.store)
    promote(measuring.model, second.version)
    assert len(log.entries()) == 3, "another version of the set is another question"


def changed(recipe: Recipe) -> Recipe:
    """A changed recipe, which is a reason to train again."""
    longer = recipe.pretrain.model_copy(update={"steps": recipe.pretrain.steps + 1})
    return recipe.model_copy(update={"pretrain": longer})
