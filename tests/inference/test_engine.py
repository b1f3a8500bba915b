"""Tiles through the engine: every pixel and every float is that of the whole image."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from srgan.config import GeneratorConfig
from srgan.errors import ImageError
from srgan.inference import engine as engine_module
from srgan.inference.engine import Engine
from srgan.models.base import Generator
from srgan.models.interpolation import Bicubic, Bilinear, Nearest
from tests.support.networks import Recorder, random_generator
from tests.support.pixels import noise_and_shapes, photo_of, to_pixels, whole_image

SRRESNET, NARROW, THREE, FAST = (
    random_generator(GeneratorConfig.model_validate(config))
    for config in (
        {"kind": "srresnet", "scale": 2, "num_blocks": 1, "num_channels": 16},
        {"kind": "srresnet", "scale": 4, "num_blocks": 1, "num_channels": 5},
        {"kind": "srresnet", "scale": 3, "num_blocks": 2, "num_channels": 4},
        {"kind": "bicubic_resnet", "scale": 4, "num_blocks": 3, "num_channels": 16},
    )
)
OTHERS = [
    random_generator(GeneratorConfig.model_validate(config))
    for config in (
        {"kind": "srcnn", "scale": 2},
        {"kind": "srcnn", "scale": 3},
        {"kind": "fsrcnn", "scale": 2},
        {"kind": "fsrcnn", "scale": 3},
        {"kind": "fsrcnn", "scale": 4},
        {"kind": "espcn", "scale": 3},
        {"kind": "espcn", "scale": 4},
        {"kind": "msrresnet", "scale": 4, "num_blocks": 1, "num_channels": 8},
        {"kind": "rrdbnet", "scale": 4, "num_blocks": 1, "num_channels": 8},
        {"kind": "srvgg", "scale": 3, "num_blocks": 2, "num_channels": 8},
        {"kind": "bicubic_span", "scale": 4, "num_blocks": 2, "num_channels": 8},
    )
]
GENERATORS = [SRRESNET, NARROW, THREE, FAST, *OTHERS, Nearest(2), Bilinear(3), Bicubic(4)]


shapes = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(145, 200), st.integers(145, 330)),
    st.tuples(st.integers(40, 90), st.integers(400, 600)),
    st.tuples(st.integers(400, 600), st.integers(40, 90)),
)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(GENERATORS), shapes, st.integers(1, 200), st.integers(0, 9))
@example(FAST, (1, 1), 1, 0)
@example(FAST, (1, 21_000), 1, 0)
@example(SRRESNET, (21_000, 1), 7, 0)
@example(NARROW, (150, 310), 1, 0)
@example(FAST, (310, 150), 64, 0)
def test_a_tiled_image_is_the_whole_image_in_every_pixel(
    generator: Generator, shape: tuple[int, int], tile: int, seed: int
) -> None:
    image = photo_of(*shape, seed)
    tiled = Engine(generator, tile=tile, device="cpu").upscale(image)
    np.testing.assert_array_equal(tiled, to_pixels(whole_image(generator, image)))


def middle_of_three(generator: Generator, *, trunk_radius: int) -> tuple[Tensor, Tensor]:
    """Floats of a tile with just enough context on both sides, and of the whole image there."""
    image, s = photo_of(145, 450), generator.scale
    recorder = Recorder(generator)
    recorder.trunk_radius = trunk_radius
    Engine(recorder, tile=150, device="cpu").upscale(image)
    core = slice(generator.head_radius * s, (generator.head_radius + 150) * s)
    return (
        recorder.results[1][..., core],
        whole_image(generator, image)[..., 150 * s : 300 * s],
    )


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: f"{type(g).__name__}-x{g.scale}")
def test_the_floats_of_a_tile_are_bit_identical_before_rounding(generator: Generator) -> None:
    tiled, whole = middle_of_three(generator, trunk_radius=generator.trunk_radius)
    assert torch.equal(tiled, whole)


def test_one_pixel_of_context_less_is_not_enough() -> None:
    tiled, whole = middle_of_three(SRRESNET, trunk_radius=SRRESNET.trunk_radius - 1)
    assert not torch.equal(tiled, whole)


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: f"{type(g).__name__}-x{g.scale}")
@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
def test_auto_stays_within_50_db_of_fp32(
    generator: Generator, bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a processor without bf16, where torch emulates it."""
    monkeypatch.setattr(engine_module, "computes_bf16", lambda device: bf16)
    image = noise_and_shapes(90, 120)
    exact = Engine(copy.deepcopy(generator), tile=192, device="cpu").upscale(image)
    engine = Engine(copy.deepcopy(generator), tile=192, precision="auto", device="cpu")
    in_bf16 = bf16 and not generator.exact_only
    assert engine._dtype == (torch.bfloat16 if in_bf16 else torch.float32)
    fast = engine.upscale(image)
    error = np.square(exact.astype(np.float64) - fast).mean()
    assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 50


@pytest.mark.parametrize("generator", [SRRESNET, NARROW, FAST], ids=["srresnet", "narrow", "fast"])
def test_auto_leaves_no_seams_between_tiles(generator: Generator) -> None:
    image = noise_and_shapes(330, 310)
    small, large = (
        Engine(copy.deepcopy(generator), tile=tile, precision="auto", device="cpu").upscale(image)
        for tile in (144, 400)
    )
    difference = np.abs(small.astype(int) - large)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-4


def test_auto_leaves_the_generator_as_it_was() -> None:
    before = {name: tensor.clone() for name, tensor in SRRESNET.state_dict().items()}
    Engine(SRRESNET, tile=64, precision="auto", device="cpu").upscale(photo_of(9, 12))
    assert all(torch.equal(before[name], now) for name, now in SRRESNET.state_dict().items())


def test_memory_follows_the_tile_not_the_image() -> None:
    recorder = Recorder(Bicubic(2))
    recorder.trunk_radius = 10
    Engine(recorder, tile=160, device="cpu").upscale(photo_of(400, 700))
    assert len(recorder.windows) == 15
    assert set(recorder.windows) == {(160 + 24, 160 + 24)}


@pytest.mark.parametrize("level", [0, 1, 127, 128, 254, 255])
def test_every_level_survives_the_conversion_to_floats_and_back(level: int) -> None:
    image = np.full((3, 4, 3), level, np.uint8)
    result = Engine(Nearest(2), tile=64, device="cpu").upscale(image)
    np.testing.assert_array_equal(result, np.full((6, 8, 3), level, np.uint8))


def test_values_outside_the_range_are_clamped_not_wrapped() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:] = 255
    result = Engine(Bicubic(4), tile=64, device="cpu").upscale(image)  # overshoots at the edge
    assert (result[:, :12] < 128).all()
    assert (result[:, -12:] > 127).all()


def test_a_view_with_negative_strides_is_upscaled_like_its_copy() -> None:
    image = photo_of(9, 12)[:, ::-1]
    engine = Engine(FAST, tile=64, device="cpu")
    np.testing.assert_array_equal(engine.upscale(image), engine.upscale(image.copy()))


def test_the_input_image_stays_as_it_was() -> None:
    image = photo_of(9, 12)
    image.setflags(write=False)
    before = image.copy()
    Engine(FAST, tile=64, device="cpu").upscale(image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"\(4, 4\) uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\) uint8"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\) uint8"),
        (np.zeros((4, 4, 3), np.float32), r"\(4, 4, 3\) float32"),
    ],
)
def test_an_array_that_is_not_an_rgb_image_is_refused(image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Engine(FAST, tile=64, device="cpu").upscale(image)


def test_a_tile_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one LR pixel, got 0"):
        Engine(FAST, tile=0)


def test_a_context_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="context is a number of LR pixels, got -1"):
        Engine(FAST, context=-1)


def test_a_context_that_is_given_is_what_tiles_see() -> None:
    image, recorder = photo_of(145, 450), Recorder(FAST)
    Engine(recorder, tile=150, context=1, device="cpu").upscale(image)
    assert recorder.windows == [(145, 152)] * 3
    wide = Engine(FAST, tile=150, context=10_000, device="cpu").upscale(image)
    np.testing.assert_array_equal(wide, Engine(FAST, tile=150, device="cpu").upscale(image))


def test_nan_is_an_error_and_does_not_become_black_pixels() -> None:
    generator = random_generator(GeneratorConfig(kind="srresnet", scale=2, num_channels=4))
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(1e30)
    with pytest.raises(ImageError, match="not_finite: the network gave"):
        Engine(generator, tile=16, device="cpu").upscale(photo_of(8, 8))
