import numpy as np
import pytest

from srgan.images import decode, strip
from srgan.images.strip import stack
from tests.support.image_files import picture


def test_a_strip_shows_each_image_unaltered_under_its_caption() -> None:
    left, right = picture(60, 200), np.full((60, 180), 77, np.uint8)
    sheet = decode(strip([("bicubic", left), ("original", right)]), max_pixels=10**6).rgb
    assert sheet.shape[0] > 60
    assert np.array_equal(sheet[-60:, :200], left)
    assert (sheet[-60:, -180:] == 77).all()
    captions = sheet[:-60]
    assert (captions[:, :200] < 128).any()
    assert (captions[:, -180:] < 128).any()


def test_a_caption_wider_than_its_image_is_not_cut() -> None:
    sheet = decode(strip([("a caption of some length", picture(20, 20))]), max_pixels=10**6).rgb
    assert sheet.shape[1] > 100
    assert (sheet[:, :1] == 255).all()


def test_images_of_different_heights_are_refused_with_their_heights() -> None:
    with pytest.raises(ValueError, match=r"heights \[20, 30\]"):
        strip([("a", picture(20, 20)), ("b", picture(30, 20))])
    with pytest.raises(ValueError, match=r"heights \[\]"):
        strip([])


def test_pictures_are_stacked_unaltered_below_each_other() -> None:
    upper, lower = strip([("a", picture(20, 200))]), strip([("b", picture(30, 90))])
    sheet = decode(stack([upper, lower]), max_pixels=10**6).rgb
    above, below = (decode(each, max_pixels=10**6).rgb for each in (upper, lower))
    assert np.array_equal(sheet[: above.shape[0], : above.shape[1]], above)
    assert np.array_equal(sheet[-below.shape[0] :, : below.shape[1]], below)
    assert decode(stack([upper], kind="jpeg"), max_pixels=10**6).format == "jpeg"
