"""Read and write photos. No other package calls an image library."""

from srgan.images.decode import declared_pixels, decode, decode_in_8_bits
from srgan.images.encode import encode
from srgan.images.photo import Photo, pixel_digest
from srgan.images.strip import strip

__all__ = [
    "Photo",
    "declared_pixels",
    "decode",
    "decode_in_8_bits",
    "encode",
    "pixel_digest",
    "strip",
]
