"""Engine rate of SRResNet 16×64 ×4: this project against the usual tools.

    python -m benchmarks.upscale [--model WEIGHTS] [--set14 FOLDER_OF_LR] [--side 384] [--tile N]

All sides get the same weights and the same picture, in turn in this process; medians are compared.
So is the rate of matrix products (bf16 if the processor has it), which bounds every engine. ONNX
Runtime and OpenVINO are measured if they are installed. With `--model` and `--set14`, the PSNR of
`auto` against `fp32` is printed too. All use torch's default number of threads.
"""

import argparse
import importlib
import importlib.util
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from srgan.allocator import use_large_pages
from srgan.config import GeneratorConfig
from srgan.images.files import find_photos, read_photo
from srgan.inference.engine import Engine
from srgan.models.base import Generator
from srgan.models.build import build_generator
from srgan.models.foreign import import_file
from srgan.precision import computes_bf16

Pixels = NDArray[np.uint8]
Upscale = Callable[[Pixels], object]

PLAIN_TILE, PLAIN_CONTEXT = 192, 10
"""Defaults of tools that cut tiles: too little context to avoid seams."""
MFLOP_PER_PIXEL = 4.44
"""FLOP of one LR pixel through SRResNet 16×64 ×4."""
MATRIX_SIDE = 2048
_LIMIT = torch.bfloat16 if computes_bf16(torch.device("cpu")) else torch.float32
"""Number format of the matrix products: the fastest one of the processor."""


def main() -> None:
    """Time all sides in turn; print medians, ratios and, if asked to, the quality."""
    options = _options()
    use_large_pages()  # for all sides, since there is one process
    generator = _generator(options.model)
    image = np.random.default_rng(0).integers(
        0, 256, (options.side, options.side, 3), dtype=np.uint8
    )
    with tempfile.TemporaryDirectory() as folder:
        rates = _measure(_sides(generator, Path(folder), options.tile), image, options.rounds)
    limit = rates.pop("limit")
    plain = next(iter(rates.values()))
    print(f"{options.side}×{options.side} LR pixels, {torch.get_num_threads()} threads")
    for name, rate in rates.items():
        print(
            f"{name}: {rate:.3f} output MP/s, {rate / plain:.2f} × (a), "
            f"{rate / limit:.2f} of the GEMM limit"
        )
    rate = limit / 16 * MFLOP_PER_PIXEL
    print(f"GEMM limit, {_LIMIT}: {limit:.3f} output MP/s ({rate:.3f} TFLOP/s)")
    if options.set14:
        print(f"auto against fp32: {_psnr(generator, options.set14):.1f} dB, the worst photo")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, help="weights of an SRResNet 16×64 ×4")
    parser.add_argument("--set14", type=Path, help="folder of LR photos for the PSNR")
    parser.add_argument(
        "--side", type=int, default=384, help="side of the square picture in LR pixels"
    )
    parser.add_argument("--tile", type=int, help="tile of srgan; default: by the memory budget")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


def _generator(weights: Path | None) -> Generator:
    if weights is None:
        return build_generator(GeneratorConfig()).eval()
    return import_file(weights).generator


def _sides(generator: Generator, folder: Path, tile: int | None) -> dict[str, Upscale]:
    sides: dict[str, Upscale] = {"(a) plain eager fp32 tile loop": _plain(generator)}
    model = folder / "model.onnx"
    for title, module, make in (
        ("(b) ONNX Runtime fp32", "onnxruntime", _onnxruntime),
        ("(c) OpenVINO, bf16 hint", "openvino", _openvino),
    ):
        missing = [name for name in (module, "onnxscript") if not importlib.util.find_spec(name)]
        if missing:
            print(f"{title}: left out, {' and '.join(missing)} not installed")
            continue
        if not model.exists():
            _export(generator, model)
        sides[title] = _tile_loop(make(model))
    # Each engine changes the layout of the network it is given, so each gets its own.
    for name, precision in (("(d) srgan fp32", "fp32"), ("(e) srgan auto", "auto")):
        sides[name] = Engine(_copy(generator), tile=tile, precision=precision).upscale  # type: ignore[arg-type]
    return sides


def _copy(generator: Generator) -> Generator:
    assert generator.config is not None
    result = build_generator(generator.config)
    result.load_state_dict(generator.state_dict())
    return result.eval()


def _plain(generator: Generator) -> Upscale:
    network = _copy(generator)

    @torch.inference_mode()
    def run(lr: NDArray[np.float32]) -> NDArray[np.float32]:
        sr: NDArray[np.float32] = network(torch.from_numpy(lr)).numpy()
        return sr

    return _tile_loop(run)


def _tile_loop(run: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Upscale:
    """Upscale tiles with context on each side, if there is some, and paste them together."""

    def upscale(image: Pixels) -> Pixels:
        lr = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / 255
        height, width = lr.shape[2:]
        result = np.empty((4 * height, 4 * width, 3), np.uint8)
        for top in range(0, height, PLAIN_TILE):
            for left in range(0, width, PLAIN_TILE):
                first = [max(at - PLAIN_CONTEXT, 0) for at in (top, left)]
                last = [at + PLAIN_TILE + PLAIN_CONTEXT for at in (top, left)]
                window = lr[:, :, first[0] : last[0], first[1] : last[1]]
                sr = run(np.ascontiguousarray(window))[0]
                inner = sr[:, 4 * (top - first[0]) :, 4 * (left - first[1]) :]
                inner = inner[:, : 4 * PLAIN_TILE, : 4 * PLAIN_TILE].transpose(1, 2, 0)
                target = result[4 * top :, 4 * left :][: inner.shape[0], : inner.shape[1]]
                target[:] = ((inner + 1) * 127.5).round().clip(0, 255)
        return result

    return upscale


def _export(generator: Generator, path: Path) -> None:
    sides = {2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
    # Silences messages of torch's exporter.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*treespec, LeafSpec", FutureWarning)
        torch.onnx.export(
            _copy(generator),
            (torch.zeros(1, 3, 48, 56),),
            str(path),
            input_names=["lr"],
            dynamo=True,
            dynamic_shapes=({2: sides[2], 3: sides[3]},),
            verbose=False,
        )


def _onnxruntime(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda lr: session.run(None, {name: lr})[0]


def _openvino(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    openvino = importlib.import_module("openvino")
    model = openvino.Core().compile_model(
        str(path),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        },
    )
    return lambda lr: model([lr])[0]


def _measure(sides: dict[str, Upscale], image: Pixels, rounds: int) -> dict[str, float]:
    """Measure output megapixels per second of each side and "limit", after a warm-up round."""
    left, right = torch.rand(2, MATRIX_SIDE, MATRIX_SIDE).to(_LIMIT)
    work: dict[str, tuple[Callable[[], object], float]] = {
        name: (partial(run, image), 16e-6 * image.shape[0] * image.shape[1])
        for name, run in sides.items()
    }
    megapixels = 16e-6 * 2 * MATRIX_SIDE**3 / (MFLOP_PER_PIXEL * 1e6)
    work["limit"] = (lambda: left @ right), megapixels
    times: dict[str, list[float]] = {name: [] for name in work}
    for round_ in range(rounds + 1):
        for name, (run, _) in work.items():
            started = time.perf_counter()
            run()
            if round_:
                times[name].append(time.perf_counter() - started)
    return {name: work[name][1] / statistics.median(each) for name, each in times.items()}


def _psnr(generator: Generator, folder: Path) -> float:
    """Return the least PSNR in dB over the photos of `folder`, on RGB."""
    exact, fast = (
        Engine(_copy(generator)),
        Engine(_copy(generator), precision="auto"),
    )
    worst = float("inf")
    for path in find_photos(folder).values():
        image = read_photo(path).rgb
        error = np.square(exact.upscale(image).astype(np.float64) - fast.upscale(image)).mean()
        worst = min(worst, float(10 * np.log10(255**2 / max(float(error), 1e-9))))
    return worst


if __name__ == "__main__":
    main()
