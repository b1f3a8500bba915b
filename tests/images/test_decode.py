import pickle
import resource
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, TiffImagePlugin, TiffTags

from srgan.errors import ImageError
from srgan.images import Photo, declared_pixels, decode_in_8_bits, encode, pixel_digest
from tests.support.image_files import exif, file, picture, png, png_chunk, srgb_profile

LOSSLESS = {
    "png": file(picture(), "png"),
    "tiff": file(picture(), "tiff", compression="tiff_adobe_deflate"),
    "bmp": file(picture(), "bmp"),
    "webp": file(picture(), "webp", lossless=True),
}
# What TIFF readers find in a camera's raw file; the photo itself is elsewhere.
PREVIEW, DNG = {254: 1}, TiffImagePlugin.ImageFileDirectory_v2()
DNG.tagtype[50706] = TiffTags.BYTE
DNG[50706] = b"\x01\x04\x00\x00"
SECOND = {"save_all": True, "append_images": [Image.new("RGB", (56, 40))]}
FILES = {**LOSSLESS, "jpeg": file(picture(), "jpeg", quality=95, exif=exif(6))}


def read(data: bytes, max_pixels: int = 10_000) -> Photo:
    return decode_in_8_bits(data, max_pixels=max_pixels)


def reason(data: bytes, max_pixels: int = 10_000) -> str:
    with pytest.raises(ImageError) as caught:
        read(data, max_pixels)
    return caught.value.reason


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_files_give_their_pixels(kind: str) -> None:
    photo = read(LOSSLESS[kind])
    assert np.array_equal(photo.pixels, picture())
    assert (photo.format, photo.bit_depth, photo.alpha) == (kind, 8, None)


def test_a_jpeg_gives_its_pixels_nearly() -> None:
    photo = read(file(picture(), "jpeg", quality=100, subsampling=0))
    assert photo.format == "jpeg"
    assert np.abs(photo.pixels.astype(int) - picture()).max() <= 4


def test_the_same_pixels_have_the_same_digest_in_every_file_format() -> None:
    digests = {pixel_digest(read(data)) for data in LOSSLESS.values()}
    assert len(digests) == 1
    gray = picture()[:, :, 0]
    as_colour = read(file(np.dstack([gray] * 3), "png"))
    assert pixel_digest(read(file(gray, "png"))) == pixel_digest(as_colour)
    assert pixel_digest(Photo(picture().reshape(56, 40, 3))) not in digests, "the size counts"


def test_a_cmyk_jpeg_becomes_rgb_and_loses_its_profile() -> None:
    cmyk = Image.fromarray(picture()).convert("CMYK")
    photo = read(file(cmyk, "jpeg", quality=100, icc_profile=srgb_profile()))
    assert np.abs(photo.pixels.astype(int) - np.asarray(cmyk.convert("RGB"))).max() <= 12
    assert photo.icc_profile is None, "it describes ink, and the pixels are RGB now"


def test_16_bit_gray_is_rounded_to_8_bits_and_stays_gray() -> None:
    levels = np.array([[0, 128, 129, 32768, 65406, 65407, 65535]], np.uint16)
    for kind in ("png", "tiff"):
        photo = read(file(levels, kind))
        assert photo.bit_depth == 16
        assert photo.pixels.tolist() == [[0, 0, 1, 128, 254, 255, 255]]


def test_16_bit_colours_become_8_bits() -> None:
    row = b"\x00" + struct.pack(">6H", 0, 0x1234, 0xFFFF, 0x8000, 0x80FF, 0x7F00)
    photo = read(png(2, 1, 16, 2, row))
    assert photo.bit_depth == 16
    assert photo.pixels.tolist() == [[[0, 0x12, 0xFF], [0x80, 0x80, 0x7F]]]


def test_a_palette_with_transparency_becomes_rgb_and_alpha() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "L").copy()
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    photo = read(file(image, "png", transparency=bytes([0, 128, 255])))
    assert photo.pixels.tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(
    ("depth", "row", "gray"),
    [
        (2, bytes([0b00011011]), [0, 85, 170, 255]),
        (16, struct.pack(">4H", 0, 1, 2, 65535), [0, 0, 0, 255]),
    ],
)
def test_the_transparent_gray_of_a_png_counts_in_the_depth_of_the_file(
    depth: int, row: bytes, gray: list[int]
) -> None:
    transparent = png_chunk(b"tRNS", struct.pack(">H", 1))
    photo = read(png(4, 1, depth, 0, b"\x00" + row, transparent))
    assert photo.pixels.tolist() == [gray]
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[255, 0, 255, 255]]


def test_black_and_white_is_gray_of_depth_one() -> None:
    photo = read(file(Image.fromarray(picture()).convert("1"), "png"))
    assert photo.bit_depth == 1
    assert photo.pixels.shape == (40, 56)
    assert set(photo.pixels.flatten().tolist()) == {0, 255}
    assert photo.rgb.shape == (40, 56, 3)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"just some text in a file named .png", "not_an_image"),
        (b"BM begins this text, not a bitmap", "not_an_image"),
        (file(picture(), "gif", **SECOND), "unsupported"),
        (b"\x00\x00\x00\x20ftypheic" + bytes(30), "truncated"),
        (file(picture(), "tiff", **SECOND), "unsupported"),
        (file(picture(), "webp", **SECOND), "unsupported"),
        (file(picture(), "png", **SECOND), "unsupported"),
        (file(np.ones((4, 4), np.float32), "tiff"), "unsupported"),
        (file(picture(), "tiff", tiffinfo=PREVIEW), "unsupported"),
        (file(picture(), "tiff", tiffinfo=DNG), "unsupported"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(60), "unsupported"),
        (LOSSLESS["png"].replace(b"IHDR", b"IHDX"), "corrupt"),
        (b"\xff\xd8\xff\xe0" + b"not a segment of a JPEG at all", "truncated"),
        (png(0, 1, 8, 0, b""), "corrupt"),
    ],
)  # fmt: skip
def test_an_unusable_file_is_rejected_with_the_reason(data: bytes, expected: str) -> None:
    assert reason(data) == expected


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_rejected_as_truncated(kind: str, share: float) -> None:
    data = FILES[kind]
    assert reason(data[: max(20, int(len(data) * share))]) == "truncated"


def test_a_flipped_bit_in_a_png_is_found_by_its_checksum() -> None:
    data = bytearray(LOSSLESS["png"])
    data[len(data) // 2] ^= 1
    with pytest.raises(ImageError, match=r"^corrupt: wrong checksum in PNG chunk b'IDAT'"):
        read(bytes(data))


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "bmp"])
def test_truncation_is_found_whatever_pillows_global_switches_say(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert reason(FILES[kind][: len(FILES[kind]) * 2 // 3]) == "truncated"


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "bmp"])
def test_our_limit_of_pixels_holds_whatever_pillows_global_limit_is(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read(FILES[kind], max_pixels=40 * 56).rgb.size == 40 * 56 * 3
    assert reason(FILES[kind], max_pixels=40 * 56 - 1) == "too_large"


def bombs() -> dict[str, bytes]:
    side = 30_000
    bmp, webp = bytearray(LOSSLESS["bmp"]), bytearray(file(picture(), "webp", exif=exif(1)))
    bmp[18:26] = struct.pack("<ii", side, side)
    webp[24:30] = (16_382).to_bytes(3, "little") * 2
    jpeg = bytearray(FILES["jpeg"])
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    tiff = bytearray(file(picture(), "tiff"))
    for tag in (256, 257):
        entry = tiff.index(struct.pack("<H", tag), 8)
        tiff[entry : entry + 12] = struct.pack("<HHII", tag, 4, 1, side)
    named = {"jpeg": jpeg, "bmp": bmp, "webp": webp, "tiff": tiff}
    return {"png": png(side, side, 8, 2, b""), **{name: bytes(d) for name, d in named.items()}}


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff", "bmp"])
def test_a_bomb_is_refused_by_its_header_without_allocating_its_pixels(kind: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError, match=r"^too_large: declares \d+×\d+ pixels, more than"):
        read(bombs()[kind], max_pixels=100_000_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize("kind", [*FILES, "gif", "avif", "heic"])
def test_a_header_tells_the_number_of_pixels(kind: str) -> None:
    data = FILES.get(kind) or (
        encode(Photo(picture()), format="heic", jpeg_quality=90)
        if kind == "heic"
        else file(picture(), kind)
    )
    assert declared_pixels(data, max_pixels=10_000) == 40 * 56


def test_a_header_that_cannot_be_read_is_an_image_error() -> None:
    for data in (b"", b"text", FILES["jpeg"][:20], FILES["png"][:30], LOSSLESS["bmp"][:20]):
        with pytest.raises(ImageError):
            declared_pixels(data, max_pixels=10_000)


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_the_header_of_a_bomb_is_refused_before_a_library_makes_room(kind: str) -> None:
    with pytest.raises(ImageError, match=r"^too_large: declares \d+×\d+ pixels, more than"):
        declared_pixels(bombs()[kind], max_pixels=100_000_000)


def test_odd_tags_of_a_tiff_break_neither_the_photo_nor_the_warning_filters() -> None:
    data = bytearray(file(picture(), "tiff", description="a text that lies outside its entry"))
    entry = data.index(struct.pack("<HH", 270, 2))
    data[entry + 4 : entry + 8] = struct.pack("<I", 2**31)
    filters = list(warnings.filters)
    with ThreadPoolExecutor(4) as threads:
        photos = list(threads.map(read, [bytes(data)] * 16))
    assert all(np.array_equal(photo.pixels, picture()) for photo in photos)
    assert list(warnings.filters) == filters


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_nothing_but_an_image_error_escapes_whatever_the_bytes(
    kind: str, data: st.DataObject
) -> None:
    broken = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, min(len(broken), 400) - 1))
        broken[position : position + 1] = data.draw(st.binary(max_size=4))
    with suppress(ImageError):
        read(bytes(broken))


def test_the_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ImageError("truncated", "12 bytes are missing")))
    assert (error.reason, error.detail) == ("truncated", "12 bytes are missing")
