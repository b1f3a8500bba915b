"""Images whose results exceed the memory budget, each in a separate process."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image

from srgan.config import GeneratorConfig
from srgan.inference.engine import Engine
from srgan.models.base import Generator
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.models.interpolation import Nearest
from tests.support.networks import random_generator

SRGAN = str(Path(sys.executable).with_name("srgan"))


def draw_large(path: Path, side: int) -> NDArray[np.uint8]:
    rough = np.random.default_rng(0).integers(0, 256, (side // 25, side // 25, 3), np.uint8)
    image = Image.fromarray(rough).resize((side, side), Image.Resampling.BICUBIC)
    image.save(path, compress_level=1, dpi=(300, 300))
    return np.asarray(image)


def peak_bytes(*arguments: str) -> int:
    """Peak of resident memory of `srgan` with these arguments.

    On Linux a process starts with the peak of its parent, so a small process starts `srgan`.
    """
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, SRGAN, *arguments]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=3600).stdout
    return int(printed) * (1 if sys.platform == "darwin" else 1024)


def check_middle(path: Path, lr: NDArray[np.uint8], generator: Generator) -> None:
    """Compare the rows in the middle with those of an engine that gets only this part."""
    large: Any = pyvips.Image.new_from_file(str(path), access="sequential")
    scale, side = generator.scale, lr.shape[0]
    assert (large.width, large.height) == (side * scale, side * scale)
    assert large.xres * 25.4 == pytest.approx(300 * scale, abs=0.1)
    middle, context, width = side // 2, 64, 400
    part = Engine(generator, device="cpu").upscale(lr[middle - context : middle + context, :width])
    rows = large.crop(0, middle * scale, (width - context) * scale, 8).numpy()
    expected = part[context * scale : context * scale + 8, : (width - context) * scale]
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.slow(group="images")
def test_a_large_result_is_made_in_less_memory_than_its_encoding_would_take(tmp_path: Path) -> None:
    lr = draw_large(tmp_path / "lr.png", 1500)
    spool = tmp_path / "spool"
    spool.mkdir()
    peak = peak_bytes(
        "upscale", str(tmp_path / "lr.png"), str(tmp_path / "sr.png"), "--model", "nearest",
        "--memory", "650MiB", "--spool", str(spool),
    )  # fmt: skip
    assert peak < 650 * 2**20
    assert list(spool.iterdir()) == []
    check_middle(tmp_path / "sr.png", lr, Nearest(4))


@pytest.mark.slow(group="images")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("kind", "side"), [("fsrcnn", 5000), ("srresnet", 2500)])
def test_results_of_400_and_100_megapixels_are_made_in_2_gib(
    kind: str, side: int, tmp_path: Path
) -> None:
    # The 64 channels decide the memory, so two blocks show the same in a fraction of the time. A
    # result of 400 megapixels would take them a quarter of an hour on two cores without bf16.
    size = {"num_blocks": 2} if kind == "srresnet" else {}
    config = GeneratorConfig.model_validate({"kind": kind, "scale": 4, **size})
    generator = random_generator(config) if kind == "fsrcnn" else build_generator(config).eval()
    (tmp_path / "model").write_bytes(dump_generator(generator))
    lr = draw_large(tmp_path / "lr.png", side)
    peak = peak_bytes(
        "upscale", str(tmp_path / "lr.png"), str(tmp_path / "sr.png"),
        "--model", str(tmp_path / "model"), "--memory", "2GiB", "--spool", str(tmp_path),
        "--precision", "fp32" if kind == "fsrcnn" else "auto",
    )  # fmt: skip
    assert peak < 2 * 2**30
    if kind == "fsrcnn":
        check_middle(tmp_path / "sr.png", lr, generator)
