"""Judges and teachers from weights files, and generators that were trained elsewhere."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from benchmarks.quality import extras
from benchmarks.quality.extras import open_extras
from benchmarks.quality.judges import measure_contents, open_panel, open_weights, taught_by
from benchmarks.quality.training import Lab
from srgan.config import GeneratorConfig
from srgan.errors import ConfigError
from srgan.losses import content_loss, pixel_loss
from srgan.models.build import build_generator
from srgan.models.feature_scale import pair_of
from srgan.models.features import load_extractor
from srgan.models.interchange import dump_generator
from tests.support.perceptual_weights import drawn_weights


def generator_file(path: Path, *, scale: int = 4, seed: int = 0) -> Path:
    config = GeneratorConfig.model_validate(
        {"kind": "bicubic_resnet", "scale": scale, "num_blocks": 1, "num_channels": 4}
    )
    torch.manual_seed(seed)
    path.write_bytes(dump_generator(build_generator(config)))
    return path


def test_a_network_is_opened_from_the_file_that_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "squeezenet.safetensors"
    file.write_bytes(drawn_weights())
    weights = open_weights([f"squeezenet1_1={file}"])
    assert weights["squeezenet1_1"] == drawn_weights()
    assert "vgg19" not in weights
    assert (
        "vgg19 is left out: its weights come with --weights vgg19=FILE" in capsys.readouterr().out
    )


@pytest.mark.parametrize("given", ["squeezenet1_1", "squeezenet=file", "=file"])
def test_weights_that_name_no_network_or_no_file_are_refused(given: str) -> None:
    with pytest.raises(ConfigError, match=f"invalid --weights {given}: expected NETWORK=FILE"):
        open_weights([given])


def test_the_panel_has_every_judge_whose_weights_are_there() -> None:
    panel = open_panel({"squeezenet1_1": drawn_weights()})
    assert panel.names == ["squeezenet_distance", "niqe"]
    assert panel.only(["niqe"]).names == ["niqe"]
    assert panel.digest != open_panel({"squeezenet1_1": drawn_weights()}).only(["niqe"]).digest
    assert taught_by("squeezenet_distance", frozenset({"squeezenet1_1"}))
    assert not taught_by("niqe", frozenset({"squeezenet1_1"}))


def test_a_content_is_as_large_as_the_pixels_mse_on_the_photos_that_it_was_measured_on(
    lab: Lab,
) -> None:
    contents = measure_contents(lab.weights, lab.watched)
    assert list(contents) == ["fire9"]
    extractor = load_extractor(lab.weights["squeezenet1_1"], "squeezenet1_1", ["fire9"])
    loss = content_loss(contents["fire9"], extractor)
    pairs = [pair_of(each.hr.rgb) for each in lab.watched]
    of_features = sum(float(loss(pair[1:], pair[:1])) for pair in pairs)
    of_pixels = sum(float(pixel_loss("mse", pair[1:], pair[:1])) for pair in pairs)
    assert of_features == pytest.approx(of_pixels, rel=0.02)


def test_generator_files_become_rows_and_carry_their_teachers(tmp_path: Path) -> None:
    file = generator_file(tmp_path / "x4.safetensors")
    other = generator_file(tmp_path / "other.safetensors", seed=1)
    found, start = open_extras(
        [f"plain={file}", f"shipped:sharp={file}"], other, ["shipped:sharp=efficientnet_lite1"]
    )
    rows = {each.title: each.teachers for each in found}
    assert rows["plain"] == set()
    assert rows["shipped:sharp"] == {"efficientnet_lite1"}
    assert start is not None
    assert (start.title, start.data) == ("start", other.read_bytes())


def test_a_file_that_is_the_start_has_one_row_with_both_titles(tmp_path: Path) -> None:
    file = generator_file(tmp_path / "x4.safetensors")
    other = generator_file(tmp_path / "other.safetensors", seed=1)
    extras = [f"shipped={file}", f"sharp={other}"]
    found, start = open_extras(extras, file, ["shipped=squeezenet1_1", "sharp=vgg19"])
    assert start is not None
    assert (start.title, start.teachers) == ("start, shipped", {"squeezenet1_1"})
    assert {"shipped", "sharp"} & {each.title for each in found} == {"sharp"}


def test_real_esrgan_is_left_out_with_a_line_if_its_package_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", missing)
    assert open_extras([], None, []) == ([], None)
    assert "Real-ESRGAN x4plus is left out" in capsys.readouterr().out


def test_wrong_rows_are_refused_with_their_names(tmp_path: Path) -> None:
    double = generator_file(tmp_path / "x2.safetensors", scale=2)
    with pytest.raises(ConfigError, match=r"x2.safetensors \(small\) upscales ×2, expected ×4"):
        open_extras([f"small={double}"], None, [])
    with pytest.raises(ConfigError, match="cannot read nowhere"):
        open_extras(["plain=nowhere"], None, [])
    with pytest.raises(ConfigError, match="invalid --extra nowhere: expected TITLE=FILE"):
        open_extras(["nowhere"], None, [])
    with pytest.raises(ConfigError, match="invalid --taught other=vgg19: expected TITLE=NETWORK"):
        open_extras([f"small={double}"], None, ["other=vgg19"])
