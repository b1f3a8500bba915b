"""The wheel: built from the files of the checkout, installed beside it, used in an empty folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.support.checkout import ROOT
from tests.support.photos import image

_SOURCES = ("pyproject.toml", "prefect.yaml", "constraints.txt", "README.md", "LICENSE")


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"  # a build leaves files where it works
    for package in ("srgan", "flows"):
        shutil.copytree(
            ROOT / package, sources / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in _SOURCES:
        shutil.copy(ROOT / name, sources)
    build = ("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder))
    run(sys.executable, *build, str(sources), cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that has the wheel, and besides what this one has."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home)
    install = ("-m", "pip", "--python", str(home / "bin" / "python"), "install", "-q", "--no-deps")
    run(sys.executable, *install, str(wheel), cwd=home)
    packages = home.joinpath(*Path(sysconfig.get_path("purelib")).parts[-3:])
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return home / "bin"


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    files = [
        path.relative_to(ROOT).as_posix()
        for package in ("srgan", "flows")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert len(files) > 300
    assert not set(files) - names


def test_photos_are_upscaled_in_an_empty_folder(programs: Path, tmp_path: Path) -> None:
    Image.fromarray(image(1)).save(tmp_path / "one.png")
    run(str(programs / "srgan"), "upscale", "one.png", "large.png", cwd=tmp_path)
    with Image.open(tmp_path / "large.png") as large, Image.open(tmp_path / "one.png") as small:
        assert large.size == (4 * small.width, 4 * small.height)


def test_a_stack_without_its_object_store_names_the_extra(programs: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(programs / "srgan"), "stack", "up"],
        cwd=tmp_path,
        env={"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install -e '.[server]'" in done.stderr
    assert not (tmp_path / ".srgan").exists(), "nothing was begun"


def test_deployments_and_flows_are_found_without_a_checkout(programs: Path, tmp_path: Path) -> None:
    code = (
        "from srgan.stack import environment as e\n"
        "print(e.deployments_file())\n"
        "print((e.CHECKOUT / 'flows' / 'retrain.py').is_file(), e.CHECKOUT)\n"
    )
    file, flows = run(str(programs / "python"), "-c", code, cwd=tmp_path).splitlines()
    assert file == str(programs.parent / "share" / "srgan" / "prefect.yaml")
    assert flows.startswith(f"True {programs.parent}")
