"""EXIF blocks that are made to break their reader."""

import struct
import time

from srgan.images.metadata import exif_block

ORIENTATION, SHORT = 0x0112, 3


def test_thousands_of_entries_of_the_same_many_numbers_are_looked_at_once() -> None:
    entry = struct.pack("<HHII", ORIENTATION, SHORT, 100_000, 8)
    table = struct.pack("<IH", 8, 20_000) + entry * 20_000
    block = exif_block.EXIF_PREFIX + b"II*\0" + table
    began = time.process_time()
    assert exif_block.orientation(block) == 1
    assert exif_block.reset_orientation(block)
    assert time.process_time() - began < 5
