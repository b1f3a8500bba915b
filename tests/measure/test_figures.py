"""Figures of quality in words and tables."""

import pytest

from srgan.measure.bootstrap import Interval
from srgan.measure.figures import (
    OPINION,
    Table,
    differences_table,
    figure_head,
    figure_text,
    in_order,
    interval_text,
    means_table,
)

INTERVAL = Interval(mean=-0.25, low=-0.5, high=0.125)


@pytest.mark.parametrize(
    ("figure", "value", "text"),
    [
        ("psnr", 28.4314, "28.431 dB"),
        ("ssim", 0.81123, "0.8112"),
        ("squeezenet_distance", 1.3, "1.3000"),
        (OPINION, 4.125, "4.12"),
        ("psnr", float("inf"), "inf dB"),
        ("ssim", None, "–"),
    ],
)
def test_a_figure_has_its_digits_and_its_unit(figure: str, value: float | None, text: str) -> None:
    assert figure_text(figure, value) == text


def test_a_difference_has_a_sign_and_an_interval_its_unit_once() -> None:
    assert figure_text("psnr", -0.25, signed=True) == "−0.250 dB"
    assert figure_text("ssim", 0.01, signed=True) == "+0.0100"
    assert interval_text("psnr", INTERVAL) == "−0.500 to +0.125 dB"
    assert interval_text("vgg19_distance", INTERVAL) == "−0.5000 to +0.1250"
    assert interval_text("psnr", None) == "–"


def test_an_arrow_marks_the_figures_of_which_less_is_better() -> None:
    heads = [figure_head(each) for each in ("psnr", "vgg19_distance", "squeezenet_distance")]
    assert heads == [
        "PSNR",
        "VGG19 distance\N{NO-BREAK SPACE}↓",
        "SqueezeNet distance\N{NO-BREAK SPACE}↓",
    ]


def test_figures_come_in_the_order_of_the_literature() -> None:
    assert in_order(["vgg19_distance", "ssim", "psnr"]) == ["psnr", "ssim", "vgg19_distance"]


def test_a_contestant_without_a_figure_has_a_dash() -> None:
    metrics = {"model": {"psnr": 30.0, "ssim": 0.9}, "bicubic": {"psnr": 28.0}}
    assert means_table(metrics).rows == (
        ("Bicubic", "28.000 dB", "–"),
        ("SRGAN", "30.000 dB", "0.9000"),
    )


def test_differences_name_their_evaluation_set() -> None:
    table = differences_table("Minus bicubic", {"": {"ssim": INTERVAL}, "set5": {"psnr": INTERVAL}})
    assert table.rows == (
        ("SSIM", "−0.2500", "−0.5000 to +0.1250"),
        ("set5: PSNR", "−0.250 dB", "−0.500 to +0.125 dB"),
    )


def test_markdown_has_its_numbers_to_the_right() -> None:
    assert (
        Table(("", "mean"), (("PSNR", "30"),)).markdown()
        == "|  | mean |\n|---|---:|\n| PSNR | 30 |"
    )
    assert Table(("", "mean"), ()).markdown() == ""
