"""Files that people take for weights, and the messages about them."""

import gzip
import json
import pickle
import traceback
import warnings
import zipfile
from collections.abc import Callable
from io import BytesIO

import pytest
import torch
from torch import nn

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
