"""Names of evaluations, and specs and reports as JSON."""

from srgan.measure.evaluation import EvaluateSpec, ImageFigures, Report
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
