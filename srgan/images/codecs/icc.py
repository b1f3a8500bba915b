"""ICC profiles: which one describes the pixels of a photo, and inks converted through theirs."""

import io

import numpy as np
from PIL import ImageCms

from srgan.images.codecs.libvips import values, vips
from srgan.images.photo import Samples

_SPACE = slice(16, 20)
"""Place of the colour space in a profile."""
_GRAY, _INK = b"GRAY", b"CMYK"
_NEITHER_GRAY_NOR_RGB = (_INK, b"CMY ", b"Lab ", b"XYZ ")


def fitting(profile: bytes | None, colours: Samples) -> bytes | None:
    """Return the profile if it may describe `colours`, RGB (H, W, 3) or gray (H, W); else None.

    Gray pixels may have an RGB profile, as viewers allow: red, green and blue are the same.
    """
    space = (profile or b"")[_SPACE]
    if space in _NEITHER_GRAY_NOR_RGB or (space == _GRAY and colours.ndim == 3):
        return None
    return profile


def from_ink(ink: Samples, profile: bytes | None) -> Samples:
    """Convert CMYK (H, W, 4), 0 paper … most ink, to RGB (H, W, 3) of the same type.

    The profile's perceptual intent leads to sRGB. A profile that is missing, damaged or not one of
    CMYK gives way to the plain formula (1 − c)(1 − k).
    """
    if profile is not None and profile[_SPACE] == _INK and _is_usable(profile):
        return _through_profile(ink, profile)
    return _plain(ink)


def _is_usable(profile: bytes) -> bool:
    """Tell whether Little CMS can convert with it: libvips would silently use another."""
    try:
        srgb = ImageCms.createProfile("sRGB")
        ImageCms.buildTransform(io.BytesIO(profile), srgb, "CMYK", "RGB")
    except ImageCms.PyCMSError:
        return False
    return True


def _through_profile(ink: Samples, profile: bytes) -> Samples:
    """Convert in 16 bits whatever the type, so that 8 bits are the rounding of 16.

    libvips goes through the pixels in strips, so only inks and result are in memory.
    """
    height, width, num_inks = ink.shape
    is_deep = ink.dtype == np.uint16
    source = vips().Image.new_from_memory(
        np.ascontiguousarray(ink).data, width, height, num_inks, "ushort" if is_deep else "uchar"
    )
    if not is_deep:
        source = (source * 257).cast("ushort")
    source = source.copy(interpretation="cmyk")
    source.set_type(vips().GValue.blob_type, "icc-profile-data", profile)
    result = source.icc_transform("srgb", embedded=True, intent="perceptual", depth=16)
    return values(result if is_deep else ((result + 128) / 257).cast("uchar"))


def _plain(ink: Samples) -> Samples:
    most = np.iinfo(ink.dtype).max
    result = np.empty((*ink.shape[:2], 3), ink.dtype)
    for row, inks in zip(result, ink, strict=True):  # by row: a photo in 32 bits is large
        paper = most - inks.astype(np.uint32)
        row[:] = (paper[:, :3] * paper[:, 3:] + most // 2) // most
    return result
