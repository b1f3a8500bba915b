import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from srgan.images import Photo
from srgan.images.codecs.pixels import bled
from tests.support.image_files import picture

DTYPES = [np.uint8, np.uint16]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_cut_out_of_one_colour_has_that_colour_everywhere(dtype: type) -> None:
    rng = np.random.default_rng(0)
    for height, width in ((1, 1), (1, 9), (7, 2), (33, 40)):
        alpha = rng.integers(0, 2, (height, width)).astype(dtype) * 90
        alpha[rng.integers(height), rng.integers(width)] = 1
        colour = np.array([200, 30, 70], dtype)
        pixels = np.where(alpha[:, :, None] > 0, colour, dtype(0))
        np.testing.assert_array_equal(
            bled(Photo(pixels, alpha)), np.broadcast_to(colour, pixels.shape), strict=True
        )


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(DTYPES), st.tuples(st.integers(1, 12), st.integers(1, 12)), st.data())
def test_visible_pixels_stay_and_the_others_are_between_them(
    dtype: type, size: tuple[int, int], data: st.DataObject
) -> None:
    pixels = data.draw(arrays.arrays(dtype, (*size, 3)))
    alpha = data.draw(arrays.arrays(dtype, size, elements=st.integers(0, 2)))
    result = bled(Photo(pixels, alpha))
    seen = alpha > 0
    np.testing.assert_array_equal(result[seen], pixels[seen], strict=True)
    if seen.any():
        assert (result >= pixels[seen].min(axis=0)).all()
        assert (result <= pixels[seen].max(axis=0)).all()


def test_hidden_pixels_take_the_colour_of_what_is_next_to_them() -> None:
    pixels = np.zeros((8, 16, 3), np.uint8)
    alpha = np.zeros((8, 16), np.uint8)
    pixels[:, :3], pixels[:, 13:] = (250, 0, 0), (0, 0, 250)
    alpha[:, :3] = alpha[:, 13:] = 255
    result = bled(Photo(pixels, alpha))
    assert (result[:, 3] == (250, 0, 0)).all()
    assert (result[:, 12] == (0, 0, 250)).all()


def test_a_fully_visible_or_fully_hidden_photo_stays_as_it_is() -> None:
    for alpha in (None, np.ones((40, 56), np.uint8), np.zeros((40, 56), np.uint8)):
        np.testing.assert_array_equal(bled(Photo(picture(), alpha)), picture())


def test_bands_leave_no_trace_and_hold_few_floats() -> None:
    """The memory budget of an image does not include copies in floats."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (1001, 700, 3), dtype=np.uint8)
    alpha = rng.integers(0, 2, (1001, 700), dtype=np.uint8)
    photo = Photo(pixels, alpha)
    whole = bled(photo)
    top = bled(Photo(pixels[:130], alpha[:130]))
    # If every 2×2 block has a visible pixel, a band cut off equals that of the whole image.
    seen = alpha[:128].reshape(64, 2, 350, 2).any(axis=(1, 3)).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(whole[:128][seen], top[:128][seen], strict=True)
    tracemalloc.start()
    bled(photo)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 20 * alpha.size
