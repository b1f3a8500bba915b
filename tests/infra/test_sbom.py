"""The list of what is in the image: its tools are pinned, and no part of what they list."""

import re
import subprocess

from tests.support.checkout import ROOT

TOOLS = (ROOT / "infra" / "audit.txt").read_text()
SCRIPT = ROOT / "infra" / "sbom.sh"
PROGRAMS = {
    "cyclonedx-bom": "cyclonedx-py",
    "pip-audit": "pip-audit",
    "pip-licenses": "pip-licenses",
}
"""The program that each package brings."""


def test_every_tool_has_a_version_and_is_used() -> None:
    pinned = re.findall(r"^([a-z-]+)==[\d.]+$", TOOLS, re.M)
    assert set(pinned) == PROGRAMS.keys()
    used = SCRIPT.read_text() + (ROOT / "Makefile").read_text()
    for program in PROGRAMS.values():
        assert f"/bin/{program}" in used, program


def test_the_tools_are_not_installed_beside_what_they_list() -> None:
    listed = (ROOT / "constraints.txt").read_text() + (ROOT / "pyproject.toml").read_text()
    assert not [name for name in PROGRAMS if name in listed]


def test_the_script_is_one_that_a_shell_reads_and_may_run() -> None:
    done = subprocess.run(
        ["bash", "-n", SCRIPT], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert SCRIPT.stat().st_mode & 0o111
