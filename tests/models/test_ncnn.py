"""Files of ncnn, as its converters write them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError
from srgan.models.base import Generator
from srgan.models.foreign import import_file
from tests.support.ncnn_files import Writer, written
from tests.support.networks import random_generator

RRDBNET = random_generator(GeneratorConfig(kind="rrdbnet", num_blocks=2, num_channels=4))
SRVGG = random_generator(GeneratorConfig(kind="srvgg", scale=2, num_blocks=3, num_channels=5))


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Writes a pair of files and returns the path of the graph."""

    def written_to(param: str, weights: bytes) -> Path:
        (tmp_path / "net.param").write_text(param)
        (tmp_path / "net.bin").write_bytes(weights)
        return tmp_path / "net.param"

    return written_to


Save = Callable[[str, bytes], Path]


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("suffix", [".param", ".bin"])
@pytest.mark.parametrize("generator", [RRDBNET, SRVGG], ids=["RRDBNet", "SRVGG"])
def test_a_network_comes_back_from_its_files(
    save: Save, generator: Generator, suffix: str, half: bool
) -> None:
    writer = written(generator, half=half)
    imported = import_file(save(writer.param, writer.weights).with_suffix(suffix))
    assert imported.generator.config == generator.config
    for name, tensor in generator.state_dict().items():
        rounded = tensor.half().float() if half and tensor.ndim == 4 else tensor
        assert torch.equal(imported.generator.state_dict()[name], rounded), name


def test_the_format_and_the_digest_of_both_files_are_recorded(save: Save) -> None:
    writer = written(SRVGG, half=True)
    path = save(writer.param, writer.weights)
    imported = import_file(path)
    assert imported.format == "SRVGG, ncnn"
    assert imported.sha256 == import_file(path.with_suffix(".bin")).sha256
    save(writer.param.replace("layer_b1 ", "renamed "), writer.weights)
    assert imported.sha256 != import_file(path).sha256


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2.000000e-01,1.0", "3.000000e-01,1.0"),
        ("9=2 -23310=1,2.000000e-01", "9=2 -23310=1,1.000000e-01"),
        ("9=2 -23310=1,2.000000e-01", "9=1"),
        ("2 1 b1 b2 b3", "2 1 b2 b1 b3"),
    ],
)
def test_a_graph_that_computes_something_else_is_refused(
    save: Save, before: str, after: str
) -> None:
    writer = written(RRDBNET, half=False)
    assert before in writer.param
    with pytest.raises(CheckpointError, match=r"a rrdbnet ×4, but the graph .* else: .* differ by"):
        import_file(save(writer.param.replace(before, after, 1), writer.weights))


def test_a_result_that_is_shrunk_leads_to_the_file_that_is_not(save: Save) -> None:
    writer = written(SRVGG, half=True)
    writer.layer("Interp", f"b{len(writer.lines) - 1}", "0=3 1=5.0e-01 2=5.0e-01")
    with pytest.raises(CheckpointError, match=r"line 16 .*shrinks .* 0\.5; .* upscale --scale`"):
        import_file(save(writer.param, writer.weights))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("7767517", "7767518", "neither a safetensors file nor"),
        ("Convolution", "Winograd", r"line 4 \(Winograd layer_b1\): this layer is not known"),
        ("PReLU layer_b2 1 1 b1", "PReLU layer_b2 1 1 x", "its input x is made by no layer"),
        ("layer_b3 1 1 b2 b3", "layer_b3 1 1 b2 b2", "its name or an output is given twice"),
        ("layer_b2 1 1", "layer_b2 1 999", "line 5 is not a layer of ncnn"),
        ("0=5 1=3", "0=5 1=nan", "line 4 is not a layer of ncnn"),
        ("0=5 1=3", "0=5 1=2", "option 4 is 1|weights do not make 5 outputs of 2×2"),
        ("0=5 1=3", "0=5 1=3 3=2", "option 3 is 2, expected 1"),
        ("0=5 1=3", "0=7 1=3", "135 weights do not make 7 outputs of 3×3"),
        ("0=5 1=3 4=1 5=1", "0=5 1=3 4=1", "option 5 is 0, expected 1"),
        ("6=135", "6=135000000000", "the .bin file ends here"),
        ("6=135", "6=-135", "option 6 is -135, expected a whole number"),
        ("1=2 2=2", "1=1000000 2=1000000", "only nearest neighbours with one factor from 1 to 8"),
        ("1 1 b9 b10 0=2", "1 1 b9 b10 0=5", r"line 13 .* cannot run on \(1, 12, 11, 13\)"),
        ("13 13", "14 14", "states 14 layers and has 13: it is not complete"),
    ],
)
def test_a_graph_that_is_damaged_or_foreign_is_refused_with_its_line(
    save: Save, before: str, after: str, message: str
) -> None:
    writer = written(SRVGG, half=True)
    assert before in writer.param, writer.param
    with pytest.raises(CheckpointError, match=message):
        import_file(save(writer.param.replace(before, after, 1), writer.weights))


def test_a_graph_that_grows_without_end_is_refused_before_it_takes_memory(save: Save) -> None:
    writer = written(SRVGG, half=True)
    image = f"b{len(writer.lines) - 1}"
    for _ in range(40):
        image = writer.layer("Concat", f"{image} {image}")
    with pytest.raises(CheckpointError, match=r"it makes \(1, 12288, 22, 26\) of \(1, 3, 11, 13\)"):
        import_file(save(writer.param, writer.weights))


def test_a_graph_that_holds_many_large_results_is_refused_before_any_is_made(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = set()

    def watched(tensor: Tensor, *sizes: int) -> Tensor:
        devices.add(tensor.device.type)
        return repeat(tensor, *sizes)

    repeat = Tensor.repeat_interleave
    monkeypatch.setattr(Tensor, "repeat_interleave", watched)
    writer = written(SRVGG, half=True)
    image = writer.layer("Concat", " ".join(["data"] * 20))
    for _ in range(20):  # each of 2.2 MB
        writer.layer("Interp", image, "0=1 1=8 2=8")
    with pytest.raises(CheckpointError, match=r"line 32 \(Interp .* would hold 35,\d+,\d+ bytes"):
        import_file(save(writer.param, writer.weights))
    assert devices == {"meta"}, "shapes only"


def test_results_that_are_no_longer_read_do_not_count(save: Save) -> None:
    writer = written(SRVGG, half=False)
    image = f"b{len(writer.lines) - 1}"
    for _ in range(6000):  # together 41 MB
        image = writer.layer("BinaryOp", image, "0=2 1=1 2=1.0")
    assert import_file(save(writer.param, writer.weights)).generator.config == SRVGG.config


def test_a_shuffle_by_nothing_is_refused_with_its_line(save: Save) -> None:
    writer = written(SRVGG, half=False)
    writer.layer("PixelShuffle", f"b{len(writer.lines) - 1}", "0=0")
    with pytest.raises(CheckpointError, match=r"line 16 \(PixelShuffle .* cannot run on"):
        import_file(save(writer.param, writer.weights))


@pytest.mark.parametrize("change", [-4, -1, 4])
def test_weights_of_another_size_are_refused(save: Save, change: int) -> None:
    writer = written(SRVGG, half=True)
    weights = writer.weights[:change] if change < 0 else writer.weights + b"\0" * change
    with pytest.raises(CheckpointError, match=r"the \.bin file (ends here|has .* bytes, but)"):
        import_file(save(writer.param, weights))


@pytest.mark.parametrize(
    ("tag", "message"),
    [(0x000D4B38, "8-bit integers"), (0x12345678, "a table or an unknown form")],
)
def test_quantised_weights_are_refused(save: Save, tag: int, message: str) -> None:
    writer = written(SRVGG, half=True)
    weights = tag.to_bytes(4, "little") + writer.weights[4:]
    with pytest.raises(CheckpointError, match=rf"line 4 .* stored as {message} \(tag 0x"):
        import_file(save(writer.param, weights))


def test_weights_that_are_not_finite_are_refused(save: Save) -> None:
    writer = written(SRVGG, half=False)
    weights = writer.weights[:4] + b"\xff" * 4 + writer.weights[8:]
    with pytest.raises(CheckpointError, match=r"body\.0\.weight holds NaN"):
        import_file(save(writer.param, weights))


def test_a_missing_half_of_the_pair_is_named(save: Save) -> None:
    writer = written(SRVGG, half=True)
    path = save(writer.param, writer.weights)
    path.rename(path.with_name("other.param"))
    with pytest.raises(CheckpointError, match=r"net\.bin: .* the \.param file of the same name"):
        import_file(path.with_suffix(".bin"))
    with pytest.raises(CheckpointError, match=r"other\.param: other\.bin is missing"):
        import_file(path.with_name("other.param"))


def test_checkpoints_of_torch_may_be_called_bin(tmp_path: Path) -> None:
    torch.save(SRVGG.state_dict(), tmp_path / "pytorch_model.bin")
    assert import_file(tmp_path / "pytorch_model.bin").generator.config == SRVGG.config


def test_a_network_of_another_kind_is_named(save: Save) -> None:
    writer = Writer(half=True)
    image = "data"
    for _ in range(3):
        image = writer.convolution(image, torch.rand(3, 3, 3, 3), torch.rand(3))
    with pytest.raises(CheckpointError, match="3 convolutions with Input; expected RRDBNet or"):
        import_file(save(writer.param, writer.weights))
