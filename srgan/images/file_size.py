"""Size of the largest file that can hold an image within a limit of pixels."""

from srgan.errors import ImageError
from srgan.readable import size

_FILE_PIXEL_BYTES = 8
"""RGB with alpha in 16 bits, not compressed; other formats that are read take less."""
_FILE_SPARE_BYTES = 64 * 2**20
"""For what lies beside the pixels: profile, EXIF, texts, previews."""


def largest_bytes(max_pixels: int) -> int:
    """Size of the largest file whose image could still have `max_pixels`."""
    return _FILE_PIXEL_BYTES * max_pixels + _FILE_SPARE_BYTES


def check_file_size(size_bytes: int, max_pixels: int) -> None:
    """Refuse a file before it is read: `ImageError` (``too_large``)."""
    largest = largest_bytes(max_pixels)
    if size_bytes > largest:
        raise ImageError(
            "too_large",
            f"the file has {size(size_bytes)}, but an image of max_pixels {max_pixels} has at "
            f"most {size(largest)}; it was not read",
        )
