"""Metadata of raw files, in the containers of several makers of cameras."""

import struct

import pytest
from PIL.ExifTags import IFD

from srgan.images.metadata import raw
from srgan.images.metadata.directories import Directory, read_block
from tests.support.image_files import IPTC, camera_exif, directory, file, picture

NOTE = "EXIF maker note"


def canon(*boxes: bytes) -> bytes:
    """An ISO media file as Canon writes it, with boxes among its directories."""
    inside = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48") + b"".join(boxes)
    return box(b"ftyp", b"crx \0\0\0\1") + box(b"moov", box(b"uuid", inside)) + box(b"mdat", b"")


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def tiff(tags: dict[int, tuple[int, int, bytes]]) -> bytes:
    return b"II*\0\x08\0\0\0" + directory(8, tags)


def fujifilm(jpeg: bytes) -> bytes:
    return b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + struct.pack(">II", 92, len(jpeg)) + jpeg


def files() -> dict[str, bytes]:
    block = camera_exif(6)[6:]
    exif = tiff(
        {0x9003: (2, 20, b"2026:11:29 12:00:00\0"), 0x9214: (3, 2, struct.pack("<HH", 5, 6))}
    )
    return {
        "TIFF": block,
        "TIFF in big-endian order": camera_exif(6, ">")[6:],
        "Olympus": block.replace(b"II*\0", b"IIRO", 1),
        "Panasonic": block.replace(b"II*\0", b"IIU\0", 1),
        "Fujifilm": fujifilm(file(picture(), "jpeg", exif=camera_exif(6))),
        "Canon": canon(
            box(b"CMT1", tiff({0x010F: (2, 4, b"abc\0"), 0x0112: (3, 1, b"\6\0")})),
            box(b"CMT2", exif),
            box(b"CMT3", tiff({1: (3, 1, b"\1\0")})),
            box(b"CMT4", tiff({1: (2, 2, b"N\0")})),
        ),
    }


def inside(block: bytes | None, pointer: int) -> Directory:
    found = read_block(block or b"")[pointer].values
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", files())
def test_the_exif_of_a_raw_file_is_read_whoever_made_the_camera(name: str) -> None:
    found = raw.read(files()[name], is_turned=False)
    tags = read_block(found.exif or b"")
    assert tags[0x010F].values == b"abc\0"
    assert 0x0112 not in tags, "the developed picture is upright"
    assert 0x9214 in inside(found.exif, IFD.Exif)
    assert found.lost == (NOTE,)
    if name == "Canon":
        assert inside(found.exif, IFD.GPSInfo)[1].values == b"N\0"


def test_a_turned_raw_file_loses_the_place_of_the_subject() -> None:
    found = raw.read(files()["TIFF"], is_turned=True)
    assert 0x9214 not in inside(found.exif, IFD.Exif)
    assert found.lost == (NOTE, "EXIF SubjectArea")


def test_iptc_is_carried_on_and_xmp_is_named() -> None:
    data = tiff({700: (1, 9, b"<x:xmp/>\0"), 33723: (7, len(IPTC), IPTC)})
    found = raw.read(data, is_turned=False)
    assert (found.exif, found.iptc, found.lost) == (None, IPTC, ("XMP",))


@pytest.mark.parametrize(
    "data",
    [
        b"II\x1a\0\0\0HEAPCCDR".ljust(100, b"\0"),
        b"FOVb".ljust(100, b"\0"),
        canon(),
        fujifilm(file(picture(), "jpeg")),
    ],
    ids=["CRW", "X3F", "CR3 without directories", "RAF without EXIF"],
)
def test_exif_that_cannot_be_read_is_named(data: bytes) -> None:
    assert raw.read(data, is_turned=False) == (None, None, ("EXIF",))


def test_damaged_metadata_never_costs_the_picture() -> None:
    for name, data in files().items():
        for end in range(8, len(data), 41):
            found = raw.read(data[:end], is_turned=False)
            assert found.exif is None or read_block(found.exif), name
