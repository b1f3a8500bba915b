"""Checks of this machine: a folder that cannot be written to, full disks, little memory."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from srgan.doctor.machine import machine_checks
from srgan.settings import Settings
from tests.support.findings import look, outcomes


def test_this_machine_passes(tmp_path: Path) -> None:
    found = look(machine_checks(Settings(home=tmp_path / "home", cache_bytes=2**20)))
    assert set(outcomes(found).values()) == {"ok"}, found
    assert found["folder"].seen == f"{tmp_path}/home, to be made"
    assert not (tmp_path / "home").exists()


def test_a_home_that_cannot_be_written_to_is_named() -> None:
    found = look(machine_checks(Settings(home=Path("/proc/srgan"))))
    assert found["folder"].outcome == "failed"
    assert found["folder"].seen.startswith("/proc cannot be written to")
    assert "SRGAN_HOME" in found["folder"].remedy
    assert found["disk"].outcome == "not checked"


@pytest.mark.parametrize(
    ("free_bytes", "outcome", "what_to_do"),
    [(10**8, "failed", "Delete files there"), (10**10, "warning", "lower SRGAN_CACHE_BYTES")],
)
def test_a_full_disk_is_named(
    free_bytes: int,
    outcome: str,
    what_to_do: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_bytes))
    found = look(machine_checks(Settings(home=tmp_path)))
    assert found["disk"].outcome == outcome
    assert str(tmp_path) in found["disk"].seen
    assert what_to_do in found["disk"].remedy


@pytest.fixture(autouse=True)
def no_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of a control group without limits."""
    monkeypatch.setattr("srgan.doctor.machine._CGROUP", tmp_path)
    return tmp_path


def test_in_a_container_its_own_limit_of_memory_counts(
    no_container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = SimpleNamespace(available=60 * 10**9, total=64 * 10**9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: host)
    (no_container / "memory.max").write_text("4000000000\n")
    (no_container / "memory.current").write_text("3500000000\n")
    (no_container / "memory.stat").write_text("file 700000000\ninactive_file 500000000\n")
    found = look(machine_checks(Settings()))
    assert (found["memory"].outcome, found["memory"].seen) == (
        "warning",
        "1.0 GB of 4.0 GB available",
    )
    assert found["memory"].remedy.startswith("Raise the container's limit of memory: ")


def test_a_container_with_room_on_a_full_host_is_not_told_to_grow(
    no_container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = SimpleNamespace(available=10**9, total=64 * 10**9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: host)
    (no_container / "memory.max").write_text("8000000000\n")
    (no_container / "memory.current").write_text("500000000\n")
    found = look(machine_checks(Settings()))["memory"]
    assert (found.seen, found.remedy.partition(":")[0]) == (
        "1.0 GB of 8.0 GB available",
        "End other programs",
    )


def test_a_container_without_a_limit_has_the_memory_of_its_host(
    no_container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = SimpleNamespace(available=60 * 10**9, total=64 * 10**9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: host)
    (no_container / "memory.max").write_text("max\n")
    assert look(machine_checks(Settings()))["memory"].seen == "60.0 GB of 64.0 GB available"


def test_little_memory_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    little = SimpleNamespace(available=10**9, total=4 * 10**9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    found = look(machine_checks(Settings()))
    assert (found["memory"].outcome, found["memory"].seen) == (
        "warning",
        "1.0 GB of 4.0 GB available",
    )
    assert found["memory"].remedy.startswith("End other programs: ")
