"""How busy the machine is."""

from pathlib import Path

import pytest

from srgan.jobs.train_reporter import SystemMetrics

MEMORY = "MemTotal:       1000000 kB\nMemFree:         100000 kB\nMemAvailable:    250000 kB\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine that has been busy for 100 of 400 ticks."""
    (tmp_path / "stat").write_text("cpu  60 10 30 200 100 0 0 0 7 0\ncpu0 1 1 1 1\n")
    (tmp_path / "meminfo").write_text(MEMORY)
    return tmp_path


def test_the_processors_are_measured_since_the_call_before(proc: Path) -> None:
    metrics = SystemMetrics(proc)
    (proc / "stat").write_text("cpu  100 20 60 210 110 0 0 0 9 0\n")
    found = metrics.read()
    assert found["system/cpu_utilization_percentage"] == pytest.approx(80.0)
    assert found["system/system_memory_usage_percentage"] == pytest.approx(75.0)
    assert found["system/system_memory_usage_megabytes"] == pytest.approx(768.0)


def test_a_machine_that_does_not_tell_has_no_figures(tmp_path: Path) -> None:
    assert not [name for name in SystemMetrics(tmp_path).read() if "gpu" not in name]


def test_this_machine_tells() -> None:
    found = SystemMetrics().read()
    assert 0 < found["system/system_memory_usage_percentage"] <= 100
