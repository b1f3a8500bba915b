"""LR photos that lie on their HR photos, and those that do not."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from srgan.data.alignment import check_alignment, find_shift
from srgan.errors import ImageError
from srgan.images.photo import luma
from srgan.resize.arrays import imresize

Pixels = NDArray[np.uint8]
Draw = Callable[..., Pixels]
SCALE = 4


def shrunk(hr: Pixels) -> Pixels:
    return imresize(np.ascontiguousarray(hr), scale=1 / SCALE)


def damaged(lr: Pixels) -> Pixels:
    """Blur, noise and JPEG, as of an old telephone."""
    blurred = np.asarray(Image.fromarray(lr).filter(ImageFilter.GaussianBlur(1)))
    noise = np.random.default_rng(1).normal(0, 15, lr.shape)
    noisy = np.clip(blurred + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file))


def scene(draw_photo: Draw) -> Pixels:
    """HR (320, 400, 3) with structure that LR still shows."""
    return imresize(draw_photo(7, 160, 200), scale=2)


def moved(draw_photo: Draw, down: int, right: int) -> tuple[Pixels, Pixels]:
    """HR, and LR that shows it `down` and `right` HR pixels further."""
    whole = scene(draw_photo)
    other = whole[8 - down : 312 - down, 8 - right : 392 - right]
    return whole[8:312, 8:392], shrunk(other)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (4, 0), (0, -4), (2, 1), (-8, 6)])
def test_a_shift_is_found_to_a_tenth_of_an_lr_pixel(
    draw_photo: Draw, down: int, right: int
) -> None:
    hr, lr = moved(draw_photo, down, right)
    for found in (lr, damaged(lr)):
        shift = find_shift(luma(shrunk(hr)).astype(float), luma(found).astype(float))
        assert tuple(shift) == pytest.approx((down / SCALE, right / SCALE), abs=0.1)


def test_lr_that_lies_on_hr_passes_also_when_it_is_damaged(draw_photo: Draw) -> None:
    hr, lr = moved(draw_photo, 0, 0)
    check_alignment(hr, lr, SCALE)
    check_alignment(hr, damaged(lr), SCALE)
    check_alignment(hr, np.ascontiguousarray(hr[::SCALE, ::SCALE]), SCALE)


def test_lr_that_is_shifted_by_a_pixel_is_rejected_and_the_reason_says_how_far(
    draw_photo: Draw,
) -> None:
    hr, lr = moved(draw_photo, 4, -4)
    with pytest.raises(ImageError, match=r"shifted: LR lies 1\.0 down and 1\.0 left of HR"):
        check_alignment(hr, lr, SCALE)


@pytest.mark.parametrize("change", ["larger", "turned"])
def test_lr_that_is_in_place_on_average_alone_is_rejected(draw_photo: Draw, change: str) -> None:
    hr, lr = moved(draw_photo, 0, 0)
    height, width = lr.shape[:2]
    if change == "turned":
        wrong = Image.fromarray(lr).rotate(1.5, Image.Resampling.BICUBIC)
    else:
        part = (width * 0.02, height * 0.02, width * 0.98, height * 0.98)
        wrong = Image.fromarray(lr).resize((width, height), Image.Resampling.BICUBIC, part)
    with pytest.raises(ImageError, match=r"shifted: .* quarter of LR lies"):
        check_alignment(hr, np.asarray(wrong), SCALE)


def test_another_size_is_rejected_with_all_sizes(draw_photo: Draw) -> None:
    hr, lr = moved(draw_photo, 0, 0)
    with pytest.raises(ImageError, match="missized: HR has 384 × 304 pixels, 4 times the 95 × 76"):
        check_alignment(hr, lr[:, :-1], SCALE)


def test_another_photo_is_rejected_with_its_correlation(draw_photo: Draw) -> None:
    hr, _ = moved(draw_photo, 0, 0)
    other = shrunk(draw_photo(8, *hr.shape[:2]))
    with pytest.raises(
        ImageError, match=r"unlike: the correlation with HR is -?0\.\d\d, less than"
    ):
        check_alignment(hr, other, SCALE)


def test_photos_without_detail_have_no_place_and_pass() -> None:
    hr = np.full((256, 256, 3), 90, np.uint8)
    check_alignment(hr, np.full((64, 64, 3), 92, np.uint8), SCALE)
