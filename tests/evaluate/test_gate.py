"""The rule of promotion, and its sentences."""

import pytest

from srgan.errors import ConfigError
from srgan.evaluate.gate import judge
from srgan.evaluate.report import Figures, Report
from srgan.perceptual import DISTANCES
from tests.evaluate.test_lineage import dataset

SQUEEZENET, VGG = "squeezenet_distance", "vgg19_distance"


def report(
    psnr: dict[str, float],
    distances: dict[str, dict[str, float]] | None = None,
    *,
    beyond_pixels: list[str] | None = None,
    trained_on_judge: dict[str, list[str]] | None = None,
) -> Report:
    """An evaluation of these mean figures; `distances` by network, then by contestant."""
    distances = distances or {}
    means = {
        name: Figures(
            psnr=value, ssim=0.8, distances={d: values[name] for d, values in distances.items()}
        )
        for name, value in psnr.items()
    }
    return Report(
        dataset=dataset(),
        scale=4,
        code_version="1",
        weights={},
        judges={network: "0" * 64 for network, name in DISTANCES.items() if name in distances},
        trained_on_judge=trained_on_judge or {},
        beyond_pixels=beyond_pixels or [],
        means=means,
        images=[],
    )


def pixels(**psnr: float) -> Report:
    return report(psnr)


def gans(
    psnr: dict[str, float], distances: dict[str, dict[str, float]] | None = None, **options: object
) -> Report:
    return report(psnr, distances, beyond_pixels=["model", "champion"], **options)  # type: ignore[arg-type]


def test_a_model_that_beats_bicubic_becomes_the_first_champion() -> None:
    verdict = judge(pixels(bicubic=28.0, model=28.5), challenger=1, champion=None)
    assert verdict.promoted
    assert verdict.reason == (
        "Version 1 becomes the first champion: 28.500 dB PSNR is better than bicubic's 28.000 dB."
    )
    assert verdict.rule.startswith("Models trained on pixels alone: PSNR")


@pytest.mark.parametrize("psnr", [27.9, 28.0])
def test_a_model_that_does_not_beat_bicubic_is_refused(psnr: float) -> None:
    verdict = judge(pixels(bicubic=28.0, model=psnr), challenger=1, champion=None)
    assert not verdict.promoted
    assert verdict.reason == (
        f"Version 1 is refused: {psnr:.3f} dB PSNR is not better than bicubic's 28.000 dB."
    )


def test_a_model_worse_than_the_champion_is_refused_with_both_figures() -> None:
    verdict = judge(pixels(bicubic=28.0, model=28.5, champion=28.6), challenger=2, champion=1)
    assert not verdict.promoted
    assert verdict.reason == (
        "Version 2 is refused: 28.500 dB PSNR is worse than champion version 1's 28.600 dB."
    )


@pytest.mark.parametrize("psnr", [28.6, 28.7])
def test_a_model_as_good_as_the_champion_replaces_it(psnr: float) -> None:
    verdict = judge(pixels(bicubic=28.0, model=psnr, champion=28.6), challenger=2, champion=1)
    assert verdict.promoted
    assert verdict.reason.startswith("Version 2 replaces champion version 1")


def test_figures_that_look_equal_are_equal() -> None:
    figures = pixels(bicubic=28.0, model=28.60001, champion=28.60004)
    assert judge(figures, challenger=2, champion=1).promoted


def test_a_model_that_gives_no_number_is_refused() -> None:
    verdict = judge(pixels(bicubic=28.0, model=float("nan")), challenger=1, champion=None)
    assert not verdict.promoted
    assert "not a number" in verdict.reason


def test_a_gan_of_lower_psnr_wins_by_its_perceptual_distance() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 31.0},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.19, "champion": 1.32}},
    )
    verdict = judge(figures, challenger=2, champion=1)
    assert verdict.promoted
    assert "squeezenet_distance 1.1900 is lower than champion version 1's 1.3200" in verdict.reason
    assert "trained on the judge" not in verdict.reason


def test_a_gan_of_higher_psnr_loses_by_its_perceptual_distance() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 31.0, "champion": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.32, "champion": 1.19}},
    )
    verdict = judge(figures, challenger=2, champion=1)
    assert not verdict.promoted
    assert verdict.reason == (
        "Version 2 is refused: squeezenet_distance 1.3200 is not lower than champion version 1's "
        "1.1900."
    )


@pytest.mark.parametrize("beyond_pixels", [["model"], ["champion"]])
def test_one_gan_is_enough_for_distances_to_decide(beyond_pixels: list[str]) -> None:
    figures = report(
        {"bicubic": 28.0, "model": 31.0, "champion": 30.9},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.32, "champion": 1.19}},
        beyond_pixels=beyond_pixels,
    )
    assert not judge(figures, challenger=2, champion=1).promoted


@pytest.mark.parametrize(
    ("psnr", "reason"),
    [
        ({"bicubic": 28.0, "model": 28.0, "champion": 31.1}, "more than 3.00 dB below champion"),
        ({"bicubic": 28.0, "model": 26.4, "champion": 27.0}, "more than 1.50 dB below bicubic's"),
    ],
)
def test_a_gan_that_loses_too_much_psnr_is_refused_whatever_its_distance(
    psnr: dict[str, float], reason: str
) -> None:
    figures = gans(psnr, {SQUEEZENET: {"bicubic": 2.7, "model": 1.0, "champion": 1.3}})
    verdict = judge(figures, challenger=2, champion=1)
    assert not verdict.promoted
    assert reason in verdict.reason


def test_gans_without_a_judge_are_not_compared_and_the_command_is_named() -> None:
    figures = gans({"bicubic": 28.0, "model": 31.0, "champion": 29.4})
    with pytest.raises(ConfigError, match="srgan weights mirror squeezenet1_1") as caught:
        judge(figures, challenger=2, champion=1)
    assert "version 2 and champion version 1 cannot be compared" in str(caught.value)


def test_a_first_gan_without_a_judge_is_held_against_the_floor_and_says_so() -> None:
    verdict = judge(gans({"bicubic": 28.0, "model": 26.6}), challenger=1, champion=None)
    assert verdict.promoted
    assert "nothing perceptual was measured" in verdict.reason
    assert "srgan weights mirror squeezenet1_1" in verdict.reason
    assert "held against the floor alone, 26.600 dB PSNR is not more than 1.50 dB below" in (
        verdict.reason
    )
    assert verdict.rule.startswith("First version")


def test_a_first_gan_below_the_floor_is_refused() -> None:
    verdict = judge(gans({"bicubic": 28.0, "model": 26.4}), challenger=1, champion=None)
    assert not verdict.promoted
    assert "26.400 dB PSNR is more than 1.50 dB below bicubic's 28.000 dB" in verdict.reason


@pytest.mark.parametrize(("distance", "promoted"), [(2.6, True), (2.8, False)])
def test_a_first_gan_with_a_judge_has_to_look_better_than_bicubic(
    distance: float, promoted: bool
) -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.0}, {SQUEEZENET: {"bicubic": 2.7, "model": distance}}
    )
    assert judge(figures, challenger=1, champion=None).promoted == promoted


@pytest.mark.parametrize("taught", ["model", "champion"])
def test_a_network_that_taught_nobody_decides_where_there_is_one(taught: str) -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {
            SQUEEZENET: {"bicubic": 2.7, "model": 1.0, "champion": 1.3},
            VGG: {"bicubic": 2.7, "model": 1.4, "champion": 1.3},
        },
        trained_on_judge={SQUEEZENET: [taught]},
    )
    verdict = judge(figures, challenger=2, champion=1)
    assert not verdict.promoted
    assert verdict.reason.startswith("Version 2 is refused: vgg19_distance 1.4000 is not lower")


def test_every_network_that_taught_nobody_has_to_agree() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {
            SQUEEZENET: {"bicubic": 2.7, "model": 1.0, "champion": 1.3},
            VGG: {"bicubic": 2.7, "model": 1.4, "champion": 1.3},
        },
    )
    assert not judge(figures, challenger=2, champion=1).promoted


def test_where_the_only_judge_was_the_teacher_the_sentence_says_so() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.0, "champion": 1.3}},
        trained_on_judge={SQUEEZENET: ["model"]},
    )
    verdict = judge(figures, challenger=2, champion=1)
    assert verdict.promoted
    assert "squeezenet_distance 1.0000 (trained on the judge) is lower than" in verdict.reason
