"""Figures of quality in words and tables."""

import pytest

from srgan.config.networks import JUDGES, deciding_judges
from srgan.measure.figures import (
    OPINION,
    Table,
    better,
    differences_table,
    figure_head,
    figure_name,
    figure_text,
    in_order,
    interval_text,
    means_table,
    trained_on_judge_note,
)
from srgan.measure.intervals import Interval

INTERVAL = Interval(mean=-0.25, low=-0.5, high=0.125)


@pytest.mark.parametrize(
    ("figure", "value", "text"),
    [
        ("psnr", 28.4314, "28.431 dB"),
        ("ssim", 0.81123, "0.8112"),
        ("squeezenet_distance", 1.3, "1.3000"),
        ("niqe", 5.5137, "5.51"),
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


def test_an_arrow_marks_figures_where_lower_is_better() -> None:
    heads = [figure_head(each) for each in ("psnr", "vgg19_distance", "squeezenet_distance")]
    assert heads == [
        "PSNR",
        "VGG19 distance\N{NO-BREAK SPACE}↓",
        "SqueezeNet distance\N{NO-BREAK SPACE}↓",
    ]


def test_every_judge_has_a_name_for_people_and_is_better_when_lower() -> None:
    assert {name: figure_name(name) for name in JUDGES} == {
        "efficientnet_lite0_distance": "EfficientNet-Lite0 distance",
        "efficientnet_lite1_distance": "EfficientNet-Lite1 distance",
        "squeezenet_distance": "SqueezeNet distance",
        "vgg19_distance": "VGG19 distance",
        "vgg16_st_distance": "VGG16-ST distance",
        "alexnet_st_distance": "AlexNet-ST distance",
        "stlpips_vgg": "ST-LPIPS VGG",
        "stlpips_alex": "ST-LPIPS AlexNet",
        "niqe": "NIQE",
    }
    assert all(better(name, -1.0) for name in JUDGES)


def test_niqe_decides_only_beside_a_judge_that_looks_at_the_original() -> None:
    distance = "efficientnet_lite1_distance"
    assert deciding_judges(["niqe"]) == []
    assert deciding_judges(["psnr", distance, "niqe", "stlpips_alex"]) == [distance, "niqe"]
    assert deciding_judges(["stlpips_alex", "niqe"]) == [], "it ranks nearest above bicubic"


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


def test_markdown_aligns_numbers_to_the_right() -> None:
    assert (
        Table(("", "mean"), (("PSNR", "30"),)).markdown()
        == "|  | mean |\n|---|---:|\n| PSNR | 30 |"
    )
    assert Table(("", "mean"), ()).markdown() == ""


def test_a_table_names_the_methods_in_their_order() -> None:
    table = means_table(
        {"model": {"psnr": 29.5, "ssim": 0.81}, "bicubic": {"psnr": 28.25, "ssim": 0.8}}
    )
    assert table.markdown().splitlines()[2:] == [
        "| Bicubic | 28.250 dB | 0.8000 |",
        "| SRGAN | 29.500 dB | 0.8100 |",
    ]


def test_a_table_marks_a_distance_by_the_judge_that_taught_the_contestant() -> None:
    figures = {"psnr": 28.25, "ssim": 0.8}
    table = means_table(
        {
            "bicubic": {**figures, "squeezenet_distance": 2.5},
            "model": {**figures, "squeezenet_distance": 1.25},
            "champion": figures,
        },
        {"squeezenet_distance": ["model"]},
    )
    assert table.markdown().splitlines() == [
        "|  | PSNR (Y) | SSIM (Y) | SqueezeNet distance\N{NO-BREAK SPACE}↓ |",
        "|---|---:|---:|---:|",
        "| Bicubic | 28.250 dB | 0.8000 | 2.5000 |",
        "| SRGAN | 28.250 dB | 0.8000 | 1.2500 (trained on the judge) |",
        "| Champion | 28.250 dB | 0.8000 | – |",
    ]


def test_a_caption_says_who_was_trained_on_the_judge() -> None:
    assert trained_on_judge_note({}) == ""
    assert trained_on_judge_note({"squeezenet_distance": ["model", "champion"]}) == (
        "squeezenet_distance: SRGAN, Champion trained on the judge"
    )
