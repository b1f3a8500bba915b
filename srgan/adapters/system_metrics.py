"""How busy the machine of a training's first worker is, by the names of MLflow's own page."""

from pathlib import Path

_MEGABYTE = 10**6


class SystemMetrics:
    """Figures of this machine since the call before; empty where it does not tell them.

    MLflow's collector needs psutil, which nothing else here does; Linux tells the same in files.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._before = self._ticks()

    def read(self) -> dict[str, float]:
        """CPU and memory of the machine, and of its GPU where torch sees one."""
        return {**self._cpu(), **self._memory(), **_gpu()}

    def _cpu(self) -> dict[str, float]:
        before, now = self._before, self._ticks()
        self._before = now
        if before is None or now is None or now[1] == before[1]:
            return {}
        busy = (now[0] - before[0]) / (now[1] - before[1])
        return {"system/cpu_utilization_percentage": 100 * busy}

    def _ticks(self) -> tuple[int, int] | None:
        """Busy and all ticks of all processors since the machine started."""
        try:
            first = (self._proc / "stat").read_text().splitlines()[0]
        except OSError:
            return None
        # user nice system idle iowait irq softirq steal; what guests use is part of user.
        ticks = [int(value) for value in first.split()[1:9]]
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks)

    def _memory(self) -> dict[str, float]:
        try:
            lines = (self._proc / "meminfo").read_text().splitlines()
        except OSError:
            return {}
        bytes_of = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines}
        used = bytes_of["MemTotal"] - bytes_of["MemAvailable"]
        return {
            "system/system_memory_usage_megabytes": used / _MEGABYTE,
            "system/system_memory_usage_percentage": 100 * used / bytes_of["MemTotal"],
        }


def _gpu() -> dict[str, float]:
    import torch

    if not torch.cuda.is_available():
        return {}
    free, total = torch.cuda.mem_get_info()
    return {
        "system/gpu_0_memory_usage_megabytes": (total - free) / _MEGABYTE,
        "system/gpu_0_memory_usage_percentage": 100 * (total - free) / total,
    }
