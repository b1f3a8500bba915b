"""Files that people take for weights, and the messages about them."""

import gzip
import itertools
import json
import pickle
import traceback
import warnings
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from srgan.errors import CheckpointError
from srgan.models.weights_file import read_tensors_file


def archive(*names: str) -> bytes:
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        for name in names:
            opened.writestr(name, b"")
    return target.getvalue()


def torchscript() -> bytes:
    target = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(nn.PReLU()), target)
    return target.getvalue()


def whole_module() -> bytes:
    target = BytesIO()
    torch.save(nn.PReLU(), target)
    return target.getvalue()


LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 67040989\n"
)
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "page": (lambda: b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page"),
    "page without doctype": (lambda: b"\n <HTML><head></head></HTML>", "a web page"),
    "page with a byte order mark": (lambda: b"\xef\xbb\xbf<html>", "a web page"),
    "error of a store": (lambda: b"<?xml version='1.0'?><Error/>", "an XML document"),
    "pointer": (lambda: LFS, "a Git LFS pointer, .* `git lfs pull`"),
    "JSON": (lambda: json.dumps({"error": "Not found"}).encode(), "JSON"),
    "TorchScript": (torchscript, "a TorchScript or torch.export archive: .* not run"),
    "torch.export": (lambda: archive("model/archive_format", "model/data.pt2"), "torch.export"),
    "other archive": (lambda: archive("model.pth", "readme.txt"), "a zip archive of model.pth, re"),
    "gzip": (lambda: gzip.compress(b"weights"), "a gzip archive; unpack it first"),
    "GGUF": (lambda: b"GGUF\3\0\0\0", "a GGUF file"),
    "Keras": (lambda: b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "ONNX": (lambda: b"\x08\x08\x12\x07pytorch", "looks like ONNX"),
    "picture": (lambda: b"\x89PNG\r\n\x1a\n", "a picture"),
    "graph of ncnn": (lambda: b"7767517\n2 2\n", "graph of an ncnn network; give its path"),
    "weights of ncnn": (lambda: b"Gk0\x01\0\0", "weights of an ncnn network; .* beside it"),
    "whole network": (whole_module, "would run torch.nn.* only the state_dict"),
    "pickle": (lambda: pickle.dumps({"a": 1}), "neither a safetensors file nor"),
    "noise": (lambda: b"\x80\x02noise" * 40, "neither a safetensors file nor"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_tensors_is_named_and_never_run(name: str) -> None:
    make, message = FILES[name]
    with pytest.raises(CheckpointError, match=message) as caught:
        read_tensors_file(make())
    shown = "".join(traceback.format_exception(caught.value))
    said = shown.rpartition("CheckpointError")[2]
    assert "weights_only" not in said
    assert "Weights only load failed" not in shown, "torch's advice to load without checks"


def saved(value: object, **options: Any) -> bytes:
    target = BytesIO()
    torch.save(value, target, **options)
    return target.getvalue()


WEIGHT = torch.arange(12.0).view(3, 4)
KEPT: dict[str, Tensor] = {
    "dense": WEIGHT,
    "tied": WEIGHT,
    "transposed": WEIGHT.T,
    "row": WEIGHT[1],
    "scalar": torch.tensor(3.0),
    "counter": torch.tensor(7),
    "empty": torch.zeros(0),
    "half": WEIGHT.half(),
    "parameter": nn.Parameter(WEIGHT),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "torch before 1.6"])
def test_tensors_come_back_tied_transposed_and_beside_an_optimiser(zipped: bool) -> None:
    network = nn.Conv2d(3, 4, 3)
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.zeros(1, 3, 5, 5)).sum().backward()
    optimiser.step()
    cycle: dict[str, object] = {"random": torch.get_rng_state()}
    cycle["itself"] = cycle
    checkpoint = {"params": KEPT, "optimiser": optimiser.state_dict(), "epoch": 3, "more": cycle}
    found: Any = read_tensors_file(saved(checkpoint, _use_new_zipfile_serialization=zipped))
    for name, tensor in KEPT.items():
        assert torch.equal(found["params"][name], tensor), name
    assert len(found["optimiser"]["state"]) == 2


def test_tensors_of_safetensors_come_back() -> None:
    found: Any = read_tensors_file(save({"a": WEIGHT, "b": WEIGHT.half()}))
    assert torch.equal(found["a"], WEIGHT)


def sparse() -> Tensor:
    return torch.eye(3).to_sparse()


def quantised() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(WEIGHT, 0.1, 0, torch.qint8)


NOT_DENSE: dict[str, tuple[Callable[[], Tensor], str]] = {
    "meta": (lambda: torch.zeros(3, device="meta"), "has no values: .* device meta"),
    "sparse": (sparse, r"is sparse or nested \(torch.sparse_coo\)"),
    "quantised": (quantised, "holds torch.qint8"),
    "float8": (lambda: WEIGHT.to(torch.float8_e4m3fn), "holds torch.float8_e4m3fn, expected"),
    "expanded": (
        lambda: torch.zeros(1).expand(10**9),
        r"\(1000000000,\) claims 4,000,000,000 bytes, of",
    ),
    "long side": (lambda: torch.zeros(10**9, 3, 0, 0), r"is \(1000000000, 3, 0, 0\), but the file"),
}


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
@pytest.mark.parametrize(
    ("name", "zipped"),
    [*((name, True) for name in NOT_DENSE), ("meta", False), ("expanded", False)],
)
def test_a_tensor_that_is_not_dense_numbers_in_the_file_is_refused_with_its_key(
    name: str, zipped: bool
) -> None:
    make, message = NOT_DENSE[name]
    data = saved({"params": {"a.weight": make()}}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=rf"params\.a\.weight {message}.* save plain tensors"):
        read_tensors_file(data)


@pytest.mark.parametrize(("dtype", "size_bytes"), [("F8_E4M3", 8), ("F8_E8M0", 8), ("F4", 4)])
def test_small_numbers_of_safetensors_are_refused(dtype: str, size_bytes: int) -> None:
    header = {"a": {"dtype": dtype, "shape": [8], "data_offsets": [0, size_bytes]}}
    text = json.dumps(header).encode()
    data = len(text).to_bytes(8, "little") + text + b"\0" * size_bytes
    with pytest.raises(CheckpointError, match=r"F4|F8|float8.* save plain tensors"):
        read_tensors_file(data)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., object], *given: object) -> None:
        self._call = function, given

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


class Pickler(pickle.Pickler):
    """Pickles storages as torch does: by reference to a member of the archive."""

    def persistent_id(self, obj: Any) -> Any:
        return obj if isinstance(obj, tuple) and obj[:1] == ("storage",) else None


def stored(key: str, count: int) -> Call:
    """A tensor of four values in the member `key`, which is said to have `count`."""
    storage = ("storage", torch.FloatStorage, key, "cpu", count)
    return Call(torch._utils._rebuild_tensor_v2, storage, 0, (4,), (1,), False, {})


def crafted(
    value: object, *, key: str = "0", count: int = 4, method: int = 0, order: bytes = b"little"
) -> bytes:
    """A file of torch.save with any pickle, and one member of float32 zeros."""
    pickled, target = BytesIO(), BytesIO()
    Pickler(pickled, 2).dump(value)
    with zipfile.ZipFile(target, "w", method) as opened:
        opened.writestr("archive/data.pkl", pickled.getvalue())
        opened.writestr("archive/byteorder", order)
        opened.writestr("archive/version", b"3\n")
        opened.writestr(f"archive/data/{key}", b"\0" * 4 * count)
    return target.getvalue()


def test_what_is_crafted_here_can_be_read() -> None:
    found: Any = read_tensors_file(crafted({"a": stored("0", 4)}))
    assert torch.equal(found["a"], torch.zeros(4))


MANY = 1_000_000
TWINS = ["".join(each) for each in itertools.product("aA", repeat=5)]
"""Names that torch takes for one member of an archive."""
GROWING: dict[str, tuple[Callable[[], bytes], str]] = {
    "deflated": (
        lambda: crafted({"a": stored("0", 50 * MANY)}, count=50 * MANY, method=8),
        "archive/data.pkl is compressed, which torch.save never does",
    ),
    "one member, many names": (
        lambda: crafted({name: stored(name, MANY) for name in TWINS}, key=TWINS[0], count=MANY),
        "its tensors up to .* claim 8,000,000 bytes, but the file has 4,",
    ),
    "one tensor, many names": (
        lambda: saved(dict.fromkeys("abcdefgh", torch.zeros(MANY))),
        "its tensors up to e claim 20,000,000 bytes, but the file has 4,",
    ),
    "declared": (lambda: crafted({"a": stored("0", 50 * MANY)}), "its tensors up to a claim 200,0"),
    "swapped": (
        lambda: crafted({"a": stored("0", 50 * MANY)}, order=b"big"),
        "its numbers are in the byte order of other processors",
    ),
    "bytearray": (lambda: crafted({"a": Call(bytearray, 200 * MANY)}), "would call bytearray"),
    "tensor": (
        lambda: crafted({"a": Call(torch.FloatTensor, 50 * MANY)}),
        r"a is \(50000000,\), but the file",
    ),
}


def peak_bytes() -> int:
    """The most memory that this process had since the peak was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return 1024 * int(peak)


@pytest.mark.parametrize("name", GROWING)
def test_a_small_file_that_claims_much_is_refused_before_it_takes_memory(name: str) -> None:
    make, message = GROWING[name]
    data = make()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = peak_bytes()
    with pytest.raises(CheckpointError, match=message):
        read_tensors_file(data)
    grown = peak_bytes() - before
    assert grown < 30_000_000, f"{grown:,} bytes for a file of {len(data):,}"
