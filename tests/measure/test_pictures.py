"""The comparison picture, and the crops that a report shows."""

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from srgan.measure.comparison import compare, with_bicubic
from srgan.measure.pictures import Detail, Details, comparison_picture, most_different
from tests.support.contents import (
    Pixels,
    Roughness,
    crops_from,
    crops_of,
    gives_nan,
    nearest,
)

SCALE = 4


def test_the_picture_has_a_column_per_method_and_shows_each_photo_once(
    draw_photo: Callable[..., Pixels],
) -> None:
    crops = crops_from([draw_photo(seed, 96, 96) for seed in range(3)], photos=[0, 0, 1])
    picture = comparison_picture(crops, with_bicubic({"model": nearest}, SCALE), scale=SCALE)
    shown = Image.open(io.BytesIO(picture))
    columns, rows = 3, 2
    assert shown.width >= columns * 256
    assert rows * 256 <= shown.height < (rows + 1) * 256


def test_the_picture_shows_the_window_with_the_strongest_edges() -> None:
    hr = np.full((128, 128, 3), 128, np.uint8)
    hr[80:110, 80:110] = 255
    picture = comparison_picture(crops_from([hr]), with_bicubic({}, SCALE), scale=SCALE)
    original = np.asarray(Image.open(io.BytesIO(picture)).convert("L"))[-256:, -256:]
    assert (original == 255).sum() == (30 * 4) ** 2, "the square should be shown whole, enlarged"


def test_an_output_of_nan_is_black_in_the_picture(draw_photo: Callable[..., Pixels]) -> None:
    crops = crops_from([draw_photo(1, 64, 64)])
    methods = with_bicubic({"model": gives_nan}, SCALE)
    picture = comparison_picture(crops, methods, scale=SCALE)
    assert (np.asarray(Image.open(io.BytesIO(picture)).convert("L")) == 0).sum() >= 256**2


def half(lr: Pixels) -> Pixels:
    """Right on the left and wrong on the right, where the focus belongs."""
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


def test_a_model_whose_outputs_are_all_nan_has_no_details(draw_photo: Callable[..., Any]) -> None:
    assert details(draw_photo, 2, {"model": gives_nan}).details == []
