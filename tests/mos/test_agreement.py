"""Rank correlations of figures with people."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.mos.crowd import Crowd, columns
from srgan.errors import DataError
from srgan.mos.agreement import agreement, parse_measured
from srgan.mos.columns import Columns, rating_columns


def rated(seed: int = 0, num_raters: int = 10) -> tuple[Columns, dict[tuple[str, str], float]]:
    """Ratings, and the true quality of each image of each method."""
    rng, crowd = np.random.default_rng(seed), Crowd()
    stimuli = crowd.stimuli(rng, 12)
    ratings = columns(crowd.rate(rng, stimuli, num_raters)[0], list(crowd.methods))
    truth = {
        (method, image): float(stimuli[i, m])
        for i, image in enumerate(ratings.images)
        for m, method in enumerate(ratings.methods)
    }
    return ratings, truth


def test_a_figure_that_ranks_as_people_do_is_near_1_and_noise_near_0() -> None:
    ratings, truth = rated()
    rng = np.random.default_rng(1)
    noise = {key: float(rng.normal()) for key in truth}
    found = agreement(ratings, {"psnr": truth, "ssim": noise})
    assert found["psnr"].spearman > 0.9
    assert found["psnr"].kendall > 0.8
    assert found["psnr"].num_stimuli == 72
    interval = found["ssim"].spearman_interval
    assert interval is not None
    assert interval.low < 0 < interval.high
    exact = found["psnr"].spearman_interval
    assert exact is not None
    assert interval.high < exact.low <= found["psnr"].spearman <= exact.high <= 1


def test_a_distance_that_falls_with_quality_agrees() -> None:
    ratings, truth = rated()
    falling = {key: -value for key, value in truth.items()}
    found = agreement(ratings, {"psnr": truth, "squeezenet_distance": falling})
    assert found["squeezenet_distance"].spearman == pytest.approx(found["psnr"].spearman)


def test_infinite_figures_and_images_without_ratings_are_left_out() -> None:
    ratings, truth = rated()
    measured = {
        key: float("inf") if key[0] == "original" else value for key, value in truth.items()
    }
    measured["a", "an image that nobody rated"] = 30.0
    found = agreement(ratings, {"psnr": measured, "ssim": dict.fromkeys(truth, 0.5)})
    assert found["psnr"].num_stimuli == 60
    assert "ssim" not in found, "a figure that is the same everywhere ranks nothing"


@pytest.mark.parametrize("dissenters", [0, 1])
def test_scores_that_are_all_the_same_rank_nothing(dissenters: int) -> None:
    """Also without the one rater who says something else."""
    ratings, truth = rated(num_raters=4)
    same = replace(ratings, score=np.where(ratings.rater < dissenters, ratings.score, 4.0))
    found = agreement(same, {"psnr": truth})
    assert set(found) == ({"psnr"} if dissenters else set())


def test_two_raters_have_no_interval() -> None:
    ratings, truth = rated(num_raters=2)
    assert agreement(ratings, {"psnr": truth})["psnr"].spearman_interval is None


def test_figures_of_one_photo_or_of_what_one_person_rated_have_no_interval() -> None:
    ratings, truth = rated(num_raters=4)
    for whole, part in [
        (ratings, {key: value for key, value in truth.items() if key[1] == ratings.images[0]}),
        # The other three have rated only what was not measured.
        (
            ratings.only((ratings.rater == 0) | (ratings.image >= 6)),
            {key: value for key, value in truth.items() if key[1] in ratings.images[:6]},
        ),
    ]:
        found = agreement(whole, {"psnr": part})["psnr"]
        assert found.num_stimuli == len(part)
        assert (found.spearman_interval, found.kendall_interval) == (None, None)


def test_photos_without_figures_and_who_rated_only_those_change_no_interval() -> None:
    ratings, truth = rated(num_raters=5)
    images = [ratings.images[i] for i in (1, 3, 5, 7, 8, 11)]
    values = {"psnr": {key: value for key, value in truth.items() if key[1] in images}}
    measured = np.isin(ratings.image, (1, 3, 5, 7, 8, 11))
    without_last = measured & (ratings.rater != 4)
    alone = rating_columns(
        rater=[ratings.raters[each] for each in ratings.rater[without_last]],
        image=[ratings.images[each] for each in ratings.image[without_last]],
        method=[ratings.methods[each] for each in ratings.method[without_last]],
        score=ratings.score[without_last].tolist(),
        seconds=[None] * without_last.sum(),
        repeat=[False] * without_last.sum(),
    )
    found = agreement(ratings.only(without_last | ~measured), values)
    assert found["psnr"].spearman_interval is not None
    assert found == agreement(alone, values)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_figures_are_read_from_a_table(end: str) -> None:
    text = f"method,image,psnr,ssim{end}bicubic,a.png,28.4,0.81{end}1,a.png,31.3,{end}"
    assert parse_measured("f.csv", text.encode()) == {
        "psnr": {("bicubic", "a.png"): 28.4, ("1", "a.png"): 31.3},
        "ssim": {("bicubic", "a.png"): 0.81},
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("method,psnr\n1,30\n", "needs the columns method and image"),
        ("method,image\n1,a\n", "and one for each figure"),
        ("method,image,psnr\n1,a,30\n1,b,high\n", "line 3: psnr is 'high'"),
        (f"method,image,psnr\n1,{'a' * 2**17}b,30\n", "f.csv, line 2: not valid CSV: field larger"),
        ("method,image,more\n1,a,30,31\n", "line 2: more is"),
    ],
)
def test_an_invalid_table_of_figures_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        parse_measured("f.csv", text.encode())


@pytest.mark.slow(group="parts")
def test_intervals_of_a_correlation_hold_that_of_a_large_study() -> None:
    """The truth is that of 400 images and 200 people."""
    rng, crowd = np.random.default_rng(2), Crowd()

    def one(num_images: int, num_raters: int) -> tuple[Columns, dict[tuple[str, str], float]]:
        stimuli = crowd.stimuli(rng, num_images)
        ratings = columns(crowd.rate(rng, stimuli, num_raters)[0], list(crowd.methods))
        value = stimuli + rng.normal(0, 0.8, stimuli.shape)
        return ratings, {
            (method, image): float(value[i, m])
            for i, image in enumerate(ratings.images)
            for m, method in enumerate(ratings.methods)
        }

    def spearman(num_images: int, num_raters: int) -> tuple[float, float, float]:
        ratings, measured = one(num_images, num_raters)
        found = agreement(ratings, {"psnr": measured})["psnr"]
        assert found.spearman_interval is not None
        return found.spearman, found.spearman_interval.low, found.spearman_interval.high

    truth = spearman(400, 200)[0]
    held = [low <= truth <= high for _, low, high in (spearman(15, 12) for _ in range(100))]
    assert np.mean(held) >= 0.9
