"""The Dockerfile: linted, small to rebuild, and with addresses that exist."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.checkout import ROOT
from tests.support.manifests import DOCKERFILE

TEXT = DOCKERFILE.read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

WAIVED = {
    "DL3008": "Debian's g++ in the version of the base image, which is pinned by its digest",
    "DL3013": "versions are in constraints.txt",
}
"""Rules of hadolint that are not followed, and why."""

INDEXES = {"cpu", "cu126", "cu130", "cu132"}
"""Indexes that have wheels of the torch in constraints.txt."""


def test_hadolint_finds_nothing_but_what_is_waived() -> None:
    hadolint = str(Path(sys.executable).with_name("hadolint"))
    ignored = [f"--ignore={rule}" for rule in WAIVED]
    found = subprocess.run(
        [hadolint, *ignored, str(DOCKERFILE)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_user_is_a_number_and_not_root() -> None:
    assert re.findall(r"^USER (.*)$", TEXT, re.M) == ["10001:10001"]


def test_the_base_image_comes_from_a_registry() -> None:
    assert re.findall(r"^ARG BASE=(.*)$", TEXT, re.M) == [
        "docker.io/library/python:3.11-slim-bookworm"
    ]


def test_dependencies_are_installed_before_the_code_is_copied() -> None:
    copied = [match.start() for match in re.finditer(r"^COPY (srgan|flows) ", TEXT, re.M)]
    installed = TEXT.index("pip install -c constraints.txt")
    assert len(copied) == 2
    assert installed < min(copied)
    assert "pip install --no-deps -e ." in TEXT


def test_what_is_copied_passes_dockerignore() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines, "everything else stays outside"
    sources = [
        source for line in re.findall(r"^COPY (.*)$", TEXT, re.M) for source in line.split()[:-1]
    ]
    assert set(sources) == kept
    for source in sources:
        assert (ROOT / source).exists(), source


def test_the_image_has_the_driver_of_postgresql_the_store_and_the_networks_of_the_recipes() -> None:
    (extras,) = re.findall(r"requirements\.py (.*) >", TEXT)
    assert set(extras.split()) == {"judge", "postgres", "server", "teacher"}
    script = DOCKERFILE.with_name("requirements.py")
    printed = subprocess.run(
        [sys.executable, str(script), *extras.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    assert set(PROJECT["dependencies"]) < set(printed)
    assert not [line for line in printed if line.startswith("srgan")], "it is not installed yet"
    assert any(line.startswith("psycopg") for line in printed)


def test_an_image_in_a_registry_names_its_commit() -> None:
    after = TEXT.index("pip install -c constraints.txt")
    assert TEXT.index("ARG REVISION=") > after, "a new commit would install gigabytes again"
    assert 'LABEL org.opencontainers.image.revision="${REVISION}"' in TEXT
    page = (ROOT / "docs" / "deploying.md").read_text()
    assert page.count('--build-arg REVISION="$(git rev-parse HEAD)"') == 2


def test_downloaded_wheels_stay_with_the_builder() -> None:
    steps = [step for step in re.split(r"^(?=[A-Z]+ )", TEXT, flags=re.M) if "pip install" in step]
    assert len(steps) == 3
    for step in steps:
        assert step.startswith("RUN --mount=type=cache,target=/root/.cache/pip "), step
        assert "--no-cache-dir" not in step
    assert "PIP_NO_CACHE_DIR" not in TEXT


def test_every_index_of_torch_exists() -> None:
    files = ["Makefile", "infra/docker/Dockerfile", "infra/docker/compose.yaml"]
    files += [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    named = {
        index
        for file in files
        for index in re.findall(r"whl/(cpu|cu\d+)", (ROOT / file).read_text())
    }
    assert named <= INDEXES
    assert "cu130" in named


def test_installed_files_are_compiled() -> None:
    # A node of Ray would otherwise compile Ray with the 0.2 CPUs that KubeRay gives it for that.
    assert "PYTHONDONTWRITEBYTECODE" not in TEXT
    assert "--no-compile" not in TEXT
    assert "compileall" in TEXT
