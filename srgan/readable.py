"""Times and sizes as people read them."""

_UNITS = ("kB", "MB", "GB", "TB")


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 05 s``, ``2 h 07 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(num_bytes: float) -> str:
    """``0.1 kB``, ``12.3 MB``, ``74.2 GB``: in thousands, as disks are sold."""
    for unit in _UNITS:
        num_bytes /= 1000
        if num_bytes < 999.95 or unit == _UNITS[-1]:
            return f"{num_bytes:.1f} {unit}"
    raise AssertionError("the last unit takes what is left")
