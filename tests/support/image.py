"""The image of infra/docker/Dockerfile, built by buildah, without an engine and without a registry.

Its steps run in a chroot. The base image is made of Debian's packages: the Debian and the Python
of ``python:3.11-slim-bookworm``, but Python is Debian's own build.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.checkout import ROOT
from tests.support.hosts import why_no_hosts
from tests.support.manifests import DOCKERFILE

_SUITE = "bookworm"
_PACKAGES = "ca-certificates,python-is-python3,python3-pip"
_BUILD_LIMIT_S = 3600.0
_NAME = "localhost/srgan"


def cache_folder() -> Path:
    """Where base image and wheels stay for the next build, and where the image is meanwhile.

    The variable ``IMAGE_CACHE`` says it.
    """
    return Path(os.environ.get("IMAGE_CACHE") or "~/.cache/srgan-image").expanduser()


def torch_index() -> str:
    """The index for torch: ``TORCH_INDEX``, or what the Dockerfile says."""
    (default,) = re.findall(r"^ARG TORCH_INDEX=(.*)$", DOCKERFILE.read_text(), re.M)
    return os.environ.get("TORCH_INDEX") or default


def why_no_image() -> str | None:
    """Say in words what this machine lacks to build and run the image; None if it can."""
    if reason := why_no_hosts():
        return reason
    tools = ("buildah", "debootstrap")
    missing = [name for name in tools if not shutil.which(name)]
    if missing:
        return f"the image is built by {', '.join(missing)} (Debian has packages of that name)"
    try:
        urllib.request.urlopen(f"{torch_index()}/torch/", timeout=20).close()
    except OSError as error:
        return f"{torch_index()} does not answer ({error}); TORCH_INDEX names another index"
    return None


@dataclass(frozen=True)
class Image:
    """A built image, laid out as a root file system."""

    root: Path
    user: str
    """Numbers of user and group: ``10001:10001``."""
    environment: dict[str, str]
    folder: str
    """Where its commands begin."""
    _container: str
    _buildah: tuple[str, ...]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the image says: its user, its variables, its folder."""
        return subprocess.run(
            [*self._buildah, "run", "--isolation", "chroot", self._container, "--", *command],
            text=True,
            capture_output=True,
            timeout=300,
            check=False,
        )


@contextmanager
def built_image() -> Iterator[Image]:
    """Build the image from this checkout; at the end it is gone, and the cache stays."""
    cache = cache_folder()
    base, storage, temporary = cache / f"{_SUITE}-root", cache / "storage", cache / "builder"
    _remove(storage)  # what a killed run has left
    temporary.mkdir(parents=True, exist_ok=True)
    if not base.exists():
        _debootstrap(base)
    buildah = ("buildah", "--root", str(storage / "images"), "--runroot", str(storage / "run"))
    # buildah keeps below TMPDIR what `RUN --mount=type=cache` asks for.
    builder = _Builder(buildah, {**os.environ, "TMPDIR": str(temporary)})
    try:
        builder.make_base(base)
        builder.build(storage / "pip.conf")
        container = builder("from", "--pull-never", _NAME)
        root = Path(builder("mount", container))
        about = json.loads(builder("inspect", "--type", "image", _NAME))["OCIv1"]["config"]
        for name in ("hosts", "resolv.conf"):  # places to mount on
            (root / "etc" / name).touch()
        yield Image(
            root=root,
            user=about["User"],
            environment=dict(each.split("=", 1) for each in about["Env"]),
            folder=about["WorkingDir"],
            _container=container,
            _buildah=buildah,
        )
    finally:
        _remove(storage)


class _Builder:
    """buildah with its own store of images."""

    def __init__(self, buildah: tuple[str, ...], environment: dict[str, str]) -> None:
        self._buildah = buildah
        self._environment = environment

    def __call__(self, *arguments: str, timeout_s: float = 600) -> str:
        """Run a command of buildah; returns what it prints on stdout."""
        done = subprocess.run(
            [*self._buildah, *arguments],
            env=self._environment,
            cwd=ROOT,
            text=True,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        said = done.stdout[-6000:] + done.stderr[-6000:]
        assert done.returncode == 0, f"buildah {' '.join(arguments)}:\n{said}"
        return done.stdout.strip()

    def make_base(self, root: Path) -> None:
        """Make an image of Debian's packages, which knows where programs are, as Python's does."""
        container = self("from", "scratch")
        self("add", "--quiet", container, str(root), "/")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        # Debian's pip refuses to install beside Debian's own packages; Python's image has none.
        more = ("--env", "PIP_BREAK_SYSTEM_PACKAGES=1")
        self("config", "--env", path, *more, container)
        self("commit", "--quiet", "--rm", container, f"{_NAME}-base")

    def build(self, pip_conf: Path) -> None:
        """Run the Dockerfile with what this machine's pip needs to reach its packages."""
        pip_conf.write_text(_pip_configuration())
        mounts = [f"{pip_conf}:/etc/pip.conf:ro", "/etc/ssl/certs:/etc/ssl/certs:ro"]
        mounts += [f"{each}:{each}:ro" for each in _places(pip_conf.read_text())]
        self(
            *("bud", "--isolation", "chroot", "--layers=false", "--pull-never"),
            *("--file", str(DOCKERFILE), "--tag", _NAME),
            *("--build-arg", f"BASE={_NAME}-base", "--build-arg", f"TORCH_INDEX={torch_index()}"),
            *(word for mount in mounts for word in ("--volume", mount)),
            str(ROOT),
            timeout_s=_BUILD_LIMIT_S,
        )


def _debootstrap(folder: Path) -> None:
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(part)],
        text=True,
        capture_output=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    shutil.rmtree(part / "var" / "cache" / "apt")
    part.rename(folder)


def _pip_configuration() -> str:
    """This machine's own settings of pip, from its files and variables, as one file."""
    shown = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        text=True,
        capture_output=True,
        check=True,
        timeout=120,
    ).stdout
    settings = re.findall(r"^[\w:]+\.([\w-]+)=(.*)$", shown, re.M)
    lines = {name: str(ast.literal_eval(value)).replace("\n", " ") for name, value in settings}
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())


def _places(pip_configuration: str) -> set[Path]:
    """Files and folders that are named there; the files of an index lie beside its pages."""
    words = pip_configuration.split()
    paths = {Path(word.removeprefix("file://")) for word in words if re.match("(file://)?/", word)}
    return {path.parent if path.name == "simple" else path for path in paths if path.exists()}


def _remove(folder: Path) -> None:
    """Delete a store of images; a file system that is still mounted there goes first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if Path(mount).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", mount], check=True, timeout=60)
    shutil.rmtree(folder, ignore_errors=True)
