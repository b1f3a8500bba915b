"""`srgan blend`, as a shell meets it."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srgan.config import GeneratorConfig
from srgan.models.interchange import dump_generator, load_generator
from srgan.resize.arrays import imresize
from tests.support.commands import srgan
from tests.support.networks import random_generator
from tests.support.perceptual_weights import drawn_weights

CONFIG = GeneratorConfig(kind="bicubic_resnet", scale=2, num_blocks=1, num_channels=4)


@pytest.fixture
def ends(tmp_path: Path) -> tuple[str, str]:
    files = tmp_path / "start.safetensors", tmp_path / "gan.safetensors"
    for seed, file in enumerate(files):
        file.write_bytes(dump_generator(random_generator(CONFIG, seed)))
    return str(files[0]), str(files[1])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(2):
        rough = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(imresize(rough, scale=4)).save(folder / f"{seed}.png")
    return folder


def test_a_blend_is_a_file_of_weights_that_says_what_it_was_made_of(
    ends: tuple[str, str], tmp_path: Path
) -> None:
    to = tmp_path / "between.safetensors"
    done = srgan("blend", *ends, "--alpha", "0.25", "--to", str(to))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{to}, SHA-256 ")
    made = load_generator(to.read_bytes())
    assert str(made.blend) == "0.75 · start.safetensors + 0.25 · gan.safetensors"
    assert made.config == CONFIG
    done = srgan("blend", *ends, "--alpha", "0.25", "--to", str(to))
    assert (done.returncode, "exists; choose another one with --to" in done.stderr) == (2, True)


def test_the_curve_runs_from_one_end_to_the_other_and_is_drawn_for_each_distance(
    ends: tuple[str, str], photos: Path, tmp_path: Path
) -> None:
    weights, drawing = tmp_path / "squeeze.safetensors", tmp_path / "curve.svg"
    weights.write_bytes(drawn_weights())
    judge = ("--distance", f"squeezenet1_1={weights}")
    done = srgan("blend", *ends, "--photos", str(photos), *judge, "--curve", str(drawing), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["num_photos"] == 2
    assert set(found["bicubic"]) == {"psnr", "ssim", "squeezenet_distance"}
    assert [each["alpha"] for each in found["blends"]] == [tenths / 10 for tenths in range(11)]
    words = [
        text.text for text in ElementTree.parse(drawing).iter() if "name" in text.attrib.values()
    ]
    assert {"0.5", "1"} <= set(words) <= {f"{tenths / 10:g}" for tenths in range(11)}


def test_chosen_blends_are_tabulated_and_the_ends_have_the_figures_of_the_two_files(
    ends: tuple[str, str], photos: Path, tmp_path: Path
) -> None:
    chosen = ("--alpha", "0", "--alpha", "0.5", "--alpha", "1")
    done = srgan("blend", *ends, "--photos", str(photos), *chosen)
    assert (done.returncode, done.stderr) == (0, "")
    assert "alpha 0: start.safetensors, 1: gan.safetensors; mean of 2 photos" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if " dB " in line]
    assert [row[0] for row in rows] == ["bicubic", "0", "0.5", "1"]
    small = tmp_path / "small"
    assert srgan("degrade", str(photos), str(small), "--scale", "2").returncode == 0
    for row, model in ((rows[1], ends[0]), (rows[3], ends[1])):
        large = tmp_path / Path(model).stem
        options = ("--model", model, "--precision", "fp32")
        assert srgan("upscale", str(small), str(large), *options).returncode == 0
        again = srgan("evaluate", "--hr", str(photos), "--sr", str(large), "--scale", "2", "--json")
        mean = json.loads(again.stdout)["mean"]
        assert row[1:] == [f"{mean['psnr']:.3f}", "dB", f"{mean['ssim']:.4f}"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "add --to FILE to write a blend, or --photos FOLDER"),
        (("--to", "b.safetensors"), "--to writes one blend: give one --alpha, not 0"),
        (("--alpha", "0.5", "--to", "b.pth"), "b.pth must end in .safetensors"),
        (("--alpha", "0.5", "--to", "b.safetensors", "--curve", "c.svg"), "add --photos FOLDER"),
        (("--photos", ".", "--curve", "c.svg"), "add --distance NETWORK"),
        (("--photos", ".", "--lpips", "--curve", "c.png"), "c.png must end in .svg"),
        (("--alpha", "1.5", "--to", "b.safetensors"), "less than or equal to 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_read(
    options: tuple[str, ...], message: str
) -> None:
    done = srgan("blend", "a.pth", "b.pth", *options)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


def test_a_photo_that_cannot_be_measured_is_named(ends: tuple[str, str], photos: Path) -> None:
    Image.new("RGB", (40, 20)).save(photos / "thin.png")
    done = srgan("blend", *ends, "--photos", str(photos), "--alpha", "0.5")
    assert done.returncode == 1
    assert f"{photos / 'thin.png'} has 40×20 pixels; at scale 2 both sides need" in done.stderr
    (photos / "thin.png").write_bytes(b"text")
    done = srgan("blend", *ends, "--photos", str(photos), "--alpha", "0.5")
    assert (done.returncode, str(photos / "thin.png") in done.stderr) == (1, True)
