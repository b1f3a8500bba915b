"""Held-out photos that the champion has learned are refused before anything is trained."""

from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np
import pytest
from numpy.typing import NDArray

from flows import retrain as retrain_module
from flows.evaluate import evaluate_model
from flows.promote import promote
from srgan.config import DataConfig, Recipe
from srgan.data.prepare import prepare_dataset
from srgan.errors import DataError
from srgan.recipes import tiny
from srgan.refs import DatasetRef
from tests.support.pipeline import Pipeline
from tests.support.places import place

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic"),
]

RECIPE = tiny().model_copy(update={"adversarial": None})
LEARNED = r"photos that dataset cats version \w+ holds out were trained on by models:/\w+/1 "


@pytest.fixture
def over_photos(
    pipeline: Pipeline,  # the fixture
    monkeypatch: pytest.MonkeyPatch,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
) -> Pipeline:
    """The pipeline over ten real photos, cut as the recipe says under the dataset's name."""
    for seed in range(10):
        pipeline.store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed, 96, 96)))

    def prepare(source: str, dataset: str, data: DataConfig) -> DatasetRef:
        prefix = PurePosixPath(source).name
        return prepare_dataset(place(pipeline.store, prefix), pipeline.store, dataset, data)

    monkeypatch.setattr(pipeline, "prepare", prepare)
    monkeypatch.setattr(retrain_module, "prepare", prepare)
    monkeypatch.setattr(retrain_module, "report", lambda *_: None)
    return pipeline


def holding_out(share: float) -> Recipe:
    data = RECIPE.data.model_copy(update={"eval_share": share})
    return RECIPE.model_copy(update={"data": data})


def test_the_same_photos_under_another_name_are_refused_and_another_model_is_not(
    over_photos: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    champion = over_photos.crown(holding_out(0.1))
    trained, evaluated = len(over_photos.trained), len(over_photos.evaluated)
    source = "s3://srgan-test/raw"
    state = retrain_module.retrain(
        source, "cats", over_photos.model, holding_out(0.5), force=True, return_state=True
    )
    with pytest.raises(DataError, match=LEARNED):
        state.result()
    assert len(over_photos.trained) == trained, "a job was submitted"
    assert len(over_photos.evaluated) == evaluated, "a job was submitted"
    evaluate_model(champion.uri, "cats")
    assert "Its figures on these photos are too good" in caplog.text
    other = retrain_module.retrain(source, "cats", f"{over_photos.model}b", holding_out(0.5))
    assert other.version == 1


def test_a_larger_share_under_the_same_name_is_fair(over_photos: Pipeline) -> None:
    over_photos.crown(holding_out(0.1))
    over_photos.psnr["model"] = 28.8
    assert over_photos.retrain(holding_out(0.5), force=True).result().version == 2
    data = holding_out(0.5).data
    retrain_module.prepare("s3://srgan-test/raw", "cats", data)
    evaluated = len(over_photos.evaluated)
    with pytest.raises(DataError, match=LEARNED):
        promote(over_photos.model, 1, "cats")
    assert len(over_photos.evaluated) == evaluated, "a job was submitted"
