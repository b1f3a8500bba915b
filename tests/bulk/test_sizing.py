from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srgan.bulk.sizing import Sizing
from srgan.errors import ConfigError, ImageError
from srgan.images import Photo
from srgan.images.spool import SpooledPhoto
from srgan.inference.engine import Engine
from srgan.inference.memory import PROCESS_BYTES
from srgan.models.interpolation import Nearest
from srgan.resize.arrays import resample

SIDES = st.integers(1, 20_000)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, (400, 800)),
        ({"scale": 3}, (300, 600)),
        ({"scale": 2.5}, (250, 500)),
        ({"scale": 8}, (800, 1600)),
        ({"size": "640x"}, (320, 640)),
        ({"size": "x333"}, (333, 666)),
        ({"size": "1000x300"}, (300, 600)),
        ({"size": "300x1000"}, (150, 300)),
    ],
)
def test_a_result_has_the_size_that_was_asked_for(
    wanted: dict[str, object], expected: tuple[int, int]
) -> None:
    assert Sizing(4, **wanted).shape(100, 200) == expected  # type: ignore[arg-type]  # parametrized


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_a_box_is_touched_and_never_left(
    height: int, width: int, box_width: int, box_height: int
) -> None:
    sizing = Sizing(4, size=f"{box_width}x{box_height}")
    if not 1 <= min(box_width / width, box_height / height) <= 8:
        with pytest.raises(ImageError, match="target_size"):
            sizing.shape(height, width)
        return
    new_height, new_width = sizing.shape(height, width)
    assert new_width == box_width or new_height == box_height
    assert height <= new_height <= box_height
    assert width <= new_width <= box_width
    assert abs(new_width * height / width - new_height) < 1 + height / width


def test_a_photo_that_would_shrink_or_grow_beyond_twice_the_model_is_refused() -> None:
    sizing = Sizing(4, size="800x")
    assert sizing.shape(1, 100) == (8, 800)
    for width in (99, 801):
        with pytest.raises(ImageError, match=rf"target_size: {width}×50 .* for 800x; from 1 to 8"):
            sizing.shape(50, width)


@pytest.mark.parametrize("scale", [0.99, 0, -3, 8.01, float("nan"), float("inf")])
def test_a_scale_out_of_bounds_is_refused_with_them(scale: float) -> None:
    with pytest.raises(ConfigError, match="a model of scale 4 is used from 1 to 8"):
        Sizing(4, scale=scale)


@pytest.mark.parametrize(
    "size", ["", "x", "4096", "0x10", "10x0", "-1x", "1e3x", "9999999x", "4 x"]
)
def test_a_size_that_is_none_says_what_one_is(size: str) -> None:
    with pytest.raises(ConfigError, match=r"expected 4096x \(width\), x2160"):
        Sizing(4, size=size)


def test_scale_and_size_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="scale 3 and size 100x exclude each other"):
        Sizing(4, scale=3, size="100x")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_models_result_is_resampled_with_alpha_and_dpi(dtype: type) -> None:
    rng = np.random.default_rng(0)
    most = np.iinfo(dtype).max
    page = Photo(rng.integers(0, most, (5, 7), dtype=dtype))
    photo = Photo(
        rng.integers(0, most, (6, 9, 3), dtype=dtype),
        alpha=rng.integers(0, most, (6, 9), dtype=dtype),
        dpi=(100, 200),
        pages=(page,),
    )
    sr = Engine(Nearest(4), tile=64).upscale_photo(photo)
    result = Sizing(4, scale=3).fitted(sr, photo)
    assert sr.alpha is not None
    np.testing.assert_array_equal(result.pixels, resample(sr.pixels, 18, 27))
    np.testing.assert_array_equal(result.alpha, resample(sr.alpha, 18, 27))
    np.testing.assert_array_equal(result.pages[0].pixels, resample(sr.pages[0].pixels, 15, 21))
    assert result.dpi == pytest.approx((300, 600))


def test_the_models_own_scale_costs_nothing() -> None:
    photo = Photo(np.zeros((2, 3, 3), np.uint8))
    sr = Engine(Nearest(4), tile=64).upscale_photo(photo)
    for sizing in (Sizing(4), Sizing(4, scale=4), Sizing(4, size="12x")):
        assert sizing.fitted(sr, photo).pixels is sr.pixels


def test_a_cut_out_has_no_fringe_in_another_size_either() -> None:
    inside = np.hypot(*np.mgrid[-20:20, -20:20]) < 12
    colour = np.array([200, 120, 40], np.uint8)
    photo = Photo(
        np.where(inside[:, :, None], colour, np.uint8(0)), np.where(inside, 255, 0).astype(np.uint8)
    )
    result = Sizing(4, scale=2.7).fitted(Engine(Nearest(4), tile=64).upscale_photo(photo), photo)
    assert result.alpha is not None
    assert (result.pixels[result.alpha > 0] == colour).all()


@pytest.mark.parametrize("alpha", [None, np.full((60, 90), 9, np.uint8)])
def test_a_result_on_the_disk_is_resampled_to_the_disk(alpha: np.ndarray | None) -> None:  # type: ignore[type-arg]
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    photo = Photo(pixels, alpha, dpi=(100, 200), pages=(Photo(pixels[:, :, 0].copy()),))
    engine = Engine(Nearest(4), tile=64, memory_bytes=PROCESS_BYTES + 2**16)
    sizing = Sizing(4, scale=2.5)
    result = sizing.fitted(engine.upscale_photo(photo), photo)
    expected = sizing.fitted(Engine(Nearest(4), tile=64).upscale_photo(photo), photo)
    for found, wanted in zip((result, *result.pages), (expected, *expected.pages), strict=True):
        assert isinstance(found, SpooledPhoto)
        np.testing.assert_array_equal(found.pixels, wanted.pixels, strict=True)
        assert (found.alpha is None) == (wanted.alpha is None)
        assert found.dpi == wanted.dpi
    assert not isinstance(expected, SpooledPhoto)


@pytest.mark.parametrize(
    ("options", "growth"),
    [({}, 1), ({"scale": 2.0}, 1), ({"scale": 6.0}, 2.25), ({"size": "x9"}, 4)],
)
def test_results_grow_by_what_is_asked_for_and_at_most_four_times(
    options: dict[str, Any], growth: float
) -> None:
    assert Sizing(4, **options).growth == growth
