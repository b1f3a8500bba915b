"""All results of a study."""

import numpy as np
import pytest

from benchmarks.mos.crowd import RANDOM, Crowd, choose, study
from srgan.mos.columns import choices_of, columns_of
from srgan.mos.results import preference_results, rating_results


def test_scores_are_without_rejected_raters_and_the_model_weighs_them_down() -> None:
    rng, crowd = np.random.default_rng(0), Crowd()
    ratings = study(crowd, rng, num_images=15, num_raters=12, careless=[RANDOM, RANDOM])
    found = rating_results(columns_of(ratings))
    assert set(found.rejected) == {"random 10", "random 11"}
    assert (found.num_ratings, found.num_images, found.num_raters) == (len(ratings), 15, 12)
    assert found.opinions["original"].num_raters == 10
    truth = dict(zip(crowd.methods, crowd.truths(), strict=True))
    assert {name: each.mean for name, each in found.opinions.items()} == pytest.approx(
        truth, abs=0.4
    )
    assert found.modelled == pytest.approx(truth, abs=0.4)
    assert len(found.raters) == 12
    noise = {name: each.inconsistency for name, each in found.raters.items()}
    assert sorted(noise, key=noise.__getitem__)[-2:] in (
        ["random 10", "random 11"],
        ["random 11", "random 10"],
    )
    assert len(found.contrasts) == 15
    assert found.agreement == {}


def test_results_are_json_and_come_back() -> None:
    rng = np.random.default_rng(1)
    found = rating_results(columns_of(study(Crowd(), rng, num_images=6, num_raters=4)))
    assert type(found).model_validate_json(found.model_dump_json()) == found


def test_pair_comparisons_have_strengths() -> None:
    rng, truth = np.random.default_rng(2), {"a": 1.0, "b": 0.0, "c": -1.0}
    made = [
        choose(rng, truth, f"image {n}", *rng.choice(list(truth), 2, replace=False), f"r {rater}")
        for rater in range(6)
        for n in range(40)
    ]
    found = preference_results(choices_of(made))
    assert list(found.strengths) == ["a", "b", "c"]
    assert (found.num_choices, found.num_images, found.num_raters) == (240, 40, 6)
