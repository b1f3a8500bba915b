"""Directories of tags that are made to break their reader."""

import struct

import pytest

from srgan.images.metadata.directories import Directory, read_block, read_page
from srgan.images.metadata.exif_block import EXIF_PREFIX

EXIF, USER_COMMENT = 0x8769, 0x9286


def overlapping(num_tags: int, size_bytes: int, order: str, pointer: int | None = None) -> bytes:
    """A block whose tags all have the same bytes; those of a second directory too."""
    entries = [(number, 7, size_bytes, 8) for number in range(1000, 1000 + num_tags)]
    if pointer is not None:
        entries.append((pointer, 4, 1, 8))
    head = b"II*\0" if order == "<" else b"MM\0*"
    table = struct.pack(f"{order}IH", 8, len(entries))
    table += b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
    return EXIF_PREFIX + (head + table).ljust(size_bytes + 8, b"!")


def num_bytes(directory: Directory) -> int:
    return sum(
        len(tag.values) if isinstance(tag.values, bytes) else num_bytes(tag.values)
        for tag in directory.values()
    )


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("pointer", [None, EXIF])
def test_tags_that_lie_one_over_the_other_take_no_more_memory_than_the_file(
    order: str, pointer: int | None
) -> None:
    block = overlapping(400, 100_000, order, pointer)
    found = read_block(block)
    assert 1000 in found, "what comes first is read"
    assert num_bytes(found) <= len(block)
    assert num_bytes(read_page(block[len(EXIF_PREFIX) :], 8)) <= len(block)


def test_two_tags_may_share_a_number() -> None:
    entries = [(282, 5, 1, 38), (283, 5, 1, 38)]
    table = struct.pack("<IH", 8, 2) + b"".join(struct.pack("<HHII", *each) for each in entries)
    block = EXIF_PREFIX + b"II*\0" + table + bytes(4) + struct.pack("<II", 72, 1)
    assert [len(tag.values) for tag in read_block(block).values()] == [8, 8]
