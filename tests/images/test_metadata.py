import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.ExifTags import IFD, Base

from srgan.images import Photo, decode, encode
from tests.images.files import exif, file, picture, png, png_chunk, srgb_profile


def read(data: bytes) -> Photo:
    return decode(data, max_pixels=10_000)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied_and_reset(orientation: int, order: str) -> None:
    block = exif(orientation, order)
    data = file(picture(), "png", exif=block)
    photo = read(data)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(photo.pixels, np.asarray(expected))
    assert photo.exif == exif(1, order), "all other bytes, maker notes too, stay as they were"


def test_alpha_and_dpi_turn_with_the_pixels() -> None:
    with_alpha = np.dstack([picture(), picture()[:, :, 0]])
    photo = read(file(with_alpha, "png", exif=exif(6), dpi=(300, 150)))
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha, photo.pixels[:, :, 0])
    assert photo.dpi == pytest.approx((150, 300), abs=0.02)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_icc_profile_and_exif_are_kept(kind: str) -> None:
    photo = read(file(picture(), kind, icc_profile=srgb_profile(), exif=exif(1)))
    assert photo.icc_profile == srgb_profile()
    assert photo.exif is not None
    assert b"abc\x00" in photo.exif


def test_a_tiffs_descriptive_tags_become_its_exif_and_its_structure_does_not() -> None:
    tags = Image.Exif()
    tags[Base.Make], tags[Base.Orientation] = "Maker", 6
    tags[IFD.Exif] = {Base.DateTimeOriginal: "2020:01:01 00:00:00"}
    photo = read(file(picture(), "tiff", exif=tags.tobytes()))
    assert photo.pixels.shape == (56, 40, 3)
    for copy in (photo, read(encode(photo, format="tiff", jpeg_quality=90))):
        assert copy.exif is not None
        kept = Image.Exif()
        kept.load(copy.exif)
        assert kept[Base.Make] == "Maker"
        assert kept.get_ifd(IFD.Exif)[Base.DateTimeOriginal] == "2020:01:01 00:00:00"
        assert not {Base.Orientation, Base.ImageWidth, Base.StripOffsets} & set(kept)


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\x00\x00",
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff",
        exif(6)[:30],
        exif(9),
        b"Exif\x00\x00no TIFF at all",
    ],
)
def test_a_damaged_exif_block_does_not_cost_the_photo(block: bytes) -> None:
    for kind in ("jpeg", "png"):
        assert read(file(picture(), kind, exif=block)).pixels.shape == (40, 56, 3)


def test_a_text_chunk_cannot_pass_for_metadata() -> None:
    names = (b"transparency", b"dpi", b"icc_profile", b"exif")
    texts = [png_chunk(b"tEXt", name + b"\x00text") for name in names]
    photo = read(png(1, 1, 8, 2, b"\x00\x01\x02\x03", *texts))
    assert photo.pixels.tolist() == [[[1, 2, 3]]]
    assert (photo.alpha, photo.dpi, photo.icc_profile) == (None, None, None)


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff"])
def test_dpi_is_read_where_the_file_names_one(kind: str) -> None:
    assert read(file(picture(), kind, dpi=(300, 300))).dpi == pytest.approx((300, 300), abs=0.01)
    assert read(file(picture(), kind)).dpi is None
