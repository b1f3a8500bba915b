"""The rules of the gate and the sentences of its verdicts."""

import math

import numpy as np
import pytest

from srgan.config import GateConfig
from srgan.errors import ConfigError
from srgan.measure.evaluation import Figures, ImageFigures, Report, means
from srgan.measure.guards import NOT_FINITE
from srgan.measure.intervals import half_width
from srgan.promotion.gate import Verdict, confidence_of, verdict_of
from tests.support.reports import GOOD, pixels, report

SQUEEZENET, VGG = "squeezenet_distance", "vgg19_distance"


def decided(report: Report, *, challenger: int, champion: int | None) -> Verdict:
    return verdict_of(report, GateConfig(), challenger=challenger, champion=champion)


def gans(
    psnr: dict[str, float], distances: dict[str, dict[str, float]] | None = None, **options: object
) -> Report:
    return report(psnr, distances, beyond_pixels=["model", "champion"], **options)  # type: ignore[arg-type]


def test_a_model_that_beats_bicubic_becomes_the_first_champion() -> None:
    verdict = decided(pixels(bicubic=28.0, model=28.5), challenger=1, champion=None)
    assert verdict.promoted
    assert verdict.reason == (
        "Version 1 becomes the first champion: PSNR 28.500 dB is higher than bicubic's 28.000 dB "
        "(difference over photos +0.500 dB, 97.5 % interval +0.500 to +0.500 dB)."
    )
    assert verdict.rule.startswith("models trained on pixels alone: PSNR")


@pytest.mark.parametrize(("psnr", "word"), [(27.9, "clearly lower"), (28.0, "not clearly higher")])
def test_a_model_that_does_not_beat_bicubic_is_refused(psnr: float, word: str) -> None:
    verdict = decided(pixels(bicubic=28.0, model=psnr), challenger=1, champion=None)
    assert not verdict.promoted
    assert verdict.reason.startswith(
        f"Version 1 is refused: PSNR {psnr:.3f} dB is {word} than bicubic's 28.000 dB (difference"
    )


def test_a_model_worse_than_the_champion_is_refused_with_both_figures() -> None:
    verdict = decided(pixels(bicubic=28.0, model=28.5, champion=28.6), challenger=2, champion=1)
    assert not verdict.promoted
    assert verdict.reason == (
        "Version 2 is refused: PSNR 28.500 dB is clearly lower than champion version 1's 28.600 dB "
        "(difference over photos −0.100 dB, 95 % interval −0.100 to −0.100 dB)."
    )


@pytest.mark.parametrize(("psnr", "promoted"), [(28.6, False), (28.7, True)])
def test_a_model_only_as_good_as_the_champion_does_not_replace_it(
    psnr: float, promoted: bool
) -> None:
    verdict = decided(pixels(bicubic=28.0, model=psnr, champion=28.6), challenger=2, champion=1)
    assert verdict.promoted == promoted
    assert ("not clearly higher than champion version 1's" in verdict.reason) != promoted


def test_a_crop_that_the_champion_restores_exactly_decides_nothing() -> None:
    measured = pixels(bicubic=28.0, model=28.5, champion=28.4)
    images = list(measured.images)
    figures = images[0].figures
    exact = {**figures, "champion": Figures(psnr=math.inf, ssim=1.0)}
    images[0] = images[0].model_copy(update={"figures": exact})
    verdict = decided(
        measured.model_copy(update={"images": images, "means": means(images)}),
        challenger=2,
        champion=1,
    )
    assert verdict.promoted
    assert verdict.differences["psnr"].mean == pytest.approx(0.1)
    assert verdict.differences["psnr"].high < 1, "no cap in place of an infinite PSNR"


def test_outputs_with_nan_or_infinite_values_are_refused() -> None:
    found = pixels(bicubic=28.0, model=float("nan"))
    images = [
        image.model_copy(update={"signs": {**image.signs, "model": NOT_FINITE}})
        for image in found.images
    ]
    verdict = decided(found.model_copy(update={"images": images}), challenger=1, champion=None)
    assert not verdict.promoted
    assert verdict.reason == (
        "Version 1 is refused: NaN or infinite values on 12 of 12 crops, such as 0.png."
    )


@pytest.mark.parametrize(
    ("artifact", "value", "fault"),
    [
        ("contrast", 0.1, "contrast is 0.10 of bicubic's"),
        ("brightness_shift", -9.0, "brightness is off by -9.0 levels"),
        ("colour_shift", 6.0, "colours are off by +6.0 levels"),
        ("checkerboard", 4.0, "a checkerboard of 4.0 levels"),
    ],
)
@pytest.mark.parametrize("beyond_pixels", [[], ["model"]])
def test_a_broken_output_is_refused_however_good_its_figures(
    artifact: str, value: float, fault: str, beyond_pixels: list[str]
) -> None:
    figures = report(
        {"bicubic": 28.0, "model": 31.0},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.0}},
        beyond_pixels=beyond_pixels,
        artifacts=GOOD.model_copy(update={artifact: value}),
    )
    verdict = decided(figures, challenger=1, champion=None)
    assert not verdict.promoted
    assert verdict.reason.startswith(f"Version 1 is refused: {fault}")


def test_a_gan_of_lower_psnr_wins_by_its_perceptual_distance() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 31.0},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.19, "champion": 1.32}},
    )
    verdict = decided(figures, challenger=2, champion=1)
    assert verdict.promoted
    assert verdict.reason == (
        "Version 2 replaces champion version 1: squeezenet_distance 1.1900 is lower than champion "
        "version 1's 1.3200 (difference over photos −0.1300, 97.5 % interval −0.1300 to −0.1300); "
        "29.400 dB PSNR is not more than 3.00 dB below champion version 1's 31.000 dB; 29.400 dB "
        "PSNR is not more "
        "than 1.50 dB below bicubic's 28.000 dB; no photo's squeezenet_distance is more than 1.5 "
        "times bicubic's."
    )
    assert verdict.against == "champion"
    assert verdict.differences["psnr"].mean == pytest.approx(-1.6)
    assert "trained on the judge" not in verdict.reason


def test_a_gan_of_higher_psnr_loses_by_its_perceptual_distance() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 31.0, "champion": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.32, "champion": 1.19}},
    )
    verdict = decided(figures, challenger=2, champion=1)
    assert not verdict.promoted
    assert verdict.reason == (
        "Version 2 is refused: squeezenet_distance 1.3200 is clearly higher than champion version "
        "1's 1.1900 (difference over photos +0.1300, 95 % interval +0.1300 to +0.1300)."
    )


@pytest.mark.parametrize("beyond_pixels", [["model"], ["champion"]])
def test_one_gan_is_enough_for_distances_to_decide(beyond_pixels: list[str]) -> None:
    figures = report(
        {"bicubic": 28.0, "model": 31.0, "champion": 30.9},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.32, "champion": 1.19}},
        beyond_pixels=beyond_pixels,
    )
    assert not decided(figures, challenger=2, champion=1).promoted


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
    verdict = decided(figures, challenger=2, champion=1)
    assert not verdict.promoted
    assert reason in verdict.reason


def test_gans_without_a_judge_are_not_compared_and_the_command_is_named() -> None:
    figures = gans({"bicubic": 28.0, "model": 31.0, "champion": 29.4})
    with pytest.raises(ConfigError, match="srgan weights mirror efficientnet_lite1") as caught:
        decided(figures, challenger=2, champion=1)
    assert "version 2 and champion version 1 cannot be compared" in str(caught.value)


def test_a_first_gan_without_a_judge_is_held_against_the_floor_and_says_so() -> None:
    verdict = decided(gans({"bicubic": 28.0, "model": 26.6}), challenger=1, champion=None)
    assert verdict.promoted
    assert "nothing perceptual was measured" in verdict.reason
    assert "srgan weights mirror efficientnet_lite1" in verdict.reason
    assert "held against the floor alone, 26.600 dB PSNR is not more than 1.50 dB below" in (
        verdict.reason
    )
    assert verdict.rule.startswith("first version")


def test_a_first_gan_below_the_floor_is_refused() -> None:
    verdict = decided(gans({"bicubic": 28.0, "model": 26.4}), challenger=1, champion=None)
    assert not verdict.promoted
    assert "26.400 dB PSNR is more than 1.50 dB below bicubic's 28.000 dB" in verdict.reason


@pytest.mark.parametrize(("distance", "promoted"), [(2.6, True), (2.8, False)])
def test_a_first_gan_with_a_judge_has_to_look_better_than_bicubic(
    distance: float, promoted: bool
) -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.0}, {SQUEEZENET: {"bicubic": 2.7, "model": distance}}
    )
    assert decided(figures, challenger=1, champion=None).promoted == promoted


@pytest.mark.parametrize("taught", ["model", "champion"])
def test_a_judge_that_taught_neither_decides_if_there_is_one(taught: str) -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {
            SQUEEZENET: {"bicubic": 2.7, "model": 1.0, "champion": 1.3},
            VGG: {"bicubic": 2.7, "model": 1.4, "champion": 1.3},
        },
        trained_on_judge={SQUEEZENET: [taught]},
    )
    verdict = decided(figures, challenger=2, champion=1)
    assert not verdict.promoted
    assert verdict.reason.startswith(
        "Version 2 is refused: vgg19_distance 1.4000 is clearly higher"
    )


@pytest.mark.parametrize(("taught", "promoted"), [([], False), (["champion"], True)])
def test_a_judge_that_taught_one_of_the_two_does_not_count(
    taught: list[str], promoted: bool
) -> None:
    figures = two_judges(squeezenet=1.4, vgg=1.0, trained_on_judge={SQUEEZENET: taught})
    assert decided(figures, challenger=2, champion=1).promoted == promoted


def two_judges(*, squeezenet: float, vgg: float, **options: object) -> Report:
    """The model's distances; the champion has 1.3 of both."""
    return gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {
            SQUEEZENET: {"bicubic": 2.7, "model": squeezenet, "champion": 1.3},
            VGG: {"bicubic": 2.7, "model": vgg, "champion": 1.3},
        },
        **options,
    )


def test_one_of_two_judges_that_sees_a_gain_is_enough_if_the_other_sees_no_loss() -> None:
    verdict = decided(two_judges(squeezenet=1.0, vgg=1.3), challenger=2, champion=1)
    assert verdict.promoted
    assert "squeezenet_distance 1.0000 is lower than champion version 1's 1.3000 (difference " in (
        verdict.reason
    )
    assert "98.75 % interval" in verdict.reason, "two judges share the error"
    assert "vgg19_distance 1.3000 is not clearly lower" in verdict.reason
    assert verdict.rule.startswith(
        "models trained on more than pixels, judged by squeezenet_distance, vgg19_distance, which "
        "taught neither: at least one judge finds the model better"
    )


def test_a_judge_that_sees_a_loss_refuses_whatever_the_other_sees() -> None:
    verdict = decided(two_judges(squeezenet=1.0, vgg=1.4), challenger=2, champion=1)
    assert not verdict.promoted
    assert verdict.reason.startswith("Version 2 is refused: vgg19_distance 1.4000 is clearly high")
    assert "squeezenet_distance" not in verdict.reason


def test_judges_that_see_neither_gain_nor_loss_refuse_with_what_each_found() -> None:
    verdict = decided(two_judges(squeezenet=1.3, vgg=1.3), challenger=2, champion=1)
    assert not verdict.promoted
    assert "squeezenet_distance 1.3000 is not clearly lower" in verdict.reason
    assert "vgg19_distance 1.3000 is not clearly lower" in verdict.reason


def test_the_gate_may_name_its_judges_and_any_perceptual_figure_can_be_one() -> None:
    gate = GateConfig(judges=("niqe",))
    distances = {
        "niqe": {"bicubic": 8.4, "model": 5.1, "champion": 5.6},
        VGG: {"bicubic": 2.7, "model": 1.4, "champion": 1.3},
    }
    figures = gans({"bicubic": 28.0, "model": 29.4, "champion": 29.4}, distances)
    assert not verdict_of(figures, GateConfig(), challenger=2, champion=1).promoted
    verdict = verdict_of(figures, gate, challenger=2, champion=1)
    assert verdict.promoted
    assert "niqe 5.10 is lower than champion version 1's 5.60" in verdict.reason
    assert "judged by niqe, which taught neither" in verdict.rule


def test_a_judge_that_the_gate_names_and_nobody_measured_is_an_error() -> None:
    gate = GateConfig(judges=(VGG, "niqe"))
    figures = gans({"bicubic": 28.0, "model": 29.4}, {VGG: {"bicubic": 2.7, "model": 1.4}})
    with pytest.raises(ConfigError, match=r"gate\.judges names niqe, .* measured vgg19_distance"):
        verdict_of(figures, gate, challenger=2, champion=None)


def test_where_the_only_judge_was_the_teacher_two_versions_are_not_compared() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.0, "champion": 1.3}},
        trained_on_judge={SQUEEZENET: ["model"]},
    )
    with pytest.raises(ConfigError, match="no perceptual network that taught neither"):
        decided(figures, challenger=2, champion=1)


def test_a_first_version_is_not_judged_by_its_teacher() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 3.0}},
        trained_on_judge={SQUEEZENET: ["model"]},
    )
    verdict = decided(figures, challenger=1, champion=None)
    assert verdict.promoted
    assert "nothing perceptual was measured by a network that did not teach it" in verdict.reason


@pytest.mark.parametrize(("jitter", "last"), [(0.02, 9), (0.03, 3)])
def test_each_refusal_asks_for_more_evidence_from_the_next_attempt(
    jitter: float, last: int
) -> None:
    """One-sided p-values of 0.000274 and 0.00171: less than 0.025 / (k · (k + 1)) up to `last`."""
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.25, "champion": 1.32}},
        jitter=jitter,
    )
    promoted = [
        verdict_of(figures, GateConfig(), challenger=2, champion=1, attempt=attempt)
        for attempt in range(1, 12)
    ]
    assert sum(each.promoted for each in promoted) == last
    assert "99.1667 % interval" in promoted[1].reason
    assert "at attempt 2)" in promoted[1].reason


def test_the_error_of_all_attempts_together_is_that_of_one_interval() -> None:
    errors = [1 - confidence_of(attempt) for attempt in range(1, 2000)]
    assert errors[0] == pytest.approx(0.025)
    assert sum(errors) == pytest.approx(0.05, rel=1e-3)
    assert sum(errors) < 0.05
    assert 1 - confidence_of(3, num_judges=4) == pytest.approx(0.05 / 12 / 4)


TRIALS = 2000


@pytest.mark.parametrize("num_photos", [6, 20])
def test_of_models_trained_again_and_again_without_a_gain_3_percent_are_ever_promoted(
    num_photos: int,
) -> None:
    """30 trainings against the same champion on the same photos, in each of 2,000 trials."""
    rng = np.random.default_rng(num_photos)
    promoted = np.zeros(TRIALS, bool)
    champion = rng.normal(0, 1, (TRIALS, num_photos))
    for attempt in range(1, 31):
        differences = rng.normal(0, 1, (TRIALS, num_photos)) - champion
        half = half_width(differences, confidence_of(attempt))
        promoted |= differences.mean(axis=1) + half < 0
    # The champion's luck on these photos is the same in all attempts, which makes them less.
    assert promoted.mean() <= 0.03


def equal_models(rng: np.random.Generator, num_photos: int, *, beyond_pixels: bool) -> Report:
    """Challenger and champion of the same quality on photos of 1 to 3 crops, by two judges."""
    methods, images = ("bicubic", "model", "champion"), []
    for photo in range(num_photos):
        own = {name: rng.normal(0, 1, 3) for name in methods}
        for crop in range(rng.integers(1, 4)):
            value = {name: own[name] + rng.normal(0, 0.5, 3) for name in methods}
            figures = {
                name: Figures.model_construct(
                    psnr=28 + 0.1 * each[0] + 8 * (name != "bicubic"),
                    ssim=0.8,
                    distances={
                        SQUEEZENET: 20 + each[1] + 5 * (name == "bicubic"),
                        VGG: 20 + (each[1] + each[2]) / 2 + 5 * (name == "bicubic"),
                    },
                    num_identical=0,
                )
                for name, each in value.items()
            }
            images.append(
                ImageFigures.model_construct(
                    source=str(photo), crop=crop, figures=figures, signs={"model": GOOD}
                )
            )
    beyond = list(methods[1:]) if beyond_pixels else []
    return pixels(bicubic=28.0, model=36.0, champion=36.0).model_copy(
        update={"images": images, "means": means(images), "beyond_pixels": beyond}
    )


@pytest.mark.parametrize("beyond_pixels", [False, True])
def test_the_newer_of_two_equal_models_is_promoted_in_at_most_3_percent(
    beyond_pixels: bool,
) -> None:
    """The whole decision, with photos of different numbers of crops. A comparison of means promotes
    every second one of them.
    """
    rng = np.random.default_rng(1)
    trials = [equal_models(rng, 6, beyond_pixels=beyond_pixels) for _ in range(100)]
    promoted = sum(decided(each, challenger=2, champion=1).promoted for each in trials)
    assert promoted <= 3


def test_a_gain_that_other_photos_may_undo_does_not_count() -> None:
    distances = {SQUEEZENET: {"bicubic": 2.7, "model": 1.29, "champion": 1.32}}
    psnr = {"bicubic": 28.0, "model": 29.4, "champion": 29.4}
    assert decided(gans(psnr, distances, jitter=0.01), challenger=2, champion=1).promoted
    verdict = decided(gans(psnr, distances, jitter=0.1), challenger=2, champion=1)
    assert not verdict.promoted
    assert (
        "1.2900 is not clearly lower than champion version 1's 1.3200 (difference over photos −0.0"
        in verdict.reason
    )


def test_five_photos_are_not_enough_evidence() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.0, "champion": 1.3}},
        num_photos=5,
    )
    verdict = decided(figures, challenger=2, champion=1)
    assert not verdict.promoted
    assert "it takes finite figures on 6 photos or more, and 5 were measured" in verdict.reason
    assert verdict.differences == {}


def test_a_single_photo_far_worse_than_bicubic_is_refused_and_named() -> None:
    found = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {SQUEEZENET: {"bicubic": 1.0, "model": 0.5, "champion": 1.3}},
    )
    images = [
        image.model_copy(
            update={
                "figures": {
                    **image.figures,
                    "model": Figures(psnr=29.4, ssim=0.8, distances={SQUEEZENET: 1.6}),
                }
            }
        )
        if image.source == "3.png"
        else image
        for image in found.images
    ]
    verdict = decided(found.model_copy(update={"images": images}), challenger=2, champion=1)
    assert verdict.reason == (
        "Version 2 is refused: squeezenet_distance is more than 1.5 times bicubic's on 1 of 6 "
        "photos, the worst 3.png with 1.6000 against 1.0000."
    )


@pytest.mark.parametrize(
    "gate",
    [
        GateConfig(max_psnr_loss_db=0.5),
        GateConfig(max_psnr_below_bicubic_db=0.5),
        GateConfig(max_distance_ratio=1.0),
    ],
)
def test_margins_are_those_that_travelled_with_the_challenger(gate: GateConfig) -> None:
    figures = gans(
        {"bicubic": 30.0, "model": 29.0, "champion": 30.0},
        {SQUEEZENET: {"bicubic": 0.9, "model": 1.0, "champion": 1.3}},
    )
    assert decided(figures, challenger=2, champion=1).promoted
    verdict = verdict_of(figures, gate, challenger=2, champion=1)
    assert not verdict.promoted
    (margin,) = gate.model_dump(exclude_defaults=True).values()
    assert f"{margin:g}" in verdict.rule


def test_with_evaluation_sets_the_rule_has_to_hold_on_each_and_the_sentence_names_them() -> None:
    held_out = pixels(bicubic=28.0, model=27.0, champion=28.5)
    good = pixels(bicubic=28.0, model=28.7, champion=28.5)
    bad = pixels(bicubic=26.0, model=26.1, champion=26.5)
    verdict = verdict_of(
        held_out, GateConfig(), challenger=2, champion=1, sets={"own": good, "set5": good}
    )
    assert verdict.promoted, "the held-out crops decide only where there is no set"
    assert "on own PSNR 28.700 dB is higher than bicubic's" in verdict.reason
    assert verdict.rule.startswith("on each of the evaluation sets own, set5: models trained on")
    assert verdict.on_sets["own"]["psnr"].mean == pytest.approx(0.2)
    assert verdict.differences["psnr"].mean == pytest.approx(-1.5)
    verdict = verdict_of(
        held_out, GateConfig(), challenger=2, champion=1, sets={"own": good, "set5": bad}
    )
    assert not verdict.promoted
    assert verdict.reason == (
        "Version 2 is refused: on set5 PSNR 26.100 dB is clearly lower than champion version 1's "
        "26.500 dB (difference over photos −0.400 dB, 95 % interval −0.400 to −0.400 dB)."
    )


def test_a_broken_output_on_a_held_out_crop_refuses_though_every_set_is_fine() -> None:
    good = pixels(bicubic=28.0, model=28.7, champion=28.5)
    broken = report({"bicubic": 28.0, "model": 28.7, "champion": 28.5}, artifacts=NOT_FINITE)
    verdict = verdict_of(broken, GateConfig(), challenger=2, champion=1, sets={"own": good})
    assert not verdict.promoted
    assert "NaN or infinite values" in verdict.reason
    on_set = verdict_of(good, GateConfig(), challenger=2, champion=1, sets={"own": broken})
    assert "on own NaN or infinite values" in on_set.reason


def test_perceptual_distance_is_asked_for_on_each_set() -> None:
    figures = {"bicubic": 28.0, "model": 27.5, "champion": 27.5}
    near = gans(figures, {SQUEEZENET: {"bicubic": 2.7, "model": 1.2, "champion": 1.3}})
    far = gans(figures, {SQUEEZENET: {"bicubic": 2.7, "model": 1.4, "champion": 1.3}})
    verdict = verdict_of(near, GateConfig(), challenger=2, champion=1, sets={"a": near, "b": far})
    assert not verdict.promoted
    assert "on b squeezenet_distance 1.4000 is clearly higher" in verdict.reason
