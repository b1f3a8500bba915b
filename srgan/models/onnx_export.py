"""Export generators to ONNX: one graph for any batch, height and width, verified before it is kept.

Input ``lr``: float32 (N, 3, h, w) RGB in [0, 1]. Output ``sr``: float32 (N, 3, s·h, s·w), nominally
[−1, 1] and not clamped, like that of `Generator`. Needs the extra ``onnx``.
"""

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import torch

from srgan.disk import write_atomically
from srgan.errors import CheckpointError, ConfigError
from srgan.models.adopted import Adopted
from srgan.models.base import Generator
from srgan.models.interchange import dump_generator

FORMAT = "srgan-onnx-1"
OPSET = 20
TOLERANCE = 1e-4
"""Largest difference from torch, relative to the largest value of SR or to 1 if that is smaller.

Sums are computed in another order, which costs about 1e-6; one level of 8 bits is 8e-3.
"""
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")  # torch's exporter needs the last one
_TRACED = (2, 3, 16, 20)
_VERIFIED = ((1, 3, 3, 5), (3, 3, 31, 17))
"""Sizes and batches other than the traced one: smaller (mirrored more than once) and larger."""


def export_onnx(generator: Generator, target: Path) -> float:
    """Write `target` if it can be verified, else nothing; return the largest difference from torch.

    `generator` must be on the CPU in eval mode. `ConfigError` names a package that is not
    installed or a network of spandrel, `CheckpointError` says by how much ONNX Runtime differs
    from torch.
    """
    if isinstance(generator, Adopted):
        raise ConfigError(f"{generator.architecture} of spandrel cannot be written as ONNX")
    _require_packages()
    with write_atomically(target) as draft:
        draft.write_bytes(_convert(generator))
        return verify_onnx(draft, generator)


def verify_onnx(path: Path, generator: Generator) -> float:
    """Return the largest difference between ONNX Runtime on the CPU and torch, over two sizes.

    `CheckpointError` if it is larger than `TOLERANCE` or the sizes of the results differ.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    random = torch.Generator().manual_seed(0)
    worst = 0.0
    for shape in _VERIFIED:
        lr = torch.rand(shape, generator=random)
        with torch.inference_mode():
            expected = generator(lr)
        sr = torch.from_numpy(session.run(["sr"], {"lr": lr.numpy()})[0])
        if sr.shape != expected.shape:
            raise CheckpointError(
                f"from {shape} ONNX makes {tuple(sr.shape)}, torch {tuple(expected.shape)}"
            )
        difference = float((sr - expected).abs().max())
        limit = TOLERANCE * max(1.0, float(expected.abs().max()))
        if not difference <= limit:  # true for NaN too
            raise CheckpointError(
                f"on {shape} the ONNX graph differs from torch by {difference:.3g}, more than the "
                f"{limit:.3g} allowed; nothing was written"
            )
        worst = max(worst, difference)
    return worst


def _convert(generator: Generator) -> bytes:
    """Make the graph with its weights and a description of its input and output as metadata."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    config = generator.config
    if config is None or generator.training:
        raise ValueError("expected a generator with weights in eval mode")
    with _without_noise():
        program = torch.onnx.export(
            generator,
            (torch.zeros(_TRACED),),
            input_names=["lr"],
            output_names=["sr"],
            dynamic_shapes=({0: "batch", 2: "height", 3: "width"},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # only the older exporter returns None
    # Otherwise every node would hold a stack trace with paths of this machine.
    ClearMetadataAndDocStringPass()(program.model)
    program.model.metadata_props.update(
        {
            "srgan.format": FORMAT,
            "srgan.config": config.model_dump_json(),
            "srgan.weights": hashlib.sha256(dump_generator(generator)).hexdigest(),
            "srgan.lr": "RGB, float32 (batch, 3, height, width) in [0, 1]",
            "srgan.sr": f"RGB, float32 (batch, 3, {config.scale}*height, {config.scale}*width), "
            "nominally [-1, 1], not clamped",
        }
    )
    data: bytes = program.model_proto.SerializeToString()
    return data


def _require_packages() -> None:
    try:
        for package in _PACKAGES:
            import_module(package)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"ONNX export needs the package {error.name}; pip install -e '.[onnx]'"
        ) from error


@contextmanager
def _without_noise() -> Iterator[None]:
    """Silence messages of torch's exporter that a user cannot act on."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)  # four lines about torchvision, which is not installed
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning
            )
            yield
    finally:
        registration.setLevel(level)
