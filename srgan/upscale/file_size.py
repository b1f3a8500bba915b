"""Files that are too large to be any image within the limit of pixels, known before a read."""

from srgan.errors import ImageError
from srgan.readable import size

_PIXEL_BYTES = 8
"""Of RGB with alpha in 16 bits, not compressed: no format that is read takes more."""
_SPARE_BYTES = 64 * 2**20
"""For what stands beside the pixels: profile, EXIF, texts, previews."""


def largest_bytes(max_pixels: int) -> int:
    """Of a file whose pixels could still be `max_pixels`."""
    return _PIXEL_BYTES * max_pixels + _SPARE_BYTES


def check_file_size(size_bytes: int, max_pixels: int) -> None:
    """`ImageError` (``too_large``) for a file that is read into memory for nothing."""
    largest = largest_bytes(max_pixels)
    if size_bytes > largest:
        raise ImageError(
            "too_large",
            f"the file has {size(size_bytes)}, and no image of max_pixels {max_pixels} has more "
            f"than {size(largest)}; it was not read",
        )
