"""The command on the page: with every variable that was given, it writes the same page again."""

import shlex
from pathlib import Path

from benchmarks.quality.__main__ import _command, _parse

MAKEFILE = Path(__file__).parents[3] / "Makefile"
GIVEN = [
    *("--train", "/data/photos", "--eval", "/data/sets", "--weights", "vgg19=/data/vgg19.pth"),
    *("--minutes", "5", "--seeds", "2", "--held-out", "30", "--start", "/data/x4.safetensors"),
    *("--only", "srgan", "alone", "--extra", "mine=/data/mine.safetensors"),
    *("--extra", "shipped=srgan/models/shipped/x4.safetensors"),
    *("--taught", "shipped:sharp=efficientnet_lite0", "--taught", "mine=vgg19"),
    *("--planes", "niqe", "--out", ".srgan/gans", "--page", "docs/benchmarks/gans.md"),
    *("--opening", "/data/gans.md", "--strips", "/data/sets/Set5/HR", "--threads", "1"),
]


def test_every_variable_that_was_given_is_printed_without_folders() -> None:
    command = _command(_parse(GIVEN))
    assert shlex.split(command) == [
        *("make", "bench-quality", "TRAIN=photos", "EVAL=sets", "WEIGHTS=vgg19=vgg19.pth"),
        *("MINUTES=5", "SEEDS=2", "HELD_OUT=30", "START=x4.safetensors", "ONLY=srgan alone"),
        *("EXTRA=mine=mine.safetensors", "TAUGHT=mine=vgg19", "PLANES=niqe", "OUT=.srgan/gans"),
        *("PAGE=docs/benchmarks/gans.md", "OPENING=gans.md", "STRIPS=HR", "THREADS=1"),
    ]


def test_what_was_not_given_is_not_printed_but_the_seeds_and_photos_that_count() -> None:
    command = _command(_parse(["--train", "/data/photos", "--eval", "/data/sets"]))
    assert command == "make bench-quality TRAIN=photos EVAL=sets SEEDS=3 HELD_OUT=30"


def test_make_hands_on_every_variable_that_is_printed() -> None:
    recipe = MAKEFILE.read_text().partition("\nbench-quality:")[2].partition("\n\n")[0]
    for part in shlex.split(_command(_parse(GIVEN)))[2:]:
        name = part.partition("=")[0]
        assert f"$({name})" in recipe, name
