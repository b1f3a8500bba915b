"""A graph of ncnn: its layers, and what comes out of them for a small picture."""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from srgan.errors import CheckpointError

CONV = "Convolution"
_MOST_BYTES = 32 * 2**20
"""Bound of what the graph may hold at a time for the picture that is run, because two lines may ask
for any amount. RRDBNet of 23 blocks and 64 channels holds 1.1 MiB, one of 256 channels 4.5 MiB."""
Value = float | tuple[float, ...]


class Layer(NamedTuple):
    """One line of a graph."""

    line: int
    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: dict[int, Value]

    def number(self, key: int, default: float = 0) -> float:
        """Value of an option that is one number."""
        value = self.options.get(key, default)
        if isinstance(value, tuple):
            raise self.error(f"option {key} holds {len(value)} values, expected one")
        return value

    def count(self, key: int, default: int = 0) -> int:
        """Value of an option that is a whole number, at least 0."""
        value = self.number(key, default)
        if value != int(value) or value < 0:
            raise self.error(f"option {key} is {value:g}, expected a whole number")
        return int(value)

    def numbers(self, key: int) -> tuple[float, ...]:
        """Values of an option that is an array; empty if it is not given."""
        value = self.options.get(key, ())
        return value if isinstance(value, tuple) else (value,)

    def error(self, text: str) -> CheckpointError:
        """An error at this line of the ``.param`` file."""
        return CheckpointError(f"line {self.line} ({self.kind} {self.name}): {text}")


class Graph(NamedTuple):
    """The layers of a network in the order in which they run, and the tensors of each."""

    layers: list[Layer]
    weights: dict[str, list[Tensor]]
    """Float32 tensors by the name of their layer: weight and bias, or PReLU's slopes."""

    def tensors(self) -> list[Tensor]:
        """All tensors in the order of the layers."""
        return [tensor for layer in self.layers for tensor in self.weights.get(layer.name, ())]


def without_values(graph: Graph) -> Graph:
    """The same graph with tensors that have shapes and take no memory."""
    return Graph(
        graph.layers,
        {name: [each.to("meta") for each in tensors] for name, tensors in graph.weights.items()},
    )


def run(graph: Graph, image: Tensor) -> Tensor:
    """Run the graph on one picture (1, 3, h, w) in [0, 1]; returns its last output.

    `CheckpointError` names the layer that cannot run, or takes more than `_MOST_BYTES`.
    """
    last = {name: layer.line for layer in graph.layers for name in layer.inputs}
    blobs: dict[str, Tensor] = {}
    held_bytes = 0
    for layer in graph.layers:
        inputs = [blobs[name] for name in layer.inputs] if layer.inputs else [image]
        try:
            made = RUN[layer.kind](layer, inputs, graph.weights.get(layer.name, []))
        except (RuntimeError, ValueError, IndexError, ZeroDivisionError) as error:
            shapes = ", ".join(str(tuple(each.shape)) for each in inputs)
            raise layer.error(f"it cannot run on {shapes}") from error
        held_bytes += made.nbytes * len(layer.outputs)
        if held_bytes > _MOST_BYTES:
            raise layer.error(
                f"it makes {tuple(made.shape)} of {tuple(image.shape)}, and the graph would hold "
                f"{held_bytes:,} bytes, more than any network that can be loaded"
            )
        blobs.update(dict.fromkeys(layer.outputs, made))
        for name in set(layer.inputs):
            if last[name] == layer.line:
                held_bytes -= blobs.pop(name).nbytes
    results = [name for layer in graph.layers for name in layer.outputs if name not in last]
    if len(results) != 1:
        raise CheckpointError(f"the graph has {len(results)} results, expected one")
    return blobs[results[0]]


def _convolve(layer: Layer, inputs: list[Tensor], weights: list[Tensor]) -> Tensor:
    weight, bias = weights
    made = F.conv2d(inputs[0], weight, bias, padding=weight.shape[2] // 2)
    match layer.count(9):
        case 0:
            return made
        case 1:
            return made.relu()
        case 2:
            return F.leaky_relu(made, layer.numbers(10)[0])
    raise layer.error(f"activation {layer.count(9)} is not known")


def _eltwise(layer: Layer, inputs: list[Tensor], _: list[Tensor]) -> Tensor:
    if layer.count(0) != 1:
        raise layer.error(f"operation {layer.count(0)} is not known; 1 is a sum")
    factors = layer.numbers(1) or (1.0,) * len(inputs)
    # One after the other, because a line may name an input any number of times.
    terms = (f * each for f, each in zip(factors, inputs, strict=True))
    return reduce(torch.add, terms)


def _binary(layer: Layer, inputs: list[Tensor], _: list[Tensor]) -> Tensor:
    other = torch.tensor(layer.number(2)) if layer.count(1) else inputs[1]
    match layer.count(0):
        case 0:
            return inputs[0] + other
        case 1:
            return inputs[0] - other
        case 2:
            return inputs[0] * other
    raise layer.error(f"operation {layer.count(0)} is not known")


def _resize(layer: Layer, inputs: list[Tensor], _: list[Tensor]) -> Tensor:
    factor = layer.number(1, 1)
    if layer.number(2, 1) == factor < 1:
        raise layer.error(
            f"it shrinks the result to {factor:g}; import the file of the larger scale, which does "
            "not, and choose the size of results with `srgan upscale --scale`"
        )
    if layer.count(0) != 1 or layer.number(2, 1) != factor or factor not in range(1, 9):
        raise layer.error("only nearest neighbours with one factor from 1 to 8 is known")
    return inputs[0].repeat_interleave(int(factor), 2).repeat_interleave(int(factor), 3)


def _shuffle(layer: Layer, inputs: list[Tensor], _: list[Tensor]) -> Tensor:
    if layer.count(1):
        raise layer.error("mode 1 is not known")
    return F.pixel_shuffle(inputs[0], layer.count(0))


def _concat(layer: Layer, inputs: list[Tensor], _: list[Tensor]) -> Tensor:
    if layer.number(0):
        raise layer.error("only channels can be concatenated")
    return torch.cat(inputs, 1)


RUN: dict[str, Callable[[Layer, list[Tensor], list[Tensor]], Tensor]] = {
    "Input": lambda _, inputs, __: inputs[0],
    "Split": lambda _, inputs, __: inputs[0],
    CONV: _convolve,
    "PReLU": lambda _, inputs, weights: F.prelu(inputs[0], weights[0]),
    "ReLU": lambda layer, inputs, _: F.leaky_relu(inputs[0], layer.number(0)),
    "Concat": _concat,
    "Eltwise": _eltwise,
    "BinaryOp": _binary,
    "Interp": _resize,
    "PixelShuffle": _shuffle,
}
