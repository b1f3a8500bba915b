"""Photos in and out of their files: the one place where an image library is spoken."""

from srgan.images.decode import decode
from srgan.images.encode import encode
from srgan.images.photo import Photo, pixel_digest
from srgan.images.strip import strip

__all__ = ["Photo", "decode", "encode", "pixel_digest", "strip"]
