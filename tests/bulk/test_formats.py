"""The docs' table of formats: what comes in, in which format and under which name it goes out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srgan.bulk.names import output_name, rerouted
from srgan.bulk.sizing import Sizing, target_format
from srgan.images import Photo, decode, encode
from tests.support.image_files import dng, file, picture

TITLES = {"jpeg": "JPEG", "png": "PNG", "webp": "WebP", "tiff": "TIFF", "bmp": "BMP"}
TITLES |= {"heic": "HEIC", "avif": "AVIF"}
DEEP = picture().astype(np.uint16) * 257
MOVING = {"save_all": True, "append_images": [Image.new("RGB", (56, 40))], "duration": 50}
FILES = {
    **{TITLES[kind]: [file(picture(), kind)] for kind in ("jpeg", "png", "bmp", "avif")},
    "GIF": [file(picture(), "gif")],
    "animated GIF": [file(picture(), "gif", **MOVING)],
    "animated PNG": [file(picture(), "png", **MOVING)],
    "WebP, also animated": [file(picture(), "webp"), file(picture(), "webp", **MOVING)],
    "TIFF, also with several pages": [file(picture(), "tiff"), file(picture(), "tiff", **MOVING)],
    "HEIC (HEIF of HEVC)": [encode(Photo(picture()), format="heic", jpeg_quality=90)],
}


EXTRAS = {
    "JPEG XL (with the extra `jxl`)": ("pillow_jxl", lambda: file(picture(), "jxl")),
    "raw file of a camera (with the extra `raw`)": ("rawpy", lambda: dng(DEEP)),
}


def rows() -> list[list[str]]:
    text = (Path(__file__).parents[2] / "docs" / "upscaling.md").read_text()
    table = text.split("| format | example | result | its name |")[1].split("\n\n")[0]
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()]
    return [line for line in lines if len(line) == 4]


def test_the_table_names_every_format_that_is_read() -> None:
    assert sorted(title for title, *_ in rows()) == sorted([*FILES, *EXTRAS])


def files_of(title: str) -> list[bytes]:
    if title not in EXTRAS:
        return FILES[title]
    library, make = EXTRAS[title]
    pytest.importorskip(library)
    return [make()]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_format_comes_out_as_the_docs_say(row: list[str]) -> None:
    title, example, result, name = row
    files = files_of(title)
    assert files
    for data in files:
        photo = decode(data, max_pixels=100_000)
        format = target_format(photo, photo.format, "refuse", Sizing(2))
        assert result == ("animated " if result.startswith("animated") else "") + TITLES[format]
        output = output_name(example.strip("`"), "same")
        assert name.strip("`") == (output if format == photo.format else rerouted(output, format))
        copy = decode(encode(photo, format=format, jpeg_quality=90), max_pixels=100_000)
        assert (copy.format, len(copy.pages)) == (format, len(photo.pages))
        assert np.abs(copy.rgb.astype(int) - photo.rgb).mean() < 8
