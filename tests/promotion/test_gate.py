"""The rules of the gate and the sentences of its verdicts."""

import math

import pytest

from srgan.config import GateConfig
from srgan.measure.evaluation import Figures, means
from srgan.measure.guards import NOT_FINITE
from srgan.promotion.gate import verdict_of
from tests.support.reports import GOOD, decided, gans, pixels, report

SQUEEZENET = "squeezenet_distance"


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
        "Version 1 is refused: NaN or infinite values on 16 of 16 crops, such as 0.png."
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
        "Version 2 is refused: squeezenet_distance is more than 1.5 times bicubic's on 1 of 8 "
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
