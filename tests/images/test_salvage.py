"""A cut JPEG is read as far as it goes when that is wanted."""

import numpy as np
import pytest

from srgan.errors import ImageError
from srgan.images import Photo, decode
from tests.support.image_files import XMP, file, picture


def read(data: bytes, *, salvage: bool = False) -> Photo:
    return decode(data, max_pixels=40_000, salvage=salvage)


@pytest.mark.parametrize("after", [b"", bytes(5000), b"\0\xff\0"])
def test_a_cut_jpeg_is_salvaged_when_that_is_wanted(after: bytes) -> None:
    whole = file(picture(160, 224), "jpeg")
    for cut, num_rows in ((whole[:-2], 160), (whole[: len(whole) * 3 // 4], 16)):
        with pytest.raises(ImageError, match="truncated"):
            read(cut + after)
        photo = read(cut + after, salvage=True)
        assert photo.lost == ("end of the file",)
        np.testing.assert_array_equal(photo.pixels[:num_rows], read(whole).pixels[:num_rows])


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("end", [-2, -40, -1])
def test_a_cut_jpeg_before_a_second_image_is_salvaged_too(end: int, progressive: bool) -> None:
    whole = file(picture(160, 224), "jpeg", xmp=XMP, progressive=progressive)
    second = file(picture(16, 16), "jpeg")
    with pytest.raises(ImageError, match="truncated"):
        read(whole[:end] + second)
    photo = read(whole[:end] + second, salvage=True)
    assert photo.lost == ("end of the file", "further images")
    assert photo.xmp is not None
    assert b"Container:Directory" not in photo.xmp
    np.testing.assert_array_equal(photo.pixels[:64], read(whole).pixels[:64])
