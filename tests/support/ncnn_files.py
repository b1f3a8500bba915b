"""Generators written as ncnn's converters write them."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from srgan.config import GeneratorConfig
from srgan.models.base import Generator


class Writer:
    """Writes layers as ncnn does: a line of text, and the weights after one another."""

    def __init__(self, *, half: bool) -> None:
        self.lines = ["Input in 0 1 data"]
        self.weights = b""
        self.half = half

    def layer(self, kind: str, inputs: str, options: str = "") -> str:
        """Add a layer with one output and return the name of that."""
        name = f"b{len(self.lines)}"
        count = len(inputs.split())
        self.lines.append(f"{kind} layer_{name} {count} 1 {inputs} {name} {options}".strip())
        return name

    def convolution(self, image: str, weight: Tensor, bias: Tensor, slope: float = 0) -> str:
        if self.half:
            data = weight.numpy().astype(np.float16).tobytes()
            self.weights += b"\x47\x6b\x30\x01" + data + b"\0" * (-len(data) % 4)
        else:
            self.weights += b"\0\0\0\0" + weight.numpy().tobytes()
        self.weights += bias.numpy().tobytes()
        activation = f" 9=2 -23310=1,{slope:e}" if slope else ""
        options = f"0={len(weight)} 1=3 4=1 5=1 6={weight.numel()}{activation}"
        return self.layer("Convolution", image, options)

    @property
    def param(self) -> str:
        return f"7767517\n{len(self.lines)} {len(self.lines)}\n" + "\n".join(self.lines) + "\n"


def written(generator: Generator, *, half: bool) -> Writer:
    """The generator as Real-ESRGAN's ncnn files have it."""
    assert generator.config is not None
    writer = Writer(half=half)
    tensors = iter(tensor.detach() for tensor in generator.state_dict().values())
    if generator.config.kind == "rrdbnet":
        _write_rrdbnet(writer, tensors, generator.config.num_blocks)
    else:
        _write_srvgg(writer, tensors, generator.config)
    return writer


def _write_rrdbnet(writer: Writer, tensors: Iterator[Tensor], num_blocks: int) -> None:
    def conv(image: str, slope: float = 0) -> str:
        return writer.convolution(image, next(tensors), next(tensors), slope)

    def scaled_sum(residual: str, image: str) -> str:
        return writer.layer("Eltwise", f"{residual} {image}", "0=1 -23301=2,2.000000e-01,1.0")

    entry = image = conv("data")
    for _ in range(num_blocks):
        block = image
        for _ in range(3):
            made = [image]
            for _ in range(4):
                joined = writer.layer("Concat", " ".join(made)) if len(made) > 1 else image
                made.append(conv(joined, 0.2))
            image = scaled_sum(conv(writer.layer("Concat", " ".join(made))), image)
        image = scaled_sum(image, block)
    image = writer.layer("BinaryOp", f"{entry} {conv(image)}")
    for _ in range(2):
        image = conv(writer.layer("Interp", image, "0=1 1=2.0 2=2.000000e+00"), 0.2)
    conv(conv(image, 0.2))


def _write_srvgg(writer: Writer, tensors: Iterator[Tensor], config: GeneratorConfig) -> None:
    image = "data"
    for _ in range(config.num_blocks + 1):
        image = writer.convolution(image, next(tensors), next(tensors))
        slopes = next(tensors)
        writer.weights += slopes.numpy().tobytes()
        image = writer.layer("PReLU", image, f"0={len(slopes)}")
    image = writer.convolution(image, next(tensors), next(tensors))
    image = writer.layer("PixelShuffle", image, f"0={config.scale}")
    base = writer.layer("Interp", "data", f"0=1 1={config.scale} 2={config.scale}")
    writer.layer("BinaryOp", f"{image} {base}", "0=0")
