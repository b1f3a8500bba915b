"""Names of evaluations, and specs and reports as JSON; means over images."""

import math

from srgan.measure.evaluation import (
    EvaluateSpec,
    Figures,
    ImageFigures,
    Report,
    mean_figures,
    means,
)
from srgan.refs import CheckpointRef, ModelRef, to_json
from tests.support.reports import dataset, pixels


def checkpoint(digest: str, run: str = "adversarial-1") -> CheckpointRef:
    return CheckpointRef(
        run=run, stage="adversarial", step=4, key="k", digest=digest, dataset_version="v1"
    )


def test_another_release_that_computes_the_same_has_the_same_evaluations() -> None:
    names = {
        EvaluateSpec(
            dataset=dataset(),
            contestants={"model": checkpoint("aa")},
            numerics_version=numerics,
            release_version=release,
        ).run
        for numerics, release in (("1", "a"), ("1", "b"), ("2", "b"))
    }
    assert len(names) == 2


def test_an_evaluation_is_named_by_weights_however_they_are_addressed() -> None:
    version = ModelRef(name="m", version=1, run="adversarial-1", weights_digest="aa")
    names = [
        EvaluateSpec(
            dataset=dataset(), contestants={"model": ref}, numerics_version="1", release_version="1"
        ).run
        for ref in (checkpoint("aa"), version)
    ]
    assert names[0] == names[1]
    assert names[0].startswith("adversarial-1/evaluations/")


def test_another_champion_makes_another_evaluation() -> None:
    specs = [
        EvaluateSpec(
            dataset=dataset(),
            contestants={"model": checkpoint("aa"), "champion": checkpoint(champion)},
            numerics_version="1",
            release_version="1",
        )
        for champion in ("bb", "cc")
    ]
    assert specs[0].result_key != specs[1].result_key


def test_a_spec_survives_its_way_to_the_cluster() -> None:
    version = ModelRef(name="m", version=1, run="adversarial-1", weights_digest="bb")
    spec = EvaluateSpec(
        dataset=dataset(),
        contestants={"model": checkpoint("aa"), "champion": version},
        numerics_version="1",
        release_version="1",
    )
    assert EvaluateSpec.model_validate_json(spec.model_dump_json()) == spec


def test_reports_of_earlier_releases_are_read() -> None:
    """They call artifacts signs, and the oldest call the numerics version code_version."""
    report = pixels(bicubic=28.0, model=28.5)
    stored = report.model_dump(mode="json")
    assert stored["images"][0]["signs"]["model"]["finite"]
    stored["code_version"] = stored.pop("numerics_version")
    assert Report.model_validate(stored) == report
    assert Report.model_validate_json(to_json(report)) == report
    del stored["images"][0]["signs"]
    assert ImageFigures.model_validate(stored["images"][0]).signs == {}


def test_an_image_that_one_restores_exactly_is_left_out_of_the_psnr_of_all() -> None:
    psnrs = {"model": [math.inf, 30.0, 32.0], "bicubic": [60.0, 28.0, math.nan]}
    images = [
        ImageFigures(
            source=f"{k}.png",
            crop=k,
            figures={name: Figures(psnr=each[k], ssim=k / 2) for name, each in psnrs.items()},
        )
        for k in range(3)
    ]
    found = means(images[:2])
    assert {name: each.psnr for name, each in found.items()} == {"model": 30.0, "bicubic": 28.0}
    assert {each.num_identical for each in found.values()} == {1}
    assert found["model"].ssim == 0.25, "the other figures are over all images"
    assert math.isnan(means(images)["bicubic"].psnr), "a broken output is not left out"


def test_a_set_of_nothing_but_exact_images_has_an_infinite_mean() -> None:
    exact = Figures(psnr=math.inf, ssim=1.0)
    assert mean_figures([exact, exact]) == exact.model_copy(update={"num_identical": 2})


def test_reports_of_earlier_releases_do_not_count_identical_images() -> None:
    assert Figures.model_validate_json('{"psnr": 30, "ssim": 0.8}').num_identical == 0
