"""Which crops a report shows, and with what."""

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from srgan.measure.comparison import compare, with_bicubic
from srgan.measure.pictures import Detail, Details, most_different
from tests.support.contents import Pixels, Roughness, crops_of, nearest


def half(lr: Pixels) -> Pixels:
    """Right at the left, wrong at the right: there the focus belongs."""
    sr = nearest(lr)
    sr[:, sr.shape[1] // 2 :] = 255 - sr[:, sr.shape[1] // 2 :]
    return sr


def details(
    draw_photo: Callable[..., Any], num: int, methods: dict[str, Any], *, distance: bool = True
) -> Details:
    crops = crops_of(draw_photo, [f"{number}.png" for number in range(num)])
    everyone = with_bicubic(methods, 4)
    images = compare(
        crops,
        everyone,
        scale=4,
        progress=lambda done, total: None,
        distances=[Roughness()] if distance else [],
    )
    return most_different(crops, images, everyone, scale=4)


def test_gains_come_first_losses_last_and_no_photo_twice(draw_photo: Callable[..., Any]) -> None:
    found = details(draw_photo, 7, {"model": nearest, "champion": half}).details
    assert len(found) == 4
    gains = [each.gain for each in found]
    assert gains == sorted(gains, reverse=True)
    assert len({each.source for each in found}) == 4
    assert {each.opponent for each in found} == {"champion"}


def test_without_a_distance_the_squared_error_chooses(draw_photo: Callable[..., Any]) -> None:
    def error_saved(each: Detail) -> float:
        mine, theirs = (10 ** (-each.figures[name].psnr / 10) for name in ("model", "bicubic"))
        return theirs - mine

    found = details(draw_photo, 3, {"model": half}, distance=False).details
    saved = [error_saved(each) for each in found]
    assert saved == sorted(saved, reverse=True)
    assert len(set(saved)) == 3
    assert {each.figure for each in found} == {"psnr"}


def test_the_focus_lies_where_the_two_differ_most(draw_photo: Callable[..., Any]) -> None:
    for each in details(draw_photo, 2, {"model": nearest, "champion": half}).details:
        _, left, side = each.focus
        assert side == 64
        assert left == 96 - 64, "the right half is where they differ"


def test_the_pictures_are_the_pixels_to_the_bit(draw_photo: Callable[..., Any]) -> None:
    (first, *_) = details(draw_photo, 2, {"model": nearest}).details
    assert first.opponent == "bicubic"
    assert first.images.keys() == {"bicubic", "model", "original"}
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(first.images["original"]))))
    np.testing.assert_array_equal(found, draw_photo(first.crop, 96, 96))


def test_a_model_that_gives_no_image_has_nothing_to_show(draw_photo: Callable[..., Any]) -> None:
    def broken(_: Pixels) -> Pixels:
        from srgan.errors import ImageError

        raise ImageError("not_finite", "NaN")

    assert details(draw_photo, 2, {"model": broken}).details == []
