"""Results of `srgan upscale`: where they lie, their size, format and pixels."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer import Exit

from srgan.cli.photos import upscale
from srgan.errors import ConfigError
from srgan.images import Photo, decode
from srgan.images.files import read_photo, write_photo
from srgan.inference.engine import Engine
from srgan.inference.ensemble import SelfEnsemble
from srgan.models.interpolation import Bicubic
from srgan.resize.arrays import resample
from tests.support.commands import srgan
from tests.support.networks import MSRRESNET, random_generator
from tests.support.photos import image

GENERATOR = random_generator(MSRRESNET)


def test_results_that_exist_are_kept_refused_or_written_over(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    upscale(photos, out, model="nearest", scale=2)
    (out / "two.bmp").unlink()
    kept = (out / "one.png").stat()
    capsys.readouterr()
    upscale(photos, out, model="nearest", scale=2)  # as after an interrupted run
    said = capsys.readouterr()
    assert said.out.split() == [str(out / "one.png"), str(out / "two.bmp")]
    assert said.err == "1 of 2 results were made earlier and are kept\n"
    assert (out / "one.png").stat().st_ino == kept.st_ino
    upscale(photos, out, model="nearest", scale=2, plan=True)
    assert "0 images to upscale" in (text := capsys.readouterr().out)
    assert "2 done by earlier runs, 0 refused" in text
    for other in ({"model": "bicubic"}, {"model": "nearest", "existing": "fail"}):
        with pytest.raises(Exit):
            upscale(photos, out, scale=2, **other)  # type: ignore[arg-type]  # strings
        assert capsys.readouterr().err.count("occupied: ") == 2
    upscale(photos, out, model="bicubic", scale=2, existing="overwrite")
    expected = Engine(Bicubic(2)).upscale(image(0))
    np.testing.assert_array_equal(read_photo(out / "one.png").pixels, expected)
    assert sorted(path.name for path in out.iterdir()) == ["one.png", "two.bmp"]


@pytest.mark.parametrize("model", ["bicubic", "nearest", "bilinear"])
def test_interpolation_has_scale_4_unless_told(model: str, photos: Path, tmp_path: Path) -> None:
    upscale(photos / "one.png", tmp_path / "large.png", model=model)
    upscale(photos / "one.png", tmp_path / "larger.png", model=model, scale=5)
    assert read_photo(tmp_path / "large.png").pixels.shape == (160, 192, 3)
    assert read_photo(tmp_path / "larger.png").pixels.shape == (200, 240, 3)


def test_another_scale_or_size_is_resampled_from_the_models_result(
    photos: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "theirs.pth"
    torch.save(GENERATOR.state_dict(), weights)
    options = {"model": str(weights), "precision": "fp32"}
    result = Engine(GENERATOR, tile=64).upscale(image(0))
    for name, wanted, height, width in (
        ("a", {"scale": 1.5}, 60, 72), ("b", {"size": "60x"}, 50, 60), ("c", {"scale": 3}, 120, 144)
    ):  # fmt: skip
        target = tmp_path / f"{name}.png"
        upscale(photos / "one.png", target, **options, **wanted)
        np.testing.assert_array_equal(read_photo(target).pixels, resample(result, height, width))
    with pytest.raises(ConfigError, match="scale 5: a model of scale 2 is used from 1 to 4"):
        upscale(photos, tmp_path / "large", **options, scale=5)


@pytest.mark.parametrize(("scale", "height"), [(2.5, 100), (1, 40), (16, 640)])
def test_interpolation_has_any_scale(
    photos: Path, tmp_path: Path, scale: float, height: int
) -> None:
    upscale(photos / "one.png", tmp_path / "a.png", model="bicubic", scale=scale)
    assert read_photo(tmp_path / "a.png").pixels.shape[0] == height
    with pytest.raises(ConfigError, match="scale 17: bicubic takes 1 to 16"):
        upscale(photos, tmp_path / "large", model="bicubic", scale=17)


def test_results_have_the_format_of_their_photo_or_the_chosen_one(
    photos: Path, tmp_path: Path
) -> None:
    Image.fromarray(image(3)).save(photos / "three.jpg")
    (photos / "deep").mkdir()
    Image.fromarray(image(3)).save(photos / "deep" / "four.webp")
    for format, names in (
        ("same", ["deep/four.webp", "one.png", "three.jpg", "two.bmp"]),
        ("jpeg", ["deep/four.jpg", "one.jpg", "three.jpg", "two.jpg"]),
    ):
        done = srgan(
            "upscale", str(photos), str(tmp_path / format), "--model", "nearest",
            "--format", format, "--quality", "80", "--subsampling", "4:2:0",
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split() == [str(tmp_path / format / name) for name in names]


def test_a_result_too_large_for_its_format_is_refused_or_rerouted(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros((1, 5000, 3), np.uint8)).save(photos / "wide.webp")
    with pytest.raises(Exit):
        upscale(photos / "wide.webp", tmp_path / "out", model="nearest")
    assert "too_large: 20000×4 pixels; webp allows 16383" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    upscale(photos / "wide.webp", tmp_path / "out", model="nearest", oversize="png")
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'wide.webp.png'}\n"
    assert read_photo(tmp_path / "out" / "wide.webp.png").pixels.shape == (4, 20_000, 3)


def test_the_content_of_a_photo_decides_its_format_and_not_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for kind in ("png", "webp"):
        Image.fromarray(image(1)).save(tmp_path / "in" / f"{kind}.jpg", kind, lossless=True)
    upscale(tmp_path / "in", tmp_path / "out", model="nearest", scale=2)
    for kind in ("png", "webp"):
        made = decode((tmp_path / "out" / f"{kind}.jpg").read_bytes(), max_pixels=10**6)
        assert made.format == kind
        np.testing.assert_array_equal(made.pixels[::2, ::2], image(1))
    upscale(tmp_path / "in" / "png.jpg", tmp_path / "named.jpg", model="nearest", scale=2)
    assert (tmp_path / "named.jpg").read_bytes().startswith(b"\xff\xd8"), "named, so meant"


def test_a_line_says_what_a_result_lost_and_a_cut_jpeg_can_be_salvaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(image(1)).save(tmp_path / "whole.jpg", comment=b"hello")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((tmp_path / "whole.jpg").read_bytes()[:-2])
    with pytest.raises(Exit):
        upscale(cut, tmp_path / "out", model="nearest")
    assert "truncated" in capsys.readouterr().err
    upscale(cut, tmp_path / "out", model="nearest", format="webp", salvage=True)
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'out' / 'cut.webp'}\n"
    assert said.err == f"{cut}: lost: end of the file, comments\n"


def test_results_made_without_salvage_are_kept_with_it_and_the_other_way_round(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(image(3)).save(photos / "cut.jpg")
    (photos / "cut.jpg").write_bytes((photos / "cut.jpg").read_bytes()[:-2])
    with pytest.raises(Exit):
        upscale(photos, tmp_path / "out", model="nearest")
    for salvage, num_kept in ((True, 2), (False, 3)):
        capsys.readouterr()
        upscale(photos, tmp_path / "out", model="nearest", salvage=salvage, as_json=True)
        counts = json.loads(capsys.readouterr().out)
        assert (counts["num_done"], counts["num_kept"]) == (3, num_kept)


def test_a_gif_becomes_a_png_beside_it_and_a_second_run_keeps_that(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(image(1)).save(photos / "still.gif")
    for _ in range(2):
        upscale(photos / "still.gif", tmp_path / "out", model="nearest")
        assert capsys.readouterr().out.split()[0] == str(tmp_path / "out" / "still.gif.png")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["still.gif.png"]


def test_16_bits_and_pages_come_out_as_they_went_in(photos: Path, tmp_path: Path) -> None:
    deep = Photo(image(1).astype(np.uint16) * 256 + 7)
    photo = replace(deep, format="tiff", pages=(Photo(image(2)),))
    write_photo(photos / "two-pages.tif", photo)
    upscale(photos / "two-pages.tif", tmp_path, model="nearest", scale=2)
    copy = decode((tmp_path / "two-pages.tif").read_bytes(), max_pixels=10**6)
    np.testing.assert_array_equal(copy.pixels[::2, ::2], deep.pixels, strict=True)
    np.testing.assert_array_equal(copy.pages[0].pixels[::2, ::2], image(2), strict=True)


def test_photos_are_never_overwritten(photos: Path) -> None:
    with pytest.raises(ConfigError, match=r"would overwrite .*one\.png"):
        upscale(photos / "one.png", photos, model="bicubic")
    with pytest.raises(ConfigError, match="lies inside it, so results would become sources"):
        upscale(photos, photos, model="bicubic")


def test_the_self_ensemble_of_a_model_is_another_result_than_its_own(
    photos: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "theirs.pth"
    torch.save(GENERATOR.state_dict(), weights)
    target = tmp_path / "ensemble.png"
    upscale(photos / "one.png", target, model=str(weights), precision="fp32", self_ensemble=True)
    expected = Engine(SelfEnsemble(GENERATOR), tile=64).upscale(image(0))
    np.testing.assert_array_equal(read_photo(target).pixels, expected)
    assert not np.array_equal(expected, Engine(GENERATOR, tile=64).upscale(image(0)))
