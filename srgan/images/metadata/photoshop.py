"""Photoshop's resources, in which JPEG and TIFF files keep IPTC records."""

from typing import NamedTuple

PREFIX = b"Photoshop 3.0\x00"
"""Begins the segment of a JPEG."""
_MAGIC = b"8BIM"
_IPTC = 1028
_OF_THE_FILE = {_IPTC, 1005, 1033, 1036, 1057, 1061}
"""IPTC itself; resolution, thumbnails, version and digest, which a result has by other means."""


class Resources(NamedTuple):
    """IPTC records, and the names of what is lost."""

    iptc: bytes | None
    lost: tuple[str, ...]


def read(data: bytes) -> Resources:
    """Read the resources up to the first damaged one."""
    iptc, has_more, at = None, False, 0
    while data[at : at + 4] == _MAGIC and at + 12 <= len(data):
        kind = int.from_bytes(data[at + 4 : at + 6], "big")
        begin = at + 6 + (2 + data[at + 6]) // 2 * 2  # the name's length, name, padding
        size = int.from_bytes(data[begin : begin + 4], "big")
        begin += 4
        if begin + size > len(data):
            break
        if kind == _IPTC:
            iptc = data[begin : begin + size] or None
        has_more |= kind not in _OF_THE_FILE
        at = begin + size + size % 2
    return Resources(iptc, ("Photoshop resources",) if has_more else ())


def write(iptc: bytes) -> bytes:
    """Write IPTC records as the only resource."""
    head = _MAGIC + _IPTC.to_bytes(2, "big") + bytes(2) + len(iptc).to_bytes(4, "big")
    return head + iptc + bytes(len(iptc) % 2)
