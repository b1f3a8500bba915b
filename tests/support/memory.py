"""Memory of processes, as Linux counts it."""

from pathlib import Path


def memory_bytes(what: str, pid: int | str = "self") -> int:
    """``VmRSS``, what a process has now, or ``VmHWM``, the most that it had."""
    text = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(text.split(f"{what}:")[1].split()[0])


def forget_peak() -> None:
    """Let ``VmHWM`` of this process begin again (man 5 proc, clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")
