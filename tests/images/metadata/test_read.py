"""All that a file says about its photo is read, and what a result cannot say is named."""

import io
import struct
import time
import zlib
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps
from PIL.ExifTags import IFD, Base

from srgan.images import encode
from srgan.images.metadata.directories import read_block
from srgan.images.metadata.exif_block import resolution
from tests.support.image_files import (
    GEO,
    IPTC,
    XMP,
    camera_exif,
    directory,
    exif,
    exif_dpi,
    file,
    jpeg_segment,
    picture,
    png,
    png_chunk,
    read,
    srgb_profile,
)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied_and_reset(orientation: int, order: str) -> None:
    block = exif(orientation, order)
    data = file(picture(), "png", exif=block)
    photo = read(data)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(photo.pixels, np.asarray(expected))
    assert photo.exif == exif(1, order), "all other bytes, including maker notes, stay"


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
        b"Exif\x00\x00not a TIFF at all",
    ],
)
def test_a_damaged_exif_block_does_not_fail_the_photo(block: bytes) -> None:
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


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_dpi_is_read_from_the_exif_where_the_file_itself_names_none(kind: str, order: str) -> None:
    def dpi(block: bytes, **options: object) -> tuple[float, float] | None:
        return read(file(picture(), kind, exif=block, **options)).dpi

    assert dpi(exif_dpi(300, 150, order=order)) == (300, 150)
    assert dpi(exif_dpi(300, 150, orientation=6, order=order)) == (150, 300), "it turns too"
    assert dpi(exif_dpi(100, 100, unit=3, order=order)) == (254, 254), "dots per centimetre"
    assert dpi(exif_dpi(300, 300, unit=1, order=order)) is None, "a ratio alone"
    assert dpi(exif_dpi(300, 0, order=order)) is None
    assert dpi(exif_dpi(300, 300, order=order)[:70]) is None, "damaged"
    if kind != "webp":
        own = dpi(exif_dpi(300, 300, order=order), dpi=(72, 72))
        assert own == pytest.approx((72, 72), abs=0.01), "the dpi of the file itself count first"


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("unit", [2, 3])
def test_the_exif_of_a_written_photo_names_the_resolution_it_has_now(kind: str, unit: int) -> None:
    photo = read(file(picture(), "jpeg", exif=exif_dpi(100, 50, unit)))
    assert photo.dpi is not None
    large = replace(photo, dpi=(photo.dpi[0] * 4, photo.dpi[1] * 4))
    for before, after in ((photo, exif_dpi(100, 50, unit)), (large, exif_dpi(400, 200, unit))):
        copy = read(encode(before, format=kind, jpeg_quality=90))
        assert copy.dpi == pytest.approx(before.dpi, rel=0.005)
        if kind == "tiff":  # whose tags are its EXIF
            continue
        assert copy.exif is not None
        assert resolution(copy.exif) == pytest.approx(before.dpi)
        assert copy.exif[:68] == after[:68], "entries stay"
        assert copy.exif.endswith(b"maker note")
    assert read(encode(photo, format="png", jpeg_quality=90)).exif == photo.exif, "to the byte"


@pytest.mark.parametrize("depth", [8, 16])
def test_texts_and_profiles_of_any_size_do_not_fail_a_png(depth: int) -> None:
    text = zlib.compress(bytes(3 * 2**20))
    large, too_large = bytes(range(256)) * 2**13, bytes(17 * 2**20)
    texts = [
        png_chunk(b"zTXt", b"a\x00\x00" + text),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x01\x00\x00\x00" + text),
        png_chunk(b"tEXt", b"b\x00" + bytes(3 * 2**20)),
        png_chunk(b"gAMA", b""),
        png_chunk(b"pHYs", b"short"),
    ]
    for packed, expected in (
        (zlib.compress(large), large),
        (zlib.compress(too_large), None),
        (zlib.compress(large)[:-9], None),
        (b"noise", None),
    ):
        chunk = png_chunk(b"iCCP", b"name\x00\x00" + packed)
        photo = read(png(1, 1, depth, 0, b"\x00" + bytes(depth // 8), chunk, *texts))
        assert photo.pixels.tolist() == [[0]]
        assert photo.icc_profile == expected


def test_only_the_first_of_thousands_of_profiles_is_unpacked() -> None:
    packed = zlib.compress(bytes(17 * 2**20))
    first = png_chunk(b"iCCP", b"name\x00\x00" + packed)
    began = time.process_time()
    photo = read(png(1, 1, 8, 0, b"\x00\x00", first, png_chunk(b"iCCP", b"") * 3000))
    assert time.process_time() - began < 5
    assert photo.lost == ("ICC profile",)


def test_a_thousand_unknown_segments_are_named_once() -> None:
    data = file(picture(), "jpeg")
    photo = read(data[:2] + jpeg_segment(0xE3, b"unknown") * 1000 + data[2:])
    assert photo.lost == ("JPEG segment APP3",)


def test_a_turned_geotiff_says_that_it_no_longer_lies_anywhere() -> None:
    photo = read(file(picture(), "tiff", tiffinfo={274: 6, **GEO}))
    assert (photo.geo, photo.lost) == ((), ("GeoTIFF tags",))


def test_images_and_videos_behind_a_jpeg_are_named_and_xmp_no_longer_speaks_of_them() -> None:
    other = file(picture(), "jpeg")
    for more, name in (
        (other, "further images"),
        (other + b"hdrgm:Version", "gain map"),
        (b"\x00\x00\x00\x18ftypmp42", "motion video"),
        (b"left over", "bytes after the image"),
    ):
        photo = read(file(picture(), "jpeg", xmp=XMP) + more)
        assert photo.lost == (name,)
        assert b"hdrgm:" not in (photo.xmp or b"")
        assert b"Container:Directory" not in (photo.xmp or b"")
        assert b"Rating" in (photo.xmp or b"")
    credentials = file(picture(), "jpeg", extra=jpeg_segment(0xEB, b"JP..."))
    assert read(credentials).lost == ("content credentials",)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_preview_of_a_camera_is_named_as_one(order: str) -> None:
    first, preview = file(picture(), "jpeg"), file(picture(), "jpeg")
    for kind, name in ((0x010001, "preview"), (0x020002, "further images")):
        images = struct.pack(order + "4I", 0x030000, 0, 0, 0)
        images += struct.pack(order + "4I", kind, 0, 0, 0)
        index = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
        index += directory(
            8, {0xB001: (4, 1, struct.pack(order + "I", 2)), 0xB002: (7, 32, images)}, order
        )
        segment = jpeg_segment(0xE2, b"MPF\x00" + index)
        assert read(first[:2] + segment + first[2:] + preview).lost == (name,)


def test_a_damaged_thumbnail_costs_nothing_else() -> None:
    block = camera_exif(6)
    for tag in (0x0201, 0x0202):
        at = block.rindex(struct.pack("<HHI", tag, 4, 1))
        for entry in (struct.pack("<HHII", tag, 4, 1, 2**31), struct.pack("<HHI", tag, 7, 1)):
            damaged = block[:at] + entry + block[at + len(entry) :]
            photo = read(file(picture(), "jpeg", exif=damaged))
            assert photo.pixels.shape == (56, 40, 3)
            assert b"maker note" in (photo.exif or b"")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["B", "I"])
def test_iptc_of_a_tiff_may_be_declared_as_bytes_or_as_numbers(order: str, kind: str) -> None:
    iptc = IPTC + bytes(-len(IPTC) % 4)
    code, count = (4, len(iptc) // 4) if kind == "I" else (7, len(iptc))
    value = struct.unpack(f"{order}{count}I", iptc) if kind == "I" else iptc
    target = io.BytesIO()
    tag = (33723, code, count, value, True)
    tifffile.imwrite(target, picture(), photometric="rgb", byteorder=order, extratags=[tag])
    assert read(target.getvalue()).iptc == iptc


@pytest.mark.parametrize("kind", ["png", "webp"])
@pytest.mark.parametrize(
    ("rest", "lost"), [(b"left over" * 9, ("bytes after the image",)), (bytes(99), ())]
)
def test_bytes_after_a_png_or_webp_are_named_unless_they_only_pad(
    kind: str, rest: bytes, lost: tuple[str, ...]
) -> None:
    assert read(file(picture(), kind) + rest).lost == lost


def test_a_channel_that_is_not_said_to_be_alpha_is_left_out_and_named() -> None:
    pixels, file = picture(), io.BytesIO()
    values = np.dstack([pixels, pixels[..., 0]])
    tifffile.imwrite(file, values, photometric="rgb", extrasamples=["unspecified"])
    photo = read(file.getvalue())
    assert photo.alpha is None
    assert photo.lost == ("image description", "further channels")


def test_an_animation_of_one_frame_is_a_still() -> None:
    control = struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 1, 0, 0)
    chunks = [png_chunk(b"acTL", struct.pack(">II", 1, 0)), png_chunk(b"fcTL", control)]
    photo = read(png(1, 1, 8, 2, b"\x00\x01\x02\x03", *chunks))
    assert (photo.pixels.tolist(), photo.pages, photo.lost) == ([[[1, 2, 3]]], (), ())


@pytest.mark.parametrize(
    "description",
    [
        '{"shape": [40, 56, 3]}',
        "ImageJ=1.54f\nimages=3\nchannels=3",
        '<?xml version="1.0"?><OME><Image><Pixels SizeX="56" SizeY="40"/></Image></OME>',
        "Aperio Image Library v11\n56x40 [0,0 56x40] JPEG/RGB|MPP = 0.4990",
        "a scan of 40 x 56 pixels",
    ],
    ids=["tifffile", "ImageJ", "OME", "Aperio", "in words"],
)
def test_a_description_that_states_the_size_is_left_out_and_named(description: str) -> None:
    photo = read(file(picture(), "tiff", tiffinfo={270: description, 315: "me"}))
    assert photo.lost == ("image description",)
    tags = read_block(photo.exif or b"")
    assert (270 in tags, tags[315].values) == (False, b"me\0")


def test_any_other_description_and_its_numbers_stay() -> None:
    photo = read(file(picture(), "tiff", tiffinfo={270: "40 cats and 156 dogs, 1956"}))
    assert (photo.lost, b"156 dogs" in (photo.exif or b"")) == ((), True)


def test_what_tifffile_writes_by_itself_is_not_carried_on() -> None:
    target = io.BytesIO()
    tifffile.imwrite(target, picture(), photometric="rgb", imagej=True)
    assert read(target.getvalue()).lost == ("image description",)
    target = io.BytesIO()
    tifffile.imwrite(target, picture(), photometric="rgb")
    photo = read(target.getvalue())
    assert photo.lost == ("image description",)
    assert b"shape" not in (photo.exif or b"")
