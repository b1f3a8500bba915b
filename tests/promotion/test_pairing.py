"""Two versions compared by recorded evaluations."""

import pytest

from srgan.errors import ConfigError, DataError
from srgan.measure.evaluation import Report
from srgan.promotion.pairing import find_pairings
from srgan.refs import ModelRef, SetRef, to_json
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from tests.support.reports import report

ANNA = Settings(team="anna")
A, B = (ModelRef(name="m", version=n, run=f"run-{n}", weights_digest=str(n)) for n in (1, 2))
SET5 = SetRef(name="set5", version="s1", key="k", num_photos=6, num_images=12)
FIGURES = {"bicubic": 28.0, "model": 28.5, "champion": 28.25}


def record(store: S3Store, run: str, name: str, found: Report, **weights: str) -> None:
    found = found.model_copy(update={"weights": weights})
    store.put(f"runs/{run}/evaluations/{name}.json", to_json(found))


def test_one_evaluation_of_both_is_preferred_to_one_of_each(object_store: S3Store) -> None:
    record(object_store, "run-1", "x/report", report({"bicubic": 28.0, "model": 20.0}), model="1")
    record(object_store, "run-2", "y/report", report({"bicubic": 28.0, "model": 20.0}), model="2")
    record(object_store, "run-1", "z/report", report(FIGURES), model="1", champion="2")
    (pairing,) = find_pairings(object_store, A, B, ANNA)
    assert pairing.means("psnr") == (28.5, 28.25)
    found = pairing.difference("psnr")
    assert found is not None
    assert (found.mean, found.low) == (pytest.approx(0.25), pytest.approx(0.25))
    (turned,) = find_pairings(object_store, B, A, ANNA)
    assert turned.means("psnr") == (28.25, 28.5)


def test_held_out_crops_and_each_set_are_told_apart(object_store: S3Store) -> None:
    record(object_store, "run-1", "x/report", report(FIGURES), model="1", champion="2")
    on_set = report({**FIGURES, "model": 31.0}).model_copy(update={"on": SET5})
    record(object_store, "run-1", "x/sets/set5", on_set, model="1", champion="2")
    held_out, set5 = find_pairings(object_store, A, B, ANNA)
    assert held_out.where == "held-out crops of leaves v1"
    assert set5.where == "evaluation set set5 s1"
    assert set5.means("psnr") == (31.0, 28.25)


def test_distances_by_other_weights_are_not_compared(object_store: S3Store) -> None:
    distance = {"squeezenet_distance": {"bicubic": 2.0, "model": 1.0}}
    mine = report({"bicubic": 28.0, "model": 28.0}, distance)
    record(object_store, "run-1", "x/report", mine, model="1")
    theirs = mine.model_copy(update={"judges": {"squeezenet1_1": "f" * 64}})
    record(object_store, "run-2", "y/report", theirs, model="2")
    (pairing,) = find_pairings(object_store, A, B, ANNA)
    assert pairing.figures == ["psnr", "ssim"]
    assert pairing.decides("psnr")
    record(object_store, "run-2", "y/report", mine, model="2")
    assert find_pairings(object_store, A, B, ANNA)[0].figures == [
        "psnr",
        "ssim",
        "squeezenet_distance",
    ]


def test_a_model_trained_on_more_than_pixels_is_not_compared_by_psnr(object_store: S3Store) -> None:
    gan = report(FIGURES, beyond_pixels=["model"])
    record(object_store, "run-1", "x/report", gan, model="1", champion="2")
    with pytest.raises(ConfigError, match=r"PSNR alone is not fair .*srgan weights mirror"):
        find_pairings(object_store, A, B, ANNA)
    distance = {"squeezenet_distance": dict.fromkeys(FIGURES, 1.0)}
    for taught, decides in (([], True), (["champion"], False)):
        judged = report(
            FIGURES,
            distance,
            beyond_pixels=["model"],
            trained_on_judge={"squeezenet_distance": taught},
        )
        record(object_store, "run-1", "later/report", judged, model="1", champion="2")
        (pairing,) = find_pairings(object_store, A, B, ANNA)
        assert not pairing.decides("psnr")
        assert pairing.decides("squeezenet_distance") == decides
        assert pairing.taught("squeezenet_distance") == (False, not decides)


def test_figures_on_different_images_are_not_compared(object_store: S3Store) -> None:
    record(object_store, "run-1", "x/report", report(FIGURES), model="1")
    record(object_store, "run-2", "y/report", report(FIGURES, num_photos=5), model="2")
    with pytest.raises(DataError, match="models:/m/1 and models:/m/2 on the same images") as why:
        find_pairings(object_store, A, B, ANNA)
    command = "evaluate-model/anna~evaluate-model --param model=models:/m/1 --param dataset=NAME"
    assert f"(each by `prefect deployment run {command}`)" in str(why.value)
