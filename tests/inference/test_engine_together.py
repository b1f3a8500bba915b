"""Small photos of one size through the engine at once, as in ``auto`` on a GPU."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from srgan.config import GeneratorConfig
from srgan.errors import ImageError
from srgan.images import Photo
from srgan.inference import engine as engine_module
from srgan.inference.engine import Engine
from srgan.inference.ensemble import SelfEnsemble
from srgan.models.base import Generator
from srgan.models.interpolation import Bicubic, Nearest
from tests.support.networks import random_generator
from tests.support.pixels import noise_and_shapes, photo_of

NETWORKS = [
    random_generator(GeneratorConfig.model_validate(config))
    for config in (
        {"kind": "srresnet", "scale": 4, "num_blocks": 1, "num_channels": 16},
        {"kind": "bicubic_resnet", "scale": 4, "num_blocks": 2, "num_channels": 16},
        {"kind": "msrresnet", "scale": 4, "num_blocks": 1, "num_channels": 8},
        {"kind": "rrdbnet", "scale": 4, "num_blocks": 1, "num_channels": 8},
        {"kind": "srvgg", "scale": 4, "num_blocks": 1, "num_channels": 8},
        {"kind": "fsrcnn", "scale": 3},
        {"kind": "espcn", "scale": 3},
    )
]
FAST = NETWORKS[1]


def taking_several(generator: Generator, tile: int | None = 200) -> Engine:
    """An engine on the CPU that takes photos together, as one on a GPU does."""
    engine = Engine(copy.deepcopy(generator), tile=tile, precision="auto", device="cpu")
    engine._takes_several = True
    return engine


def photos(count: int, height: int = 40, width: int = 48) -> list[Photo]:
    whole = noise_and_shapes(count * height, width)
    return [Photo(np.ascontiguousarray(each)) for each in np.split(whole, count)]


@pytest.mark.parametrize(
    "generator", [*NETWORKS, SelfEnsemble(FAST), Bicubic(4)], ids=lambda each: type(each).__name__
)
@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
def test_photos_at_once_stay_within_50_db_of_fp32(
    generator: Generator, bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "computes_bf16", lambda device: bf16)
    given = photos(6)
    engine, exact = taking_several(generator), Engine(copy.deepcopy(generator), tile=200)
    assert engine._dtype == (torch.bfloat16 if bf16 else torch.float32)
    for photo, result in zip(given, engine.upscale_photos(given), strict=True):
        expected = exact.upscale(photo.pixels)
        error = np.square(expected.astype(np.float64) - result.pixels).mean()
        assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 50


def test_photos_at_once_are_what_they_are_alone_but_for_rounding() -> None:
    engine, given = taking_several(FAST), photos(6)
    for photo, result in zip(given, engine.upscale_photos(given), strict=True):
        difference = np.abs(engine.upscale(photo.pixels).astype(int) - result.pixels)
        assert difference.max() <= 1
        assert (difference > 0).mean() <= 1e-3


def test_each_keeps_its_own_metadata_and_a_gray_one_stays_gray() -> None:
    gray = Photo(photo_of(20, 30)[..., 0].copy(), dpi=(72, 96), format="jpeg")
    colour = Photo(photo_of(20, 30, seed=1), exif=b"exif")
    engine = taking_several(FAST)
    results = engine.upscale_photos([gray, colour])
    for photo, result in zip((gray, colour), results, strict=True):
        alone = engine.upscale_photo(photo)
        assert result.pixels.shape == alone.pixels.shape
        assert np.abs(result.pixels.astype(int) - alone.pixels).max() <= 1
        assert (result.dpi, result.format, result.exif) == (alone.dpi, alone.format, alone.exif)


def test_only_plain_photos_of_the_first_ones_size_go_together() -> None:
    engine = taking_several(FAST)
    same, other = photo_of(40, 48), photo_of(48, 40)
    given = [
        Photo(same),
        Photo(other),
        Photo(same, alpha=same[..., 0].copy()),
        Photo(same.astype(np.uint16)),
        Photo(same, pages=(Photo(same),)),
        Photo(same[..., 0].copy()),
        Photo(same),
    ]
    assert engine.together(given) == [0, 5, 6]
    assert engine.together(given[1:]) == [0]
    for index in (2, 3, 4):
        assert engine.together(given[index:]) == [0]


def test_photos_go_together_up_to_the_pixels_of_the_smallest_tile() -> None:
    engine = taking_several(FAST)
    assert len(engine.together(photos(30, 40, 48))) == 10
    assert engine.together(photos(3, 144, 73)) == [0]


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_on_a_cpu_each_photo_is_alone(precision: engine_module.Precision) -> None:
    assert Engine(FAST, tile=64, precision=precision, device="cpu").together(photos(3)) == [0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_photos_go_together_in_auto_only() -> None:
    fast, exact = (
        Engine(copy.deepcopy(FAST), tile=64, precision=precision, device="cuda")
        for precision in ("auto", "fp32")
    )
    given = photos(3)
    assert fast.together(given) == [0, 1, 2]
    assert exact.together(given) == [0]
    for photo, result in zip(given, fast.upscale_photos(given), strict=True):
        error = np.square(exact.upscale(photo.pixels).astype(np.float64) - result.pixels).mean()
        assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 50


class BrokenByWhite(Nearest):
    """Gives NaN for a photo that is all white."""

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        white = (lr == 1).flatten(1).all(1).view(-1, 1, 1, 1)
        return torch.where(white, torch.nan, super().head(features, lr))


def test_one_that_breaks_the_network_is_an_error_of_all() -> None:
    engine, given = taking_several(BrokenByWhite(2)), photos(3)
    engine.upscale_photos(given)
    given[1] = Photo(np.full_like(given[1].pixels, 255))
    with pytest.raises(ImageError, match="not_finite"):
        engine.upscale_photos(given)
