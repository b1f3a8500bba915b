import numpy as np
import pytest

from srgan.errors import ImageError
from srgan.images import Photo
from srgan.images.resample import shrink
from srgan.resize.arrays import imresize

PIXELS = np.random.default_rng(0).integers(0, 256, (27, 18, 3), dtype=np.uint8)


def test_the_remainder_at_the_right_and_the_bottom_is_cut_before_shrinking() -> None:
    result = shrink(Photo(PIXELS), 4).pixels
    np.testing.assert_array_equal(result, imresize(PIXELS[:24, :16], scale=0.25))


def test_gray_and_alpha_shrink_alike_and_metadata_stays() -> None:
    photo = Photo(
        pixels=PIXELS[..., 0], alpha=PIXELS[..., 1], icc_profile=b"profile", dpi=(300.0, 150.0)
    )
    result = shrink(photo, 3)
    expected = imresize(PIXELS, scale=1 / 3)
    np.testing.assert_array_equal(result.pixels, expected[..., 0])
    assert result.alpha is not None
    np.testing.assert_array_equal(result.alpha, expected[..., 1])
    assert (result.icc_profile, result.dpi) == (b"profile", (100.0, 50.0))


def test_a_photo_smaller_than_one_pixel_of_the_result_is_refused() -> None:
    with pytest.raises(ImageError, match="too_small: 2×27 pixels are less than one at 1/3"):
        shrink(Photo(PIXELS[:, :2]), 3)
