"""ONNX files: every generator agrees with torch at every size, or no file is written."""

import hashlib
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, ConfigError
from srgan.models.base import Generator
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.models.interpolation import Bicubic
from srgan.models.msrresnet import MSRResNet
from srgan.models.onnx_export import FORMAT, OPSET, TOLERANCE, export_onnx, verify_onnx
from tests.support.networks import random_generator

SMALL = {"num_blocks": 1, "num_channels": 4}
OFTEN = ("srresnet", "bicubic_resnet")
"""An export takes seconds: the other kinds, and the other scales of these, are slow tests."""
CONFIGS = [
    pytest.param(
        GeneratorConfig.model_validate({"kind": kind, "scale": scale, **size}),
        id=f"{kind}-x{scale}",
        marks=[] if scale == 4 and kind in OFTEN else pytest.mark.slow(group="parts"),
    )
    for kind, scales, size in (
        ("srresnet", (2, 3, 4, 8), SMALL),
        ("bicubic_resnet", (2, 3, 4, 8), SMALL),
        ("bicubic_span", (2, 4), SMALL),
        ("srcnn", (2, 3, 4), {}),
        ("fsrcnn", (2, 3, 4), {}),
        ("espcn", (2, 3, 4), {}),
        ("msrresnet", (2, 3, 4), SMALL),
        ("rrdbnet", (4,), SMALL),
        ("srvgg", (2, 3, 4), SMALL),
    )
    for scale in scales
]
CONFIG = GeneratorConfig(kind="msrresnet", scale=2, num_blocks=1, num_channels=4)
FAST = random_generator(CONFIG)


def run(path: Path, lr: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["sr"], {"lr": lr.numpy()})[0])


def assert_agrees(path: Path, generator: Generator, lr: Tensor) -> None:
    with torch.inference_mode():
        expected = generator(lr)
    torch.testing.assert_close(run(path, lr), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_generator_makes_the_same_images_at_every_size(
    config: GeneratorConfig, tmp_path: Path
) -> None:
    generator = random_generator(config)
    path = tmp_path / "model.onnx"
    assert export_onnx(generator, path) < 1e-5
    for shape in ((1, 3, 1, 1), (1, 3, 2, 19), (3, 3, 3, 5), (1, 3, 33, 26)):
        assert_agrees(path, generator, torch.rand(shape))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "fast.onnx"
    export_onnx(FAST, path)
    return path


def test_the_file_describes_its_format_input_and_output(exported: Path) -> None:
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["srgan.format"] == FORMAT
    assert GeneratorConfig.model_validate_json(said["srgan.config"]) == CONFIG
    assert said["srgan.weights"] == hashlib.sha256(dump_generator(FAST)).hexdigest()
    assert said["srgan.lr"].endswith("(batch, 3, height, width) in [0, 1]")
    assert "2*height, 2*width), nominally [-1, 1]" in said["srgan.sr"]
    assert model.opset_import[0].version == OPSET
    sides = [
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert sides == [["batch", 3, "height", "width"], ["batch", 3, "2*height", "2*width"]]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["lr", "sr"]


def test_the_file_contains_no_paths_of_this_machine(exported: Path) -> None:
    assert str(Path(__file__).parents[2]).encode() not in exported.read_bytes()


def test_the_same_generator_gives_the_same_bytes(exported: Path, tmp_path: Path) -> None:
    export_onnx(FAST, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()


def test_a_graph_that_differs_is_refused_with_its_difference(exported: Path) -> None:
    other = random_generator(CONFIG, seed=1)
    with pytest.raises(CheckpointError, match=r"by 0\.\d+, more than the 0\.0001 allowed"):
        verify_onnx(exported, other)


def test_a_difference_just_above_the_tolerance_is_refused(exported: Path) -> None:
    other = random_generator(CONFIG)
    bias = other.get_parameter("conv_last.bias")
    with torch.no_grad():
        bias += TOLERANCE / 4  # images in [0, 1], so half the tolerance in [−1, 1]
    assert verify_onnx(exported, other) == pytest.approx(TOLERANCE / 2, rel=0.1)
    with torch.no_grad():
        bias += TOLERANCE / 2
    with pytest.raises(CheckpointError, match="differs from torch"):
        verify_onnx(exported, other)


def test_nan_counts_as_a_difference(exported: Path) -> None:
    broken = random_generator(CONFIG)
    with torch.no_grad():
        broken.get_parameter("conv_last.bias").fill_(float("nan"))
    with pytest.raises(CheckpointError, match="by nan"):
        verify_onnx(exported, broken)


class _Unsteady(MSRResNet):
    """Makes different images when it runs and when it is traced."""

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        sr: Tensor = super().head(features, lr)
        return sr + (0.0 if torch.compiler.is_exporting() else 0.01)


def test_no_file_is_left_if_the_graph_differs(tmp_path: Path) -> None:
    unsteady = _Unsteady(CONFIG).eval()
    with pytest.raises(CheckpointError, match=r"differs from torch by 0\.01"):
        export_onnx(unsteady, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_weights_or_in_training_is_refused(tmp_path: Path) -> None:
    for generator in (Bicubic(2).eval(), build_generator(CONFIG).train()):
        with pytest.raises(ValueError, match="with weights in eval mode"):
            export_onnx(generator, tmp_path / "model.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_named_with_the_extra(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"package {package}; pip install -e '\.\[onnx\]'"):
        export_onnx(FAST, tmp_path / "model.onnx")
