"""`srgan export`, as a shell meets it."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from srgan.cli.weights import export
from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, ConfigError
from srgan.models.interchange import dump_generator
from tests.support.commands import srgan
from tests.support.networks import random_generator

GENERATOR = random_generator(
    GeneratorConfig(kind="msrresnet", scale=2, num_blocks=1, num_channels=4)
)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A weights file as BasicSR writes it."""
    path = tmp_path / "theirs.pth"
    torch.save({"params": GENERATOR.state_dict()}, path)
    return path


def test_weights_of_others_become_onnx_that_makes_their_images(
    theirs: Path, tmp_path: Path
) -> None:
    target = tmp_path / "model.onnx"
    done = srgan("export", str(theirs), "--to", str(target))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{target}, at most ")
    assert done.stdout.endswith(" away from torch on two sizes\n")
    lr = torch.rand(1, 3, 7, 9)
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    (sr,) = session.run(["sr"], {"lr": lr.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(sr, GENERATOR(lr).numpy(), atol=1e-5)


def test_weights_of_others_become_safetensors_of_ours(theirs: Path, tmp_path: Path) -> None:
    export(str(theirs), tmp_path / "ours.safetensors")
    assert (tmp_path / "ours.safetensors").read_bytes() == dump_generator(GENERATOR)
    assert {path.name for path in tmp_path.iterdir()} == {"theirs.pth", "ours.safetensors"}


@pytest.mark.parametrize("name", ["model.pt", "model", "model.onnx.gz"])
def test_a_result_of_another_kind_is_refused(theirs: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} must end in \.onnx or \.safetensors"):
        export(str(theirs), tmp_path / name)


def test_no_file_is_overwritten(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"model\.onnx exists; choose another one with --to"):
        export(str(theirs), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == b"mine"


def test_a_folder_that_is_missing_is_named(theirs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing does not exist"):
        export(str(theirs), tmp_path / "missing" / "model.onnx")


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no model 'lanczos': .* expected shipped, .* a weights file"
    ):
        export("lanczos", tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match="bicubic is an interpolation and has no weights"):
        export("bicubic", tmp_path / "model.onnx")
    (tmp_path / "text.pth").write_bytes(b"text")
    with pytest.raises(CheckpointError, match=r"text\.pth: this is neither"):
        export(str(tmp_path / "text.pth"), tmp_path / "model.onnx")
