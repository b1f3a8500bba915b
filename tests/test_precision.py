"""Float32 that is float32 on every device."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from srgan.config import DegradationConfig, GeneratorConfig
from srgan.degradation.simple import RealDegradation
from srgan.inference.engine import Engine
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.build import build_generator
from srgan.models.interpolation import Bicubic
from srgan.precision import ieee_fp32
from srgan.resize.tensors import Degradation, upsample
from srgan.train.validation import Validation
from tests.support.contents import crops_from
from tests.support.perceptual_weights import drawn_weights
from tests.support.stages import CPU


def in_force() -> tuple[str, str]:
    return torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision


def test_the_switches_are_set_within_a_block_and_put_back_after_it() -> None:
    before = in_force()
    assert before[0] != "ieee", "torch's default is TF32 for convolutions"
    with ieee_fp32():
        assert in_force() == ("ieee", "ieee")
        with ieee_fp32():
            pass
        assert in_force() == ("ieee", "ieee")
    with pytest.raises(KeyError), ieee_fp32():
        raise KeyError
    assert in_force() == before


def test_a_block_that_ends_in_one_thread_leaves_those_of_others_as_they_are() -> None:
    before, entered, left = in_force(), threading.Event(), threading.Event()
    seen: list[tuple[str, str]] = []

    def work() -> None:
        with ieee_fp32():
            entered.set()
            left.wait(30)
            seen.append(in_force())

    thread = threading.Thread(target=work)
    with ieee_fp32():
        thread.start()
        entered.wait(30)
    left.set()
    thread.join()
    assert seen == [("ieee", "ieee")]
    assert in_force() == before


def real() -> RealDegradation:
    config = DegradationConfig(blur_sigma=(1, 2), noise_sigma=(1, 2), jpeg_quality=(50, 60))
    return RealDegradation(4, config, seed=0)


def degraded() -> object:
    degradation = real()
    side = 16 + 2 * degradation.margin
    windows = torch.zeros(1, 3, side, side, dtype=torch.uint8)
    return degradation(windows, step=0, first=0)


def upscaled() -> object:
    small = GeneratorConfig(kind="srresnet", scale=2, num_blocks=1, num_channels=4)
    engine = Engine(build_generator(small), tile=16, device="cpu")
    return engine.upscale(np.zeros((16, 16, 3), np.uint16))


def judged() -> object:
    distance = PerceptualDistance("squeezenet1_1", drawn_weights(), device=CPU)
    return distance(*np.zeros((2, 40, 40, 3), np.uint8), border=0)


def validated() -> object:
    small = GeneratorConfig(kind="srresnet", scale=2, num_blocks=1, num_channels=4)
    crops = crops_from([np.zeros((32, 32, 3), np.uint8)])
    return Validation(crops, 2, CPU).measure(build_generator(small))


@pytest.mark.parametrize(
    "compute",
    [
        lambda: upsample(torch.zeros(1, 3, 8, 8), 4),
        lambda: Degradation(4)(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)),
        degraded,
        upscaled,
        judged,
        validated,
    ],
    ids=[
        *("bicubic", "degradation", "blur, noise and JPEG", "the engine in fp32"),
        *("a judge", "a validation"),
    ],
)
def test_every_convolution_that_must_be_exact_runs_in_ieee_float32(
    compute: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    for module, name in ((F, "conv2d"), (torch, "conv2d")):
        original = getattr(module, name)

        def watched(*args: Any, _original: Any = original, **options: Any) -> Any:
            seen.append(torch.backends.cudnn.conv.fp32_precision)
            return _original(*args, **options)

        monkeypatch.setattr(module, name, watched)
    compute()
    assert set(seen) == {"ieee"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_sixteen_bits_keep_their_levels_on_a_gpu() -> None:
    opaque = np.full((40, 40, 3), 65_535, np.uint16)
    assert (Engine(Bicubic(4), tile=32, device="cuda").upscale(opaque) == 65_535).all()
    photo = np.random.default_rng(0).integers(0, 65_536, (40, 40, 3), np.uint16)
    on_gpu, on_cpu = (
        Engine(Bicubic(4), tile=32, device=each).upscale(photo).astype(int)
        for each in ("cuda", "cpu")
    )
    assert np.abs(on_gpu - on_cpu).max() <= 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_degradation_makes_the_same_pixels_on_a_gpu() -> None:
    random = torch.Generator().manual_seed(0)
    windows = torch.randint(0, 256, (4, 3, 126, 126), dtype=torch.uint8, generator=random)
    on_cpu, _ = Degradation(3)(windows)
    on_gpu, _ = Degradation(3).cuda()(windows.cuda())
    assert float((on_gpu.cpu() != on_cpu).float().mean()) < 1e-4
