"""Everything that came in goes out and is true for the result, or it is named."""

import hashlib
import io
import re
import struct
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD

from srgan.images import Photo, decode, encode
from srgan.images.metadata.directories import LONG, Tag, plain, read_block, text, write_block
from srgan.images.metadata.losses import all_lost, held
from srgan.images.resample import shrink
from srgan.inference.engine import Engine
from srgan.models.interpolation import Nearest
from tests.support.checkout import ROOT
from tests.support.image_files import (
    GEO,
    IPTC,
    XMP,
    camera_exif,
    file,
    jpeg_segment,
    laden,
    picture,
    png,
    png_chunk,
)

FORMATS = ("jpeg", "png", "webp", "tiff", "bmp", "heic", "avif")
NAMES = {"jpeg": "JPEG", "png": "PNG", "webp": "WebP", "tiff": "TIFF", "bmp": "BMP"}
NAMES |= {"heic": "HEIC", "avif": "AVIF"}
DOCS = ROOT / "docs" / "upscaling.md"


def read(data: bytes) -> Photo:
    return decode(data, max_pixels=10**6)


def again(data: bytes, kind: str, scale: int = 2) -> Photo:
    """Upscale a file, write it as `kind` and read it."""
    return read(written(data, kind, scale))


def written(data: bytes, kind: str, scale: int = 2) -> bytes:
    return encode(Engine(Nearest(scale)).upscale_photo(read(data)), format=kind, jpeg_quality=92)


def table() -> list[str]:
    """Rows of the table of losses in the docs: formats that come in, formats that go out."""
    rows = []
    for kind in FORMATS:
        photo = read(laden(kind))
        cells = [", ".join(all_lost(held(photo, other))) or "nothing" for other in FORMATS]
        rows.append("| " + " | ".join([NAMES[kind], *cells]) + " |")
    return rows


def test_the_docs_say_what_each_format_loses_in_each_other() -> None:
    text = DOCS.read_text()
    missing = [row for row in table() if row not in text]
    assert not missing, "docs/upscaling.md should have:\n" + "\n".join(table())


@pytest.mark.parametrize("kind", FORMATS)
def test_a_photo_in_its_own_format_keeps_everything(kind: str) -> None:
    photo, copy = read(laden(kind)), again(laden(kind), kind)
    assert (photo.lost, copy.lost) == ((), ())
    for name in ("icc_profile", "xmp_extension", "iptc", "comments", "chunks", "is_lossless"):
        assert getattr(copy, name) == getattr(photo, name), name
    for name in ("exif", "xmp", "geo", "dpi"):
        assert bool(getattr(copy, name)) == bool(getattr(photo, name)), name


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "heic", "avif"])
def test_xmp_says_the_size_and_resolution_of_the_result(kind: str) -> None:
    packet = again(laden(kind), kind).xmp or b""
    assert b'xmp:Rating="5"' in packet
    assert b'exif:PixelXDimension="112"' in packet
    assert b"<exif:PixelYDimension>80</exif:PixelYDimension>" in packet
    if kind in ("jpeg", "png", "tiff"):  # the others have no resolution
        match = re.search(rb"<tiff:XResolution>(\d+)/10000</tiff:XResolution>", packet)
        assert match
        assert int(match[1]) == pytest.approx(1_440_000, rel=0.001)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_exif_says_the_size_of_the_result_in_all_directories(kind: str, order: str) -> None:
    data = file(picture(), kind, exif=camera_exif(6, order))
    copy = Image.open(io.BytesIO(written(data, kind, 3))).getexif()
    exif = copy.get_ifd(IFD.Exif)
    assert (exif[0xA002], exif[0xA003]) == (120, 168)
    assert exif[0x9214] == (3 * (39 - 20), 3 * 10, 3 * 8, 3 * 4), "the subject is turned and grown"
    interop = copy.get_ifd(IFD.Interop)
    assert (interop[0x1001], interop[0x1002]) == (120, 168)
    assert exif[0x927C].startswith(b"maker note!")


def test_a_side_of_more_than_16_bits_fits_into_exif() -> None:
    photo = Photo(np.zeros((2, 70_000), np.uint8), exif=camera_exif(), described=(1, 35_000))
    exif = held(photo, "png").exif
    assert exif is not None
    tags = Image.Exif()
    tags.load(exif)
    assert tags.get_ifd(IFD.Exif)[0xA002] == 70_000


@pytest.mark.parametrize("behind", [b"", b"bytes behind the thumbnail"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_thumbnail_is_as_upright_as_the_picture(orientation: int, behind: bytes) -> None:
    block = camera_exif(orientation, size=(80, 100)) + behind
    data = file(picture(80, 100), "jpeg", exif=block)
    exif = again(data, "jpeg").exif or b""
    tags = Image.Exif()
    tags.load(exif)
    place = tags.get_ifd(IFD.IFD1)
    start = 6 + place[0x0201]
    thumbnail = Image.open(io.BytesIO(exif[start : start + place[0x0202]]))
    turned = read(data)
    is_tall = turned.pixels.shape[0] > turned.pixels.shape[1]
    assert (thumbnail.height > thumbnail.width) == is_tall == (orientation == 6)
    shrunk = Image.fromarray(turned.pixels).resize(thumbnail.size)
    assert np.abs(np.asarray(thumbnail, int) - np.asarray(shrunk)).mean() < 12
    assert exif.count(b"\xff\xd8\xff") == 1, "the old one is gone"
    assert behind in exif


def test_a_thumbnail_that_no_longer_fits_into_a_segment_is_left_out() -> None:
    block = camera_exif(6, note=64_000)
    photo = read(file(picture(200, 280), "jpeg", exif=block.ljust(65_500, b"!")))
    assert photo.lost == ("EXIF thumbnail",)
    assert len(photo.exif or b"") <= 65_533
    assert b"maker note" in (photo.exif or b"")


def test_a_turned_xmp_is_upright() -> None:
    packet = XMP.replace(b'Orientation="1"', b'Orientation="6"')
    data = file(picture(), "jpeg", exif=camera_exif(6), xmp=packet)
    assert b'tiff:Orientation="1"' in (again(data, "jpeg").xmp or b"")


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_exif_of_two_segments_is_kept_in_a_jpeg_and_elsewhere(kind: str) -> None:
    prompt = b"UNICODE\x00" + b"\x00p" * 40_000
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[0x9286] = prompt
    block = exif.tobytes()[6:]
    data = file(picture(), "jpeg")
    parts = [b"Exif\x00\x00" + block[at : at + 65_527] for at in range(0, len(block), 65_527)]
    data = data[:2] + b"".join(jpeg_segment(0xE1, part) for part in parts) + data[2:]
    copy = Image.open(io.BytesIO(written(data, kind)))
    assert copy.getexif().get_ifd(IFD.Exif)[0x9286] == prompt


@pytest.mark.parametrize(
    ("note", "thumbnail", "lost"),
    [
        (30, 79_400, ("EXIF thumbnail",)),
        (66_000, 0, ("EXIF thumbnail", "EXIF maker note")),
    ],
)
def test_an_exif_too_large_for_a_jpeg_is_reduced_and_said(
    note: int, thumbnail: int, lost: tuple[str, ...]
) -> None:
    block = camera_exif(note=note)
    if thumbnail:
        at = block.rindex(struct.pack("<HHI", 0x0202, 4, 1)) + 8
        block = (block[:at] + struct.pack("<I", thumbnail) + block[at + 4 :]).ljust(80_000, b"!")
    photo = held(Photo(picture(), exif=block), "jpeg")
    assert photo.lost == lost
    assert len(photo.exif or b"") < 65_533
    tags = Image.Exif()
    tags.load(photo.exif or b"")
    assert tags[0x010F] == "abc"
    assert read(encode(photo, format="jpeg", jpeg_quality=90)).exif == photo.exif


def test_the_largest_entry_goes_when_nothing_else_helps() -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x010F] = "x" * 70_000, "maker"
    photo = held(Photo(picture(), exif=exif.tobytes()), "jpeg")
    assert photo.lost == ("EXIF ImageDescription",)
    tags = Image.Exif()
    tags.load(photo.exif or b"")
    assert dict(tags) == {0x010F: "maker"}


def test_colours_of_a_png_are_kept_or_named() -> None:
    chunks = [png_chunk(b"gAMA", struct.pack(">I", 100_000)), png_chunk(b"sRGB", b"\x00")]
    row = b"\x00\x01\x02\x03"
    linear = read(png(1, 1, 8, 2, row, chunks[0]))
    assert read(encode(linear, format="png", jpeg_quality=90)).chunks == linear.chunks
    assert held(linear, "jpeg").lost == ("PNG chunk gAMA",)
    assert held(read(png(1, 1, 8, 2, row, chunks[1])), "jpeg").lost == (), "it means the default"
    damaged = read(png(1, 1, 8, 2, row, png_chunk(b"gAMA", b"\x00")))
    assert (damaged.chunks, damaged.lost) == ((), ("PNG chunk gAMA",))


def test_a_shrunk_geotiff_lies_where_it_lay() -> None:
    photo = shrink(read(file(picture(41, 57), "tiff", tiffinfo=GEO)), 4)
    assert dict(held(photo, "tiff").geo)[33550] == (40.0, 80.0, 0.0)


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff"])
def test_xmp_that_would_take_long_to_change_is_lost(kind: str) -> None:
    declared = b"".join(b" xmlns:p%d='http://ns.adobe.com/tiff/1.0/'" % n for n in range(1000))
    for packet in (b"<x%b/>" % declared, b"<x/>" + bytes(2**20)):
        photo = Photo(picture(), xmp=packet, xmp_extension=b"<y/>")
        kept = held(photo, kind)
        assert (kept.xmp, kept.xmp_extension) == (None, None)
        assert kept.lost == ("XMP", "extended XMP")
        assert held(kept, kind).lost == kept.lost


@pytest.mark.parametrize("inner", [False, True])
def test_an_exif_of_ten_thousand_small_tags_is_reduced_at_once(inner: bool) -> None:
    tags = {number: plain(b"%08d" % number) for number in range(1000, 11_000)}
    if inner:
        tags = {0x010F: text("maker"), IFD.Exif: Tag(LONG, 1, tags)}
    tags[0x9286] = plain(b"the largest")
    began = time.process_time()
    photo = held(Photo(picture(), exif=write_block(tags)), "jpeg")
    assert time.process_time() - began < 20
    assert photo.exif is not None
    assert 65_533 - 20 < len(photo.exif) <= 65_533, "no more is left out than has to be"
    left = read_block(photo.exif)
    found = left[IFD.Exif].values if inner else left
    assert isinstance(found, dict)
    assert 3000 < len(found) < 4000
    assert photo.lost[0] == "EXIF UserComment"


def test_an_inner_directory_of_which_nothing_is_left_goes_too() -> None:
    tags = {0x010F: text("maker"), IFD.Exif: Tag(LONG, 1, {0x9286: plain(bytes(70_000))})}
    photo = held(Photo(picture(), exif=write_block(tags)), "jpeg")
    assert photo.lost == ("EXIF UserComment",)
    assert photo.exif == write_block({0x010F: text("maker")})


def test_a_second_packet_of_xmp_stays_with_the_first() -> None:
    photo = Photo(picture(), format="jpeg", xmp_extension=b"<x/>" * 40_000)
    digest = hashlib.md5(photo.xmp_extension or b"").hexdigest().upper()
    photo = replace(photo, xmp=f'<rdf:D xmpNote:HasExtendedXMP="{digest}"/>'.encode())
    copy = read(encode(photo, format="jpeg", jpeg_quality=90))
    assert (copy.xmp, copy.xmp_extension) == (photo.xmp, photo.xmp_extension)
    other = held(photo, "png")
    assert other.lost == ("extended XMP",)
    assert other.xmp == b"<rdf:D/>"


def test_a_geotiff_lies_where_it_lay() -> None:
    copy = Image.open(io.BytesIO(written(laden("tiff"), "tiff"))).tag_v2  # type: ignore[attr-defined]
    assert copy[33550] == (5.0, 10.0, 0.0)
    assert copy[33922] == (8.0, 16.0, 0.0, 5e5, 4e6, 0.0)


def test_centres_of_pixels_move_by_half_a_pixel() -> None:
    keys = (1, 1, 0, 1, 1025, 0, 1, 2)
    matrix = (10.0, 0.0, 0.0, 500.0, 0.0, -10.0, 0.0, 900.0, *(0.0,) * 4, 0.0, 0.0, 0.0, 1.0)
    tags = {34735: keys, 33922: (0.0,) * 6, 33550: GEO[33550], 34264: matrix}
    geo = dict(again(file(picture(), "tiff", tiffinfo=tags), "tiff").geo)
    assert geo[33922][:2] == (0.5, 0.5)
    assert geo[34735] == keys
    # The centre of the first pixel of four lies a quarter of an old pixel up and left.
    assert geo[34264][:8] == (5.0, 0.0, 0.0, 497.5, 0.0, -5.0, 0.0, 902.5)


def test_texts_of_a_tiff_keep_their_letters_and_unknown_tags_their_bytes() -> None:
    data = file(picture(), "tiff", tiffinfo={270: "Zürich".encode(), 65_000: "Ü".encode()})
    for kind in ("tiff", "jpeg"):
        tags = Image.open(io.BytesIO(written(data, kind))).getexif()
        assert tags[270].encode("latin-1") == "Zürich".encode()
        assert 65_000 in tags


def test_letters_of_16_bits_follow_the_order_of_bytes() -> None:
    for order in "<>":
        data = file(picture(), "jpeg", exif=camera_exif(1, order))
        tags = Image.open(io.BytesIO(written(data, "tiff"))).getexif()
        assert tags.get_ifd(IFD.Exif)[0x9286] == b"UNICODE\x00" + "Hi".encode("utf-16-le")


def test_iptc_goes_from_jpeg_to_tiff_and_back() -> None:
    tiff = written(laden("jpeg"), "tiff")
    assert read(tiff).iptc == IPTC
    assert again(tiff, "jpeg").iptc == IPTC
