"""`srgan evaluate`: figures of folders, and distances of perceptual networks."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer import Exit

from srgan.cli.photos import evaluate
from srgan.errors import CheckpointError, ConfigError, StorageError
from srgan.measure.perceptual import PerceptualDistance
from tests.support.commands import srgan
from tests.support.perceptual_weights import drawn_weights
from tests.support.photos import image


def test_an_evaluation_of_fewer_images_than_originals_is_an_error(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(photos, tmp_path / "results")
    (photos / "three.png").symlink_to("/not/there.png")
    with pytest.raises(Exit) as stopped:
        evaluate(photos, tmp_path / "results", as_json=True)
    said = capsys.readouterr()
    assert stopped.value.exit_code == 1
    assert list(json.loads(said.out)["failed"]) == [str(photos / "three.png")]
    assert f"{photos / 'three.png'}: unreadable: a link to /not/there.png" in said.err


def test_a_perceptual_network_in_a_file_adds_its_distance(photos: Path, tmp_path: Path) -> None:
    weights = tmp_path / "squeezenet.safetensors"
    weights.write_bytes(drawn_weights())
    upscaled = tmp_path / "blurred"
    upscaled.mkdir()
    for path in photos.iterdir():
        Image.fromarray(image(7)).save(upscaled / path.name)
    options = ("evaluate", "--hr", str(photos), "--sr", str(upscaled))
    done = srgan(*options, "--distance", f"squeezenet1_1={weights}", "--json")
    digest = hashlib.sha256(drawn_weights()).hexdigest()
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"squeezenet_distance: weights with SHA-256 {digest}\n"
    figures = json.loads(done.stdout)
    assert list(figures["mean"]) == ["psnr", "ssim", "squeezenet_distance"]
    judge = PerceptualDistance("squeezenet1_1", drawn_weights())
    assert figures["images"]["one"]["squeezenet_distance"] == pytest.approx(
        judge(image(0), image(7), border=4), rel=1e-4
    )


def test_photos_too_large_for_a_distance_are_named_and_have_the_other_figures(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(PerceptualDistance, "max_pixels", 100)
    weights = tmp_path / "squeezenet.safetensors"
    weights.write_bytes(drawn_weights())
    with pytest.raises(Exit) as stopped:
        evaluate(photos, photos, distance=[f"squeezenet1_1={weights}"])
    said = capsys.readouterr()
    assert stopped.value.exit_code == 1
    assert said.out.splitlines()[-1].startswith("mean")
    assert "one: " in said.err
    assert "are too many for squeezenet_distance: at most 100" in said.err
    assert said.err.splitlines()[-1].endswith("pairs lack a distance")


@pytest.mark.parametrize(
    "given",
    [["alexnet=FILE"], ["alexnet"], ["vgg19="], ["squeezenet1_1=FILE", "squeezenet1_1=FILE"]],
)
def test_a_distance_that_is_none_says_what_there_is(photos: Path, given: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"NETWORK=FILE or niqe, .* squeezenet1_1, vgg19"):
        evaluate(photos, photos, distance=given)


def test_a_distance_without_services_says_how_to_get_them_or_do_without(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(photos / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(photos / "none"))
    with pytest.raises(
        StorageError, match=r"no credentials\. Start .*`srgan stack up`.* vgg19=FILE$"
    ):
        evaluate(photos, photos, distance=["vgg19"])


def test_a_weights_file_of_a_distance_is_named_where_it_is_none(
    photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="cannot read missing: No such file"):
        evaluate(photos, photos, distance=["vgg19=missing"])
    (tmp_path / "other").write_bytes(drawn_weights())
    with pytest.raises(CheckpointError, match=r"other: these are .*vgg19 weights"):
        evaluate(photos, photos, distance=[f"vgg19={tmp_path / 'other'}"])
    altered = tmp_path / "squeezenet1_1-b8a52dc0.pth"
    altered.write_bytes(drawn_weights())
    with pytest.raises(CheckpointError, match="SHA-256 that begins with b8a52dc0"):
        evaluate(photos, photos, distance=[f"squeezenet1_1={altered}"])
