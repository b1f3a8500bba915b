"""JPEGs in TIFF files are read as other programs read them."""

import io
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from srgan.errors import ImageError
from tests.support.image_files import file, picture, read
from tests.support.tiffs import by_hand, channels, written

JPEG = {258: (8, 8, 8), 259: 7, 277: 3}


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize(
    ("photometric", "num_channels", "options"),
    [
        ("minisblack", 1, {}),
        ("miniswhite", 1, {}),
        ("rgb", 3, {"subsampling": (1, 1)}),
        ("rgb", 3, {"subsampling": (2, 1)}),
        ("rgb", 3, {"subsampling": (2, 2)}),
        ("rgb", 3, {"planarconfig": "separate"}),
        ("rgb", 3, {"compressionargs": {"level": 95, "outcolorspace": "rgb"}}),
        ("separated", 4, {}),
        ("minisblack", 2, {"planarconfig": "contig", "extrasamples": ["unassalpha"]}),
        ("miniswhite", 2, {"planarconfig": "contig", "extrasamples": ["unassalpha"]}),
    ],
)
def test_a_tiff_compressed_as_jpeg_is_read_as_tifffile_reads_it(
    tile: Any, photometric: str, num_channels: int, options: dict[str, Any]
) -> None:
    values = np.dstack([picture(), picture()[:, ::-1, 0]])[:, :, :num_channels].squeeze()
    planar = options.get("planarconfig") == "separate"
    data = written(
        np.moveaxis(values, 2, 0) if planar else values,
        photometric=photometric,
        compression="jpeg",
        tile=tile,
        **({"compressionargs": {"level": 95}} | options),
    )
    photo = read(data)
    theirs = tifffile.imread(io.BytesIO(data))
    if photometric == "separated":
        expected = np.asarray(Image.frombytes("CMYK", (56, 40), theirs.tobytes()).convert("RGB"))
    elif "extrasamples" in options:
        np.testing.assert_array_equal(photo.alpha, theirs[:, :, 1])
        expected = theirs[:, :, 0] if photometric == "minisblack" else 255 - theirs[:, :, 0]
    elif photometric == "miniswhite":
        expected = 255 - theirs
    else:
        expected = np.moveaxis(theirs, 0, 2) if planar else theirs
        assert np.abs(channels(photo).squeeze() - values).mean() < 3
    np.testing.assert_array_equal(photo.pixels, expected)


def test_jpeg_tiles_of_rgb_and_alpha_are_read() -> None:
    values = np.dstack([picture(16, 32), picture(16, 32)[:, ::-1, 0]])
    tiles = [imagecodecs.jpeg8_encode(values[:, x : x + 16].copy(), 95) for x in (0, 16)]
    size = len(tiles[0])
    tags = {258: (8,) * 4, 277: 4, 262: 2, 338: 2, 259: 7, 322: 16, 323: 16}
    places = {324: (8, 8 + size), 325: (size, len(tiles[1]))}
    photo = read(by_hand(b"".join(tiles), 32, 16, tags | places))
    assert np.abs(channels(photo) - values).max() <= 8


@pytest.mark.parametrize("said", [{}, {530: (2, 2)}, {530: (1, 1)}])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_the_colours_of_a_jpeg_in_a_tiff_are_as_many_as_it_has_whatever_the_tiff_says(
    said: dict[int, Any], subsampling: int
) -> None:
    jpeg = file(picture(16, 32), "jpeg", subsampling=subsampling, quality=95)
    photo = read(by_hand(jpeg, 32, 16, JPEG | {262: 6} | said))
    expected = np.asarray(Image.open(io.BytesIO(jpeg)))
    np.testing.assert_array_equal(photo.pixels, expected)


def test_a_jpeg_in_a_tiff_of_a_kind_that_libtiff_does_not_read_is_unsupported() -> None:
    jpeg = file(picture(16, 32), "jpeg", progressive=True)
    for tags, reason in (
        (JPEG | {262: 6}, "unsupported: progressive JPEG in a TIFF"),
        ({258: 16, 259: 7, 262: 1}, "unsupported: JPEG of 16 bits in a TIFF"),
        ({258: 8, 259: 50001, 262: 1}, "unsupported: .* WEBP driver doesn't support 1 bands"),
    ):
        with pytest.raises(ImageError, match=f"^{reason}"):
            read(by_hand(jpeg, 32, 16, tags))


def test_a_jpeg_in_a_tiff_that_ends_too_early_is_corrupt() -> None:
    jpeg = file(picture(16, 32), "jpeg")[:-60]
    with pytest.raises(ImageError, match=r"^corrupt: .* damaged, or end too early"):
        read(by_hand(jpeg, 32, 16, JPEG | {262: 6}))
