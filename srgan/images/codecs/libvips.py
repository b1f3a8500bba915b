"""Start libvips, which reads and writes what Pillow cannot, and explain its errors."""

from functools import cache
from typing import Any

import numpy as np

from srgan.errors import ImageError
from srgan.images.photo import Samples


@cache
def vips() -> Any:
    """Import `pyvips` at the first call: few photos need it, and it costs 60 ms."""
    import pyvips

    # We call loaders by name; this blocks what they might call in turn. Raw pixels are our own.
    pyvips.block_untrusted_set(True)
    pyvips.operation_block_set("VipsForeignLoadRaw", False)
    pyvips.cache_set_max(0)  # the cache would keep everything it has read, even spooled pixels
    return pyvips


def use_threads(num_threads: int) -> None:
    """Have this process compute each image of libvips in so many threads.

    By default one for each CPU of the machine, also if a worker has reserved fewer.
    """
    vips().concurrency_set(num_threads)


_NOT_A_REASON = "unable to write to memory"
_DTYPES = {"uchar": np.uint8, "ushort": np.uint16}


def values(image: Any) -> Samples:
    """Compute a libvips image of 8 or 16 bits, (H, W, channels); `ImageError` if that fails."""
    try:
        data = np.frombuffer(image.write_to_memory(), _DTYPES[image.format])
    except vips().Error as error:
        raise refusal(error) from error
    return data.reshape(image.height, image.width, image.bands)


def refusal(error: Exception) -> ImageError:
    """Explain an error of libvips, which keeps to itself what was only a warning."""
    said = " ".join(str(error).split()).removeprefix(_NOT_A_REASON).strip()
    if lacks_memory(said):
        return ImageError("too_large", said)
    is_unsupported = any(text in said for text in ("not supported", "doesn't support"))
    reason = "unsupported" if is_unsupported else "corrupt"
    return ImageError(reason, said or "the pixels are damaged, or end too early")


def lacks_memory(said: str) -> bool:
    """Tell by its message whether libheif got no memory; above its limits the file is at fault."""
    return "Memory allocation error" in said and "Security limit" not in said
