"""Make a photo's metadata true for its pixels, and keep of it what a format can hold.

Metadata never costs a photo: what does not fit is left out and named in `Photo.lost`.
"""

from dataclasses import replace
from typing import Any

from PIL.ExifTags import TAGS

from srgan.images.metadata import exif_block, geotiff, jpeg, xmp
from srgan.images.metadata.directories import read_block, shortened, write_block
from srgan.images.metadata.png import COLOURS
from srgan.images.photo import Photo

_LARGEST_DPI = 65_535
"""JPEG's field has 16 bits; the others hold more, which is never meant."""
_LARGEST_JPEG_PROFILE = 255 * (jpeg.LARGEST_SEGMENT - 14)
_LARGEST_PNG_PROFILE = 16 * 2**20
"""As much as is read again."""
_PROFILE_SPACE = slice(16, 20)
"""Place of the colour space in an ICC profile."""
_HOLDS = {
    "jpeg": {"icc_profile", "exif", "dpi", "xmp", "xmp_extension", "iptc", "comments"},
    "png": {"icc_profile", "exif", "dpi", "xmp", "chunks", "comments"},
    "webp": {"icc_profile", "exif", "xmp"},
    "heic": {"icc_profile", "exif", "xmp"},
    "avif": {"icc_profile", "exif", "xmp"},
    "tiff": {"icc_profile", "exif", "dpi", "xmp", "iptc", "geo"},
    "bmp": {"dpi"},
}
_DPI_IN_EXIF = ("webp", "heic", "avif")
_DEPTHS = {"png": 16, "tiff": 16, "heic": 12, "avif": 12}
"""Most bits per channel; 8 in the other formats."""
_NAMES = {
    "icc_profile": "ICC profile",
    "exif": "EXIF",
    "dpi": "resolution",
    "xmp": "XMP",
    "xmp_extension": "extended XMP",
    "iptc": "IPTC",
    "comments": "comments",
    "geo": "GeoTIFF tags",
}
_SRGB = {
    "gAMA": (45_455).to_bytes(4, "big"),
    "cHRM": b"".join(
        number.to_bytes(4, "big")
        for number in (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)
    ),
    "cICP": bytes([1, 13, 0, 1]),
}
"""Chunks that say what files without them mean as well."""


def held(photo: Photo, format: str) -> Photo:
    """Return the photo with all that `format` can hold, and in `lost` the names of the rest.

    Sizes, coordinates and resolutions in the metadata become those of the pixels. Idempotent.
    """
    pages = tuple(held(page, format) for page in photo.pages)
    photo = _true(_with_usable_xmp(replace(photo, pages=pages)))
    changes: dict[str, Any] = dict.fromkeys(("exif", "icc_profile", "xmp", "iptc"))
    changes |= {"xmp_extension": None, "dpi": None, "comments": (), "geo": (), "chunks": ()}
    lost = list(photo.lost)
    for name in _HOLDS[format]:
        changes[name] = getattr(photo, name)
    lost += [_NAMES[name] for name in _NAMES if not changes[name] and getattr(photo, name)]
    if format in _DPI_IN_EXIF and photo.dpi and photo.exif and exif_block.resolution(photo.exif):
        lost.remove(_NAMES["dpi"])  # EXIF has it
    if photo.dpi and not all(1 <= value <= _LARGEST_DPI for value in photo.dpi):
        changes["dpi"] = None
        lost.append(_NAMES["dpi"])
    if format != "png":
        lost += _lost_chunks(photo)
    if photo.is_deep and photo.bit_depth > _DEPTHS.get(format, 8):
        lost.append("16-bit depth")
    lost += _fit(changes, photo, format)
    return replace(photo, **changes, lost=tuple(dict.fromkeys(lost)))


def all_lost(photo: Photo) -> tuple[str, ...]:
    """Names of what a photo and its pages have lost, each once."""
    return tuple(dict.fromkeys(name for page in (photo, *photo.pages) for name in page.lost))


def _with_usable_xmp(photo: Photo) -> Photo:
    if photo.xmp is None or xmp.is_usable(photo.xmp):
        return photo
    lost = [_NAMES[name] for name in ("xmp", "xmp_extension") if getattr(photo, name)]
    return replace(photo, xmp=None, xmp_extension=None, lost=(*photo.lost, *lost))


def _true(photo: Photo) -> Photo:
    """Make metadata true for the size and resolution of the pixels."""
    block, packet, geo = photo.exif, photo.xmp, photo.geo
    if photo.dpi:
        block = block and exif_block.with_resolution(block, photo.dpi)
        packet = packet and xmp.with_resolution(packet, photo.dpi)
    if photo.described is not None:
        height, width = photo.pixels.shape[:2]
        growth = height / photo.described[0], width / photo.described[1]
        block = block and exif_block.with_size(block, height, width, growth)
        packet = packet and xmp.with_size(packet, height, width)
        geo = geotiff.grown(geo, growth)
    return replace(photo, exif=block, xmp=packet, geo=geo, described=None)


def _fit(changes: dict[str, Any], photo: Photo, format: str) -> list[str]:
    """Reduce `changes` that are too large for `format` or have no meaning in it; return names."""
    packet, profile, block = changes["xmp"], changes["icc_profile"], changes["exif"]
    lost = []
    if packet and format != "jpeg":
        changes["xmp"] = xmp.without_extension(packet)
    elif packet and len(packet) > jpeg.LARGEST_XMP:
        changes["xmp"] = None
        lost.append(_NAMES["xmp"])
    if format == "jpeg" and len(photo.iptc or b"") > jpeg.LARGEST_IPTC:
        changes["iptc"] = None
        lost.append(_NAMES["iptc"])
    most = {"jpeg": _LARGEST_JPEG_PROFILE, "png": _LARGEST_PNG_PROFILE}.get(format)
    is_gray = (profile or b"")[_PROFILE_SPACE] == b"GRAY"
    becomes_rgb = format == "webp" or (
        format == "avif" and (photo.is_deep or photo.alpha is not None)
    )
    if (most and len(profile or b"") > most) or (becomes_rgb and is_gray):
        changes["icc_profile"] = None
        lost.append(_NAMES["icc_profile"])
    # Some readers know that an EXIF can go on in a second segment: a JPEG that came so stays so.
    if block and format == "jpeg" and photo.format != "jpeg" and len(block) > jpeg.LARGEST_SEGMENT:
        changes["exif"], names = _reduced(block, jpeg.LARGEST_SEGMENT)
        lost += names
    elif block and format == "tiff":
        # Its directories are written again elsewhere, and the note's offsets would be wrong.
        if exif_block.has_thumbnail(block):
            lost.append("EXIF thumbnail")
        if exif_block.has_maker_note(block):
            lost.append("EXIF maker note")
        if not read_block(block):
            lost.append(_NAMES["exif"])
    return lost


def _lost_chunks(photo: Photo) -> list[str]:
    """Name the chunks of a PNG that change how it looks, if other formats show it otherwise."""
    chunks = dict(photo.chunks)
    lost = ["texts"] if any(name not in COLOURS for name in chunks) else []
    means_srgb = "sRGB" in chunks or photo.icc_profile is not None
    for name in COLOURS:
        is_default = name == "sRGB" or chunks.get(name) == _SRGB.get(name)
        if name in chunks and not is_default and not (means_srgb and name in ("gAMA", "cHRM")):
            lost.append(f"PNG chunk {name}")
    return lost


def _reduced(block: bytes, most: int) -> tuple[bytes | None, list[str]]:
    """Shorten an EXIF block to `most` bytes: thumbnail, maker note, then the largest entries."""
    lost = ["EXIF thumbnail"] if exif_block.has_thumbnail(block) else []
    block = exif_block.without_thumbnail(block)
    if len(block) <= most:
        return block, lost
    if exif_block.has_maker_note(block):
        lost.append("EXIF maker note")
    tags = read_block(block)
    deleted = shortened(tags, most)
    if not tags:
        return None, [_NAMES["exif"]]
    return write_block(tags), [*lost, *(f"EXIF {TAGS.get(tag, tag)}" for tag in deleted)]
