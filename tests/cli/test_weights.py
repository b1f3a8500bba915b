"""`srgan import-weights`, as a shell meets it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from srgan.cli.photos import upscale
from srgan.cli.weights import import_weights
from srgan.config import GeneratorConfig
from srgan.images.files import read_photo
from srgan.inference.engine import Engine
from srgan.models.interchange import dump_generator, load_generator
from srgan.services.mlflow_models import Registry
from srgan.settings import Settings
from tests.support.commands import srgan
from tests.support.ncnn_files import written
from tests.support.networks import MSRRESNET, random_generator
from tests.support.photos import image

GENERATOR = random_generator(MSRRESNET)


def test_weights_of_others_are_imported_and_upscale(photos: Path, tmp_path: Path) -> None:
    weights = tmp_path / "theirs.pth"
    torch.save({"params": GENERATOR.state_dict()}, weights)
    done = srgan("import-weights", str(weights))
    assert done.returncode == 0, done.stderr
    ours = tmp_path / "theirs.safetensors"
    assert done.stdout.startswith(f"msrresnet ×2, 1 blocks of 4 channels, 1,259 parameters\n{ours}")
    assert load_generator(ours.read_bytes()).config == GENERATOR.config
    expected = Engine(GENERATOR, tile=64).upscale(image(0))
    for file in (weights, ours):
        target = tmp_path / f"{file.suffix[1:]}.png"
        upscale(photos / "one.png", target, model=str(file), precision="fp32")
        np.testing.assert_array_equal(read_photo(target).pixels, expected)
    done = srgan("import-weights", str(weights))
    assert done.returncode == 2
    assert "exists; choose another one with --to" in done.stderr


def test_a_pair_of_ncnn_is_imported_by_either_file(photos: Path, tmp_path: Path) -> None:
    small = random_generator(GeneratorConfig(kind="srvgg", scale=2, num_blocks=1, num_channels=4))
    files = written(small, half=False)
    (tmp_path / "net.param").write_text(files.param)
    (tmp_path / "net.bin").write_bytes(files.weights)
    import_weights(tmp_path / "net.param")
    assert (tmp_path / "net.safetensors").read_bytes() == dump_generator(small)
    upscale(photos / "one.png", tmp_path / "large.png", model=str(tmp_path / "net.bin"), context=9)
    expected = Engine(small, precision="auto").upscale(image(0))
    np.testing.assert_array_equal(read_photo(tmp_path / "large.png").pixels, expected)


@pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")
def test_imported_weights_become_a_version_that_upscales_and_no_file(
    photos: Path,
    tmp_path: Path,
    mlflow_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = tmp_path / "theirs.pth"
    torch.save({"params": GENERATOR.state_dict()}, weights)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_settings.require("mlflow_tracking_uri"))
    for _ in range(2):  # the second time it is already there
        done = srgan("import-weights", str(weights), "--register", "theirs-x2")
        assert done.returncode == 0, done.stderr
        # MLflow's client may print the page of the run before it.
        assert done.stdout.splitlines()[-1].startswith("models:/theirs-x2/1, import-")
    assert not (tmp_path / "theirs.safetensors").exists()
    registry = Registry(mlflow_settings)
    tags = registry.record(registry.resolve("models:/theirs-x2/1")).tags
    assert tags["source_file"] == "theirs.pth"
    assert tags["source_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert tags["source_format"] == "MSRResNet of BasicSR, torch.save"
    target = tmp_path / "large.png"
    upscale(photos / "one.png", target, model="models:/theirs-x2/1", precision="fp32")
    expected = Engine(GENERATOR, tile=64).upscale(image(0))
    np.testing.assert_array_equal(read_photo(target).pixels, expected)
