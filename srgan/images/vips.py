"""libvips, for what Pillow cannot do with 16 bits."""

from functools import cache
from typing import Any


@cache
def vips() -> Any:
    """The module `pyvips`, imported at the first call: few photos need it, and it costs 60 ms."""
    import pyvips

    # Loaders are called by name; this is for what they might call in turn.
    pyvips.block_untrusted_set(True)
    pyvips.cache_set_max(0)  # it would keep what it has read
    return pyvips
