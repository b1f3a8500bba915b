"""The rule of promotion, and its sentences."""

import pytest

from srgan.evaluate.gate import judge


def figures(**psnr: float) -> dict[str, dict[str, float]]:
    return {name: {"psnr": value, "ssim": 0.8} for name, value in psnr.items()}


def test_a_model_that_beats_bicubic_becomes_the_first_champion() -> None:
    verdict = judge(figures(bicubic=28.0, model=28.5), challenger=1, champion=None)
    assert verdict.promoted
    assert verdict.reason == (
        "Version 1 becomes the first champion: 28.500 dB PSNR is better than bicubic's 28.000 dB."
    )


@pytest.mark.parametrize("psnr", [27.9, 28.0])
def test_a_model_that_does_not_beat_bicubic_is_refused(psnr: float) -> None:
    verdict = judge(figures(bicubic=28.0, model=psnr), challenger=1, champion=None)
    assert not verdict.promoted
    assert verdict.reason == (
        f"Version 1 is refused: {psnr:.3f} dB PSNR is not better than bicubic's 28.000 dB."
    )


def test_a_model_worse_than_the_champion_is_refused_with_both_figures() -> None:
    verdict = judge(figures(bicubic=28.0, model=28.5, champion=28.6), challenger=2, champion=1)
    assert not verdict.promoted
    assert "28.500 dB" in verdict.reason
    assert "worse than the 28.600 dB of champion version 1" in verdict.reason


@pytest.mark.parametrize("psnr", [28.6, 28.7])
def test_a_model_as_good_as_the_champion_replaces_it(psnr: float) -> None:
    verdict = judge(figures(bicubic=28.0, model=psnr, champion=28.6), challenger=2, champion=1)
    assert verdict.promoted
    assert verdict.reason.startswith("Version 2 replaces champion version 1")


def test_figures_that_look_equal_are_equal() -> None:
    verdict = judge(
        figures(bicubic=28.0, model=28.60001, champion=28.60004), challenger=2, champion=1
    )
    assert verdict.promoted


def test_a_model_that_gives_no_number_is_refused() -> None:
    verdict = judge(figures(bicubic=28.0, model=float("nan")), challenger=1, champion=None)
    assert not verdict.promoted
    assert "not a number" in verdict.reason
