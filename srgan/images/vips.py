"""libvips, for what Pillow cannot do: 16 bits, and files written by rows."""

from functools import cache
from typing import Any


@cache
def vips() -> Any:
    """The module `pyvips`, imported at the first call: few photos need it, and it costs 60 ms."""
    import pyvips

    # Loaders are called by name; this is for what they might call in turn.
    pyvips.block_untrusted_set(True)
    pyvips.operation_block_set("VipsForeignLoadRaw", False)  # for pixels that we wrote ourselves
    pyvips.cache_set_max(0)  # it would keep what it has read
    return pyvips
