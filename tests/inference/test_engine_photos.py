"""Photos through the engine: gray, alpha, 16 bits, pages, metadata, results on disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from srgan.config import GeneratorConfig
from srgan.errors import ImageError
from srgan.images import Photo
from srgan.images.spool import SpooledPhoto
from srgan.inference import engine as engine_module
from srgan.inference.engine import Engine
from srgan.inference.memory import PROCESS_BYTES
from srgan.models.base import Generator
from srgan.models.interpolation import Bicubic, Bilinear, Nearest
from tests.support.networks import Recorder, random_generator
from tests.support.pixels import Pixels, photo_of, to_pixels, whole_image

SRRESNET, FAST = (
    random_generator(GeneratorConfig.model_validate(config))
    for config in (
        {"kind": "srresnet", "scale": 2, "num_blocks": 1, "num_channels": 16},
        {"kind": "bicubic_resnet", "scale": 4, "num_blocks": 3, "num_channels": 16},
    )
)


def test_a_gray_photo_stays_gray() -> None:
    gray = photo_of(10, 13)[..., 0]
    result = Engine(Nearest(2), tile=64, device="cpu").upscale_photo(Photo(pixels=gray))
    np.testing.assert_array_equal(result.pixels, gray.repeat(2, 0).repeat(2, 1))


def test_a_gray_photo_of_a_network_with_colour_is_its_luma() -> None:
    gray = photo_of(10, 13)[..., 0]
    engine = Engine(FAST, tile=64, device="cpu")
    rgb = engine.upscale(np.repeat(gray[..., None], 3, axis=2)).astype(np.float64)
    result = engine.upscale_photo(Photo(pixels=gray)).pixels
    expected = rgb @ [0.299, 0.587, 0.114]
    assert result.shape == (40, 52)
    assert result.dtype == np.uint8
    assert np.abs(result - expected).max() <= 0.501


def test_alpha_is_upscaled_by_bicubic_whatever_the_network() -> None:
    pixels = photo_of(160, 310)
    alpha = photo_of(160, 310, seed=1)[..., 0]
    result = Engine(FAST, tile=150, device="cpu").upscale_photo(Photo(pixels=pixels, alpha=alpha))
    expected = to_pixels(whole_image(Bicubic(4), np.repeat(alpha[..., None], 3, axis=2)))
    assert result.alpha is not None
    np.testing.assert_array_equal(result.alpha, expected[..., 0])


@pytest.mark.parametrize("tile", [1, 150])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("gray", [False, True])
def test_a_result_too_large_for_memory_is_on_disk_and_the_same(
    gray: bool, alpha: bool, tile: int, tmp_path: Path
) -> None:
    pixels = photo_of(160, 310)
    photo = Photo(
        pixels=np.ascontiguousarray(pixels[..., 0]) if gray else pixels,
        alpha=photo_of(160, 310, seed=1)[..., 0] if alpha else None,
        dpi=(10, 20),
    )
    expected = Engine(FAST, tile=300, device="cpu").upscale_photo(photo)
    assert not isinstance(expected, SpooledPhoto)
    engine = Engine(
        FAST, tile=tile, memory_bytes=PROCESS_BYTES + 2**20, device="cpu", spool=tmp_path
    )
    result = engine.upscale_photo(photo)
    assert isinstance(result, SpooledPhoto)
    np.testing.assert_array_equal(result.pixels, expected.pixels)
    if expected.alpha is None:
        assert result.alpha is None
    else:
        np.testing.assert_array_equal(result.alpha, expected.alpha)
    assert result.dpi == expected.dpi
    assert engine.held_bytes(photo) < photo.pixels.nbytes * 16


def test_a_result_is_spooled_if_it_and_its_encoding_exceed_the_budget() -> None:
    engine = Engine(FAST, tile=64, memory_bytes=PROCESS_BYTES + 65 * 3 * 10_000, device="cpu")
    assert not engine.is_spooled(Photo(photo_of(100, 100)))
    assert engine.is_spooled(Photo(photo_of(100, 101)))
    assert engine.held_bytes(Photo(photo_of(100, 100))) == 65 * 3 * 10_000
    assert engine.held_bytes(Photo(photo_of(100, 101))) == 3 * 10_100


def test_the_resampled_size_counts_before_the_result_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    budget = PROCESS_BYTES + 65 * 3 * 10_000
    engine = Engine(FAST, tile=64, memory_bytes=budget, device="cpu", growth=4.0)
    assert engine.held_bytes(Photo(photo_of(40, 40))) == (1 + 4 * 16 * 4) * 3 * 1600
    assert engine.is_spooled(Photo(photo_of(100, 100)))
    asked: list[int] = []
    monkeypatch.setattr(engine_module, "check_room", lambda _, size_bytes: asked.append(size_bytes))
    engine.upscale_photo(Photo(photo_of(100, 100)))
    assert asked == [(1 + 4) * 16 * 3 * 10_000]


def test_a_disk_without_room_for_a_result_is_refused_before_work_starts(tmp_path: Path) -> None:
    recorder = Recorder(Nearest(2))
    recorder.scale = 2**22  # larger than any disk
    engine = Engine(recorder, tile=64, device="cpu", spool=tmp_path)
    with pytest.raises(ImageError, match=rf"no_space: .* in {tmp_path}.*--spool"):
        engine.upscale_photo(Photo(photo_of(200, 200)))
    assert recorder.windows == []


def test_an_opaque_photo_stays_opaque() -> None:
    photo = Photo(pixels=photo_of(20, 30), alpha=np.full((20, 30), 255, np.uint8))
    result = Engine(FAST, tile=64, device="cpu").upscale_photo(photo)
    assert result.alpha is not None
    assert (result.alpha == 255).all()


def test_metadata_is_carried_and_dpi_grow_with_the_scale() -> None:
    metadata: dict[str, Any] = {
        "format": "jpeg",
        "bit_depth": 16,
        "icc_profile": b"profile",
        "exif": b"exif",
    }
    photo = Photo(pixels=photo_of(4, 5), dpi=(72.0, 96.0), **metadata)
    result = Engine(FAST, tile=64, device="cpu").upscale_photo(photo)
    assert {name: getattr(result, name) for name in metadata} == metadata
    assert result.dpi == (288.0, 384.0)
    assert Engine(FAST, tile=64, device="cpu").upscale_photo(Photo(photo_of(4, 5))).dpi is None


def deep_of(image: Pixels) -> NDArray[np.uint16]:
    """Make 16 bits with detail below the levels of 8 bits."""
    noise = np.random.default_rng(9).integers(0, 257, image.shape)
    return np.minimum(image.astype(np.uint32) * 257 + noise, 65_535).astype(np.uint16)


@pytest.mark.parametrize("generator", [SRRESNET, FAST, Bicubic(4)])
def test_16_bits_give_16_bits_as_fine_as_the_networks_floats(generator: Generator) -> None:
    image = deep_of(photo_of(150, 170))
    result = Engine(generator, tile=144).upscale(image)
    lr = torch.from_numpy(image.astype(np.float32) / 65_535).permute(2, 0, 1)[None]
    with torch.inference_mode():
        sr = generator(lr.contiguous(memory_format=torch.channels_last))[0]
    expected = ((sr.permute(1, 2, 0).numpy() + 1) * 32_767.5).round().clip(0, 65_535)
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, expected)
    assert len(np.unique(result)) > 10_000, "not just the levels of 8 bits"


def test_16_bits_are_computed_in_fp32_whatever_the_precision() -> None:
    photo = Photo(deep_of(photo_of(20, 30)), alpha=deep_of(photo_of(20, 30))[:, :, 0])
    exact = Engine(SRRESNET, tile=64).upscale_photo(photo)
    auto = Engine(SRRESNET, tile=64, precision="auto")
    auto._dtype = torch.bfloat16  # as on a processor with instructions for it
    result = auto.upscale_photo(photo)
    np.testing.assert_array_equal(result.pixels, exact.pixels)
    np.testing.assert_array_equal(result.alpha, exact.alpha)


def test_16_bits_and_pages_on_disk_equal_those_in_memory(tmp_path: Path) -> None:
    image = deep_of(photo_of(60, 70))
    photo = Photo(
        image, alpha=image[..., 0].copy(), pages=(Photo(photo_of(50, 40)[..., 0].copy()),)
    )
    expected = Engine(FAST, tile=64).upscale_photo(photo)
    small = PROCESS_BYTES + 2**20
    for precision in ("fp32", "auto"):
        engine = Engine(FAST, tile=64, memory_bytes=small, spool=tmp_path, precision=precision)
        result = engine.upscale_photo(photo)
        assert isinstance(result, SpooledPhoto)
        assert isinstance(result.pages[0], SpooledPhoto)
        assert result.pixels.dtype == np.uint16
        if precision == "fp32":
            np.testing.assert_array_equal(result.pages[0].pixels, expected.pages[0].pixels)
        off = np.abs(result.pixels.astype(int) - expected.pixels)
        assert off.max() <= 1, "folding rounds differently"
        np.testing.assert_array_equal(result.alpha, expected.alpha)


def test_a_gray_16_bit_photo_stays_gray_and_deep() -> None:
    gray = np.ascontiguousarray(deep_of(photo_of(20, 30))[:, :, 0])
    result = Engine(Nearest(2), tile=64).upscale_photo(Photo(gray))
    np.testing.assert_array_equal(result.pixels[::2, ::2], gray, strict=True)


@pytest.mark.parametrize("generator", [SRRESNET, FAST, Bicubic(4), Bilinear(3)])
@pytest.mark.parametrize("hidden", [0, 255])
def test_a_cut_out_has_no_fringe_of_its_hidden_colours(generator: Generator, hidden: int) -> None:
    y, x = np.mgrid[0:40, 0:40]
    inside = (y - 20) ** 2 + (x - 20) ** 2 < 150
    colour = np.array([200, 120, 40], np.uint8)
    pixels = np.where(inside[:, :, None], colour, np.uint8(hidden))
    engine = Engine(generator, tile=64)
    cut_out = engine.upscale_photo(Photo(pixels, alpha=np.where(inside, 255, 0).astype(np.uint8)))
    plain = engine.upscale(np.broadcast_to(colour, pixels.shape))
    assert cut_out.alpha is not None
    seen = cut_out.alpha > 0
    np.testing.assert_array_equal(cut_out.pixels[seen], plain[seen])


def test_every_page_is_upscaled() -> None:
    pages = [Photo(photo_of(6, 4, n), dpi=(10 * n + 10, 20), duration_ms=n) for n in range(3)]
    photo = Photo(pages[0].pixels, pages=tuple(pages[1:]), duration_ms=0, num_loops=2)
    engine = Engine(Bicubic(2), tile=64)
    result = engine.upscale_photo(photo)
    assert (result.duration_ms, result.num_loops, len(result.pages)) == (0, 2, 2)
    for page, original in zip(result.pages, pages[1:], strict=True):
        expected = engine.upscale_photo(original)
        np.testing.assert_array_equal(page.pixels, expected.pixels)
        assert (page.dpi, page.duration_ms) == (expected.dpi, original.duration_ms)
