"""Keep the XMP packet of a photo true for the picture that it is written with.

Packets are changed as text, because every other byte, such as unknown names and padding, stays as
it is. The packet's own declarations tell which prefixes stand for a namespace; a prefix that none
declares has its usual meaning.
"""

import re
from collections import Counter

_TO_THE_FILE = (
    *("Container:Directory", "GContainer:Directory", "HDRGainMap:HDRGainMapVersion"),
    *("hdrgm:Version", "hdrgm:GainMapMin", "hdrgm:GainMapMax", "hdrgm:Gamma", "hdrgm:OffsetSDR"),
    *(
        "hdrgm:OffsetHDR",
        "hdrgm:HDRCapacityMin",
        "hdrgm:HDRCapacityMax",
        "hdrgm:BaseRenditionIsHDR",
    ),
    *("GCamera:MotionPhoto", "GCamera:MotionPhotoVersion", "GCamera:MicroVideo"),
    *("GCamera:MotionPhotoPresentationTimestampUs", "GCamera:MicroVideoVersion"),
    *("GCamera:MicroVideoOffset", "GCamera:MicroVideoPresentationTimestampUs"),
)
"""Names that speak of further images or a video in the same file, which a result does not have."""
_THUMBNAILS = "xmp:Thumbnails"
_EXTENSION = "xmpNote:HasExtendedXMP"
_WIDTHS = ("exif:PixelXDimension", "tiff:ImageWidth")
_HEIGHTS = ("exif:PixelYDimension", "tiff:ImageLength")
_PER_DOT = 10_000
"""Denominator of a resolution."""
_NAMESPACES = {
    "tiff": b"http://ns.adobe.com/tiff/1.0/",
    "exif": b"http://ns.adobe.com/exif/1.0/",
    "xmp": b"http://ns.adobe.com/xap/1.0/",
    "xmpNote": b"http://ns.adobe.com/xmp/note/",
    "hdrgm": b"http://ns.adobe.com/hdr-gain-map/1.0/",
    "HDRGainMap": b"http://ns.apple.com/HDRGainMap/1.0/",
    "Container": b"http://ns.google.com/photos/1.0/container/",
    "GContainer": b"http://ns.google.com/photos/1.0/container/",
    "GCamera": b"http://ns.google.com/photos/1.0/camera/",
}
_LARGEST = 2**20
_MOST_PREFIXES = 8
"""Most of one namespace; a change searches the packet for each. Honest packets declare one."""
_DECLARED = re.compile(rb"\sxmlns(?::([^\s=]+))?\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
"""Prefix, empty for the default, and namespace in double or in single quotes."""


def is_usable(packet: bytes) -> bool:
    """Tell whether changing a packet takes a reasonable time: some milliseconds."""
    if len(packet) > _LARGEST:
        return False
    declared = {(found[1], found[2] or found[3]) for found in _DECLARED.finditer(packet)}
    used = Counter(namespace for _, namespace in declared)
    return all(used[namespace] <= _MOST_PREFIXES for namespace in _NAMESPACES.values())


def upright(packet: bytes) -> bytes:
    """Set the orientation to 1, whatever it was: that of EXIF has been applied."""
    return _set(packet, "tiff:Orientation", "1")


def without_thumbnails(packet: bytes) -> bytes:
    """Drop previews, which are not turned with the picture."""
    return _without(packet, _THUMBNAILS)


def of_one_image(packet: bytes) -> bytes:
    """Drop the names of further images and videos in the same file."""
    return _without(packet, *_TO_THE_FILE)


def without_extension(packet: bytes) -> bytes:
    """Drop the pointer to a second packet, which only JPEG can hold."""
    return _without(packet, _EXTENSION)


def with_size(packet: bytes, height: int, width: int) -> bytes:
    """Set width and height in pixels where the packet has them."""
    for names, side in ((_WIDTHS, width), (_HEIGHTS, height)):
        for name in names:
            packet = _set(packet, name, str(side))
    return packet


def with_resolution(packet: bytes, dpi: tuple[float, float]) -> bytes:
    """Set the resolution where the packet has one."""
    for name, value in zip(("tiff:XResolution", "tiff:YResolution"), dpi, strict=True):
        packet = _set(packet, name, f"{round(value * _PER_DOT)}/{_PER_DOT}")
    return _set(packet, "tiff:ResolutionUnit", "2")


def _set(packet: bytes, name: str, value: str) -> bytes:
    """Set the value of a name, written as an attribute or as an element."""
    for tag in _written(packet, name):
        place = re.compile(
            rb"(\s%b\s*=\s*(?P<quote>[\"'])|<%b(?:\s[^<>]*)?>\s*)[\d/.]+"
            rb"(?=(?(quote)(?P=quote)|\s*</))" % (tag, tag)
        )
        packet = place.sub(rb"\g<1>" + value.encode(), packet)
    return packet


def _without(packet: bytes, *names: str) -> bytes:
    for name in names:
        for tag in _written(packet, name):
            packet = re.sub(rb"\s%b\s*=\s*(\"[^\"<]*\"|'[^'<]*')" % tag, b"", packet)
            packet = re.sub(rb"<%b(\s[^<>]*)?/>" % tag, b"", packet)
            packet = _without_elements(packet, tag)
    return packet


def _without_elements(packet: bytes, tag: bytes) -> bytes:
    """Drop elements with what is in them, up to one that is not closed.

    Two searches and not one expression, which would look for the end of each of them to the end.
    """
    opening = re.compile(rb"<%b(?:\s[^<>]*)?>" % tag)
    closing = re.compile(rb"</%b\s*>" % tag)
    kept, at = list[bytes](), 0
    while (first := opening.search(packet, at)) and (last := closing.search(packet, first.end())):
        kept.append(packet[at : first.start()])
        at = last.end()
    return b"".join([*kept, packet[at:]])


def _written(packet: bytes, name: str) -> list[bytes]:
    """List the ways, as patterns, in which a packet may write a name that is in it.

    None if the packet is not usable: it stays as it is, and no file is written with it.
    """
    prefix, _, local = name.partition(":")
    if local.encode() not in packet or not is_usable(packet):
        return []
    declared = [(found[1] or b"", found[2] or found[3]) for found in _DECLARED.finditer(packet)]
    prefixes = {each for each, namespace in declared if namespace == _NAMESPACES[prefix]}
    if prefix.encode() not in dict(declared):
        prefixes.add(prefix.encode())
    return [re.escape(b":".join(filter(None, (each, local.encode())))) for each in sorted(prefixes)]
