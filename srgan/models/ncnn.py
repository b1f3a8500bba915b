"""Read ncnn's pairs of files: a graph as text (``.param``) and its weights (``.bin``).

The graph is not run to upscale. Its convolutions are put into the network of ours that has the same
ones in the same order, and a small picture then has to come out of both equal: another slope,
residual, order or range is found by that, whatever tool wrote the file.
"""

import math
import re
from collections.abc import Callable

import torch
from torch import Tensor

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, first_few
from srgan.models.base import Generator
from srgan.models.ncnn_graph import CONV, RUN, Graph, Layer, Value, run, without_values

MAGIC = "7767517"
"""First line of every ``.param`` file."""
_FP16, _RAW, _INT8, _SCALED = 0x01306B47, 0, 0x000D4B38, 0x0002C056
"""Tags: the first four bytes of a convolution's weights (ncnn's ``modelbin.cpp``)."""
_TOLERANCE = 1e-5
"""Difference from the graph in [0, 1] that rounding explains."""
_PROBE = (1, 3, 11, 13)


def read_graph(param: bytes, weights: bytes) -> Graph:
    """Parse both files; `CheckpointError` names the line, or how many bytes are too few or many."""
    layers = _parse(param)
    reader = _Reader(weights)
    tensors: dict[str, list[Tensor]] = {}
    for layer in layers:
        if read := _WEIGHTS.get(layer.kind):
            tensors[layer.name] = read(layer, reader)
    if reader.at != len(weights):
        raise CheckpointError(
            f"the .bin file has {len(weights):,} bytes, but the layers of the .param file take "
            f"{reader.at:,}: they do not belong together"
        )
    return Graph(layers, tensors)


def config_of(graph: Graph) -> GeneratorConfig:
    """Read kind and sizes of the network from the layers and their shapes.

    `CheckpointError` if it is not one of ours; pydantic's ``ValidationError`` if it has a size that
    ours do not have.
    """
    kinds = {layer.kind for layer in graph.layers}
    convolutions = [graph.weights[each.name][0] for each in graph.layers if each.kind == CONV]
    if len(convolutions) < 3:
        raise CheckpointError(f"the graph has {len(convolutions)} convolutions, expected more")
    channels = convolutions[0].shape[0]
    found: dict[str, object]
    if "PReLU" in kinds:
        scale = math.isqrt(convolutions[-1].shape[0] // 3)
        found = {"kind": "srvgg", "scale": scale, "num_blocks": len(convolutions) - 2}
    elif "Concat" in kinds:
        found = {"kind": "rrdbnet", "scale": 4, "num_blocks": (len(convolutions) - 6) // 15}
    else:
        raise CheckpointError(
            f"the graph is not a network that can be loaded: {len(convolutions)} convolutions with "
            f"{first_few(sorted(kinds - {CONV}), ', ')}; expected RRDBNet or SRVGG"
        )
    return GeneratorConfig.model_validate({**found, "num_channels": channels})


def state_of(graph: Graph, names: list[str]) -> dict[str, Tensor]:
    """Give the tensors of the graph, in their order, the names of a network of ours."""
    tensors = graph.tensors()
    if len(tensors) != len(names):
        raise CheckpointError(
            f"the graph has {len(tensors)} tensors, but the network that it resembles {len(names)}"
        )
    return dict(zip(names, tensors, strict=True))


@torch.inference_mode()
def check_equal(graph: Graph, generator: Generator) -> None:
    """Raise `CheckpointError` unless a small picture comes out of both equal."""
    lr = torch.rand(_PROBE, generator=torch.Generator().manual_seed(0))
    # First without values, which finds what takes too much before any of it is made.
    run(without_values(graph), lr.to("meta"))
    theirs, ours = run(graph, lr), (generator(lr) + 1) / 2
    assert generator.config is not None  # it was just built from one
    name = f"{generator.config.kind} ×{generator.scale}"
    if theirs.shape != ours.shape:
        raise CheckpointError(
            f"the weights are those of a {name}, but the graph makes {tuple(theirs.shape)} of "
            f"{_PROBE}"
        )
    difference = float((theirs - ours).abs().max() / ours.abs().max().clamp(min=1))
    if not difference <= _TOLERANCE:  # true for NaN
        raise CheckpointError(
            f"the weights are those of a {name}, but the graph computes something else: results "
            f"differ by {difference:.2g}"
        )


def _parse(param: bytes) -> list[Layer]:
    try:
        lines = param.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise CheckpointError("the .param file is not text; ncnn's binary form is not read") from (
            error
        )
    if not lines or lines[0].strip() != MAGIC:
        raise CheckpointError(f"the .param file does not begin with {MAGIC}")
    layers = [_layer(number, text) for number, text in enumerate(lines[2:], 3) if text.strip()]
    stated = lines[1].split() if len(lines) > 1 else []
    if stated[:1] != [str(len(layers))]:
        raise CheckpointError(
            f"the .param file states {stated[0] if stated else 'no'} layers and has {len(layers)}: "
            "it is not complete"
        )
    known: set[str] = set()
    names: set[str] = set()
    for layer in layers:
        if layer.kind not in RUN:
            raise layer.error(f"this layer is not known; known are {', '.join(sorted(RUN))}")
        if missing := [blob for blob in layer.inputs if blob not in known]:
            raise layer.error(f"its input {missing[0]} is made by no layer before it")
        if layer.name in names or known & set(layer.outputs):
            raise layer.error("its name or an output is given twice")
        names.add(layer.name)
        known.update(layer.outputs)
    return layers


def _layer(line: int, text: str) -> Layer:
    """Parse ``Convolution Conv_0 1 1 data 703 0=64 1=3``: counts of inputs and outputs, names."""
    parts = text.split()
    try:
        num_inputs, num_outputs = int(parts[2]), int(parts[3])
        ends = 4 + num_inputs, 4 + num_inputs + num_outputs
        if min(num_inputs, num_outputs) < 0 or ends[1] > len(parts):
            raise ValueError
        options = dict(_option(part) for part in parts[ends[1] :])
    except (ValueError, IndexError, OverflowError) as error:
        raise CheckpointError(f"line {line} is not a layer of ncnn: {text.strip()[:60]!r}") from (
            error
        )
    return Layer(
        line,
        parts[0],
        parts[1],
        tuple(parts[4 : ends[0]]),
        tuple(parts[ends[0] : ends[1]]),
        options,
    )


def _option(text: str) -> tuple[int, Value]:
    """Parse ``3=1`` or the array ``-23310=1,0.2`` (key 10, one value)."""
    name, _, value = text.partition("=")
    key = int(name)
    if key > -23300:
        return key, _finite(value)
    count, *values = value.split(",")
    if int(count) != len(values):
        raise ValueError(text)
    return -23300 - key, tuple(_finite(each) for each in values)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


class _Reader:
    """Takes tensors off the bytes of a ``.bin`` file, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, layer: Layer, size_bytes: int) -> bytearray:
        """Take bytes; the `CheckpointError` of a file that ends before names the layer."""
        start, self.at = self.at, self.at + size_bytes
        if self.at > len(self._data):
            raise layer.error(
                f"the .bin file ends here: {len(self._data):,} bytes, at least {self.at:,} expected"
            )
        return bytearray(self._data[start : self.at])

    def floats(self, layer: Layer, count: int) -> Tensor:
        """Take float32 values without a tag."""
        return _values(self.take(layer, 4 * count), torch.float32)

    def tagged(self, layer: Layer, count: int) -> Tensor:
        """Take values whose first four bytes say how they are stored."""
        tag = int.from_bytes(self.take(layer, 4), "little")
        if tag == _FP16:
            data = self.take(layer, 2 * count)
            self.take(layer, -len(data) % 4)  # padded to whole words
            return _values(data, torch.float16)
        if tag in (_RAW, _SCALED):
            return self.floats(layer, count)
        what = "8-bit integers" if tag == _INT8 else "a table or an unknown form"
        raise layer.error(
            f"its weights are stored as {what} (tag {tag:#010x}); files in fp16 and fp32 are read"
        )


def _values(data: bytearray, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(data, dtype=dtype).float() if data else torch.zeros(0)


def _read_convolution(layer: Layer, reader: _Reader) -> list[Tensor]:
    num_out, side, size = layer.count(0), layer.count(1), layer.count(6)
    per_input = num_out * side**2
    # Options that a network of ours has only one value for; ncnn's defaults follow the first ones.
    expected = {2: 1, 3: 1, 4: side // 2, 5: 1, 8: 0, 11: side, 12: 1, 13: 1, 14: side // 2}
    expected |= {15: side // 2, 16: side // 2, 18: 0, 19: 0}
    for key, wanted in expected.items():
        given = layer.number(key, _DEFAULTS.get(key, wanted))
        if given != wanted:
            raise layer.error(f"option {key} is {given:g}, expected {wanted}")
    if side % 2 == 0 or per_input == 0 or size == 0 or size % per_input:
        raise layer.error(
            f"{size} weights do not make {num_out} outputs of {side}×{side}, with an odd side"
        )
    weight = reader.tagged(layer, size).view(num_out, size // per_input, side, side)
    return [weight, reader.floats(layer, num_out)]


_DEFAULTS = {2: 1, 3: 1, 4: 0, 5: 0}
"""Values of a convolution's options that the file leaves out; the others follow these."""


def _read_slopes(layer: Layer, reader: _Reader) -> list[Tensor]:
    if not (count := layer.count(0)):
        raise layer.error("it has no slopes")
    return [reader.floats(layer, count)]


_WEIGHTS: dict[str, Callable[[Layer, _Reader], list[Tensor]]] = {
    CONV: _read_convolution,
    "PReLU": _read_slopes,
}


def is_ncnn(param: bytes) -> bool:
    """Return whether a file begins like a graph of ncnn."""
    return re.match(rb"\s*" + MAGIC.encode() + rb"\s", param[:64]) is not None
