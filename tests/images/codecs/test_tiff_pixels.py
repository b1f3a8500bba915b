"""TIFF files of every layout give the picture that was drawn, or say why not; never another one."""

import io
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from srgan.errors import ImageError
from srgan.images import decode, decode_in_8_bits
from tests.support.image_files import file, picture, read
from tests.support.tiffs import Values, by_hand, channels, written

HEIGHT, WIDTH = 20, 28
TILE = (16, 16)
KINDS = {
    "gray": ("minisblack", 1, False),
    "gray and alpha": ("minisblack", 1, True),
    "RGB": ("rgb", 3, False),
    "RGBA": ("rgb", 3, True),
    "CMYK": ("separated", 4, False),
    "CMYK and alpha": ("separated", 4, True),
    "palette": ("palette", 1, False),
}
COMPRESSIONS = (None, "deflate", "lzw", "packbits", "zstd", "lzma")
PREDICTED = ("deflate", "lzw", "zstd")


class Layout(NamedTuple):
    kind: str
    depth: int
    planar: bool
    order: str
    tile: tuple[int, int] | None
    white_is_zero: bool
    premultiplied: bool


def layouts() -> Iterator[Layout]:
    sides: tuple[Any, ...] = ((8, 16), (False, True), "<>", (None, TILE), (False, True))
    for chosen in itertools.product(KINDS, *sides, (False, True)):
        layout = Layout(*chosen)
        photometric, num_colours, has_alpha = KINDS[layout.kind]
        if layout.premultiplied and not has_alpha:
            continue
        if layout.white_is_zero and photometric != "minisblack":
            continue
        if layout.planar and num_colours + has_alpha == 1:
            continue
        if photometric == "palette" and layout.depth == 16 and layout.order == ">":
            continue  # takes a tenth of a second: 196,608 numbers
        yield layout


def drawn(depth: int, num_channels: int) -> Values:
    """Smooth values that differ in every channel; the last is never less than half."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [(y * (3 + n) + x * (5 + 2 * n) + 40 * n) % 256 for n in range(num_channels)]
    values = np.stack(planes, axis=-1).astype(np.uint8 if depth == 8 else np.uint16)
    values[:, :, -1] = values[:, :, -1] // 2 + 128
    return values if depth == 8 else values * np.uint16(256) + values[::-1]


def drawn_file(layout: Layout, compression: str | None, *, predicted: bool) -> tuple[bytes, Values]:
    """Write a file, and what it shows: (H, W, channels) with RGB for inks and palettes."""
    photometric, num_colours, has_alpha = KINDS[layout.kind]
    values = drawn(layout.depth, num_colours + has_alpha)
    most = np.iinfo(values.dtype).max
    stored, shown, options = values.astype(float), values.astype(float), {}
    if layout.white_is_zero:
        photometric, stored[:, :, 0] = "miniswhite", most - stored[:, :, 0]
    if layout.premultiplied:
        stored[:, :, :-1] = np.rint(stored[:, :, :-1] * stored[:, :, -1:] / most)
    if photometric == "separated":
        colours = (most - shown[:, :, :3]) * (most - shown[:, :, 3:4]) / most
        shown = np.concatenate([colours, shown[:, :, 4:]], axis=2)
    if photometric == "palette":
        table = np.random.default_rng(5).integers(0, 256, (3, 2**layout.depth), dtype=np.uint16)
        options["colormap"] = table * 257
        shown = np.moveaxis(table[:, values[:, :, 0]], 0, 2)
    if has_alpha:
        options["extrasamples"] = ["assocalpha" if layout.premultiplied else "unassalpha"]
    if num_colours + has_alpha > 1:
        options["planarconfig"] = "separate" if layout.planar else "contig"
    if layout.tile is None:
        options["rowsperstrip"] = 7
    stored = stored.astype(values.dtype)
    data = written(
        np.moveaxis(stored, 2, 0) if layout.planar else stored.squeeze(),
        photometric=photometric,
        byteorder=layout.order,
        tile=layout.tile,
        compression=compression,
        predictor=predicted,
        **options,
    )
    return data, shown


def check(layout: Layout, compression: str | None, *, predicted: bool) -> None:
    said = f"{layout}, {compression}, predictor {predicted}"
    data, shown = drawn_file(layout, compression, predicted=predicted)
    if layout.white_is_zero and layout.premultiplied:
        with pytest.raises(ImageError, match=r"^unsupported: .* multiplied by alpha"):
            read(data)
        return
    photo = read(data)
    found = channels(photo)
    assert found.shape == shown.shape, said
    assert photo.is_deep == (layout.depth == 16 and layout.kind != "palette"), said
    # Dividing by an alpha of half loses a level of each ink, and four of them make a colour.
    bound = (4.0 if "CMYK" in layout.kind else 1.0) if layout.premultiplied else 0.5
    assert np.abs(found - shown).max() <= bound, said
    eight = decode_in_8_bits(data, max_pixels=10_000)
    np.testing.assert_array_equal(channels(eight), channels(photo.in_8_bits()), said)


def test_every_layout_gives_the_picture_that_was_drawn_in_all_bits_and_in_8() -> None:
    """The compressions take turns; the slow test below multiplies them out."""
    for number, layout in enumerate(layouts()):
        compression = COMPRESSIONS[number % len(COMPRESSIONS)]
        check(layout, compression, predicted=compression in PREDICTED and number % 4 > 1)


@pytest.mark.slow(group="images")
def test_every_layout_with_every_compression_gives_the_picture_that_was_drawn() -> None:
    for layout, compression in itertools.product(layouts(), COMPRESSIONS):
        for predicted in (False, True)[: 1 + (compression in PREDICTED)]:
            check(layout, compression, predicted=predicted)


@pytest.mark.parametrize("tile", [None, TILE])
@pytest.mark.parametrize("planar", [False, True])
def test_every_compression_gives_the_same_picture(tile: Any, planar: bool) -> None:
    for compression, depth in itertools.product(COMPRESSIONS, (8, 16)):
        layout = Layout("RGB", depth, planar, "<", tile, False, False)
        check(layout, compression, predicted=compression in PREDICTED)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "CMYK", "P", "YCbCr", "I;16"])
@pytest.mark.parametrize("compression", ["raw", "group4", "group3", "jpeg", "zstd", "tiff_lzw"])
def test_files_of_pillow_are_read_as_pillow_reads_them(mode: str, compression: str) -> None:
    if (compression in ("group3", "group4")) != (mode == "1") and compression not in ("raw",):
        return  # a fax is black and white
    if compression == "jpeg" and mode in ("P", "I;16"):
        return
    image = Image.fromarray(picture())
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(picture()[:, :, 1]))
    if mode == "I;16":
        image = Image.fromarray(picture()[:, :, 0].astype(np.uint16) * 250)
    else:
        image = image.convert(mode)
    data = file(image, "tiff", compression=compression)
    same = {"1": "L", "CMYK": "RGB", "P": "RGB", "YCbCr": "RGB"}
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert(same.get(mode, mode)))
    found = channels(read(data)).squeeze()
    # Pillow rounds YCbCr in another way.
    assert np.abs(found - theirs).max() <= (1 if mode == "YCbCr" else 0)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_gray_of_less_than_8_bits_is_spread_over_all_levels(bits: int, white_is_zero: bool) -> None:
    row = np.arange(16) % 2**bits
    packed = np.packbits((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).tobytes()
    photo = read(by_hand(packed * 3, 16, 3, {258: bits, 262: 0 if white_is_zero else 1}))
    levels = row * (255 // (2**bits - 1))
    assert photo.pixels.tolist() == [(255 - levels if white_is_zero else levels).tolist()] * 3
    assert photo.bit_depth == bits


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_of_any_size_keeps_all_bits_of_its_colours(bits: int) -> None:
    row = np.arange(16) % 2**bits
    packed = np.packbits((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).tobytes()
    levels = np.random.default_rng(1).integers(0, 256, (3, 2**bits))
    levels[0, :2] = 0, 255
    for name, entries in {
        "as 65535 is to 255": levels * 257,
        "with low bytes of zero": levels * 256,
        "in 8 bits, against the rules": levels,
    }.items():
        tags = {258: bits, 262: 3, 320: tuple(entries.flatten().tolist())}
        photo = read(by_hand(packed * 3, 16, 3, tags))
        assert photo.pixels.dtype == np.uint8, name
        np.testing.assert_array_equal(photo.pixels[1], levels[:, row].T, name)
    deep = levels * 257 // 3
    photo = read(
        by_hand(packed * 3, 16, 3, {258: bits, 262: 3, 320: tuple(deep.flatten().tolist())})
    )
    assert photo.is_deep
    np.testing.assert_array_equal(photo.pixels[1], deep[:, row].T)


def test_pixels_with_a_reversed_order_of_bits_are_read() -> None:
    row = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 0], np.uint8)
    packed = np.packbits(row, bitorder="little").tobytes()
    photo = read(by_hand(packed, 16, 1, {258: 1, 262: 1, 266: 2}))
    assert photo.pixels.tolist() == [(row * 255).tolist()]


@pytest.mark.parametrize("subsampled", [False, True])
def test_ycbcr_that_is_not_compressed_becomes_rgb(subsampled: bool) -> None:
    luma, blue, red = 120, 90, 200
    block = bytes([luma] * 4 + [blue, red]) if subsampled else bytes([luma, blue, red] * 4)
    sampling = (2, 2) if subsampled else (1, 1)
    tags = {258: (8, 8, 8), 262: 6, 277: 3, 530: sampling}
    photo = read(by_hand(block * 64, 16, 16, tags))
    expected = (luma + 1.402 * (red - 128), luma - 0.344 * (blue - 128) - 0.714 * (red - 128))
    assert np.abs(photo.pixels[:, :, :2] - expected).max() <= 1
    assert np.abs(photo.pixels[:, :, 2] - (luma + 1.772 * (blue - 128))).max() <= 1


def test_channels_that_are_not_said_to_be_alpha_are_left_out() -> None:
    values = np.dstack([picture(), picture()[:, :, :2]])
    for planar in (False, True):
        data = written(
            np.moveaxis(values, 2, 0) if planar else values,
            photometric="rgb",
            planarconfig="separate" if planar else "contig",
            extrasamples=["unspecified", "unspecified"],
        )
        photo = read(data)
        assert photo.alpha is None
        np.testing.assert_array_equal(photo.pixels, picture())
    data = written(values, photometric="rgb", extrasamples=["unspecified", "unassalpha"])
    np.testing.assert_array_equal(read(data).alpha, picture()[:, :, 1])


@pytest.mark.parametrize(
    ("values", "options", "reason"),
    [
        (picture().astype(np.int8), {}, "signed integers"),
        (picture().astype(np.int16), {}, "signed integers"),
        (picture().astype(np.uint32), {}, "32 bits per channel"),
        (picture().astype(np.int32), {}, "signed integers"),
        (picture().astype(np.float32), {}, "floating-point numbers"),
        (
            picture().astype(np.float16)[:, :, 0],
            {"photometric": "minisblack"},
            "floating-point numbers",
        ),
        (picture(), {"photometric": "cielab"}, "Lab colours cannot be read"),
        (picture(), {"photometric": "icclab"}, "Lab colours cannot be read"),
        (picture()[:, :, 0], {"photometric": "cfa"}, "a camera's raw file"),
        (picture(), {"photometric": "minisblack", "planarconfig": "contig"}, "3 channels"),
        (picture(), {"compression": "lerc"}, "compression 34887"),
    ],
)
def test_what_is_not_a_picture_of_8_or_16_bits_is_refused_with_the_true_reason(
    values: Values, options: dict[str, Any], reason: str
) -> None:
    data = written(values, **options)
    for decoder in (decode, decode_in_8_bits):
        with pytest.raises(ImageError, match=rf"^(unsupported|corrupt): .*{reason}"):
            decoder(data, max_pixels=10_000)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({258: 12, 262: 1}, "unsupported: 12 bits per channel; convert to 8 or 16"),
        ({258: (5, 6, 5), 262: 2, 277: 3}, "unsupported: .* bits for 3 channels"),
        ({258: (4, 4, 4), 262: 2, 277: 3}, "unsupported: 3 channels of 4 bits"),
        ({258: 8}, "corrupt: the TIFF has no PhotometricInterpretation"),
        ({258: (8,) * 4, 262: 5, 277: 4, 332: 2}, "unsupported: inks other than CMYK"),
        ({258: (8,) * 5, 262: 2, 277: 5, 338: (1, 2)}, "unsupported: 5 channels, 2 of them alpha"),
        ({258: (8,) * 3, 262: 6, 277: 3, 284: 2}, "unsupported: YCbCr in planes"),
        ({258: (8, 8), 262: 5, 277: 2}, "corrupt: 2 channels for 4 colours"),
        ({258: 8, 262: 3}, "corrupt: the TIFF has no ColorMap"),
        ({258: 8, 262: 3, 320: (1, 2, 3)}, "corrupt: the palette of the TIFF has 3 entries"),
        ({258: 8, 262: 1, 259: 4}, "corrupt: fax group 4 in the TIFF is said to have 8 bits"),
        ({258: 8, 262: 1, 259: 6}, "unsupported: compression 6"),
    ],
)
def test_a_layout_that_cannot_be_read_is_named(tags: dict[int, Any], reason: str) -> None:
    with pytest.raises(ImageError, match=f"^{reason}"):
        read(by_hand(bytes(16 * 16 * 5), 16, 16, tags))
