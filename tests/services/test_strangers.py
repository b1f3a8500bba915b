"""Users with only MLflow and the registry's address: a fresh environment, a server over HTTP."""

import base64
import io
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
import venv
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from packaging.requirements import Requirement
from PIL import Image

from srgan.inference.engine import Engine
from srgan.models.interchange import load_generator
from srgan.services.mlflow_models import CHAMPION
from srgan.services.packaging import save_pyfunc
from srgan.settings import Settings
from srgan.versions.register import Registrar
from tests.support.ports import free_ports
from tests.support.versions import lineage, weights
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.slow(group="parts"),
    pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic"),
]

_LIMIT_S = 180.0


@pytest.fixture(scope="module")
def registry(mlflow_settings: Settings) -> str:
    """Address of a registry whose ``strangers-x4`` has a champion."""
    made = Registrar(mlflow_settings)
    version = made.register("strangers-x4", weights(7), lineage("adversarial-str", weights(7)))
    made.set_alias("strangers-x4", CHAMPION, version.version)
    return mlflow_settings.require("mlflow_tracking_uri")


def environment(registry: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "MLFLOW_TRACKING_URI": registry,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
    }


def needed_by(lines: list[str]) -> set[str]:
    """Return the distributions that requirements name, and all that those need."""
    found: set[str] = set()
    asked = [Requirement(line) for line in lines]
    while asked:
        requirement = asked.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in found:
            continue
        found.add(name)
        for line in distribution(name).requires or []:
            below = Requirement(line)
            extras = requirement.extras or {""}
            if below.marker is None or any(below.marker.evaluate({"extra": e}) for e in extras):
                asked.append(below)
    return found


def fresh_environment(folder: Path, lines: list[str]) -> Path:
    """Return the Python of a virtual environment with these requirements and no other package.

    Its packages are links to the installed ones, so it needs no network.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in needed_by(lines):
        for file in distribution(name).files or []:
            if ".." in file.parts or file.suffix == ".pyc":
                continue
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.symlink_to(Path(str(file.locate())))
    return folder / "bin" / "python"


STRANGER = """
import importlib.util, sys
import mlflow, pandas
print([name for name in ("srgan", "ray", "prefect", "boto3") if importlib.util.find_spec(name)])
model = mlflow.pyfunc.load_model("models:/strangers-x4@champion")
photo = open("photo.png", "rb").read()
open("result.png", "wb").write(model.predict(pandas.DataFrame({"image": [photo]}))["image"][0])
"""


def test_a_fresh_environment_needs_only_what_the_models_own_requirements_name(
    registry: str,
    tmp_path: Path,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
) -> None:
    save_pyfunc(tmp_path / "model", weights(7))
    lines = (tmp_path / "model" / "requirements.txt").read_text().splitlines()
    python = fresh_environment(tmp_path / "venv", lines)
    photo = draw_photo(1, 12, 16)
    (tmp_path / "photo.png").write_bytes(encode_photo(photo))
    done = subprocess.run(
        [str(python), "-c", STRANGER],
        cwd=tmp_path,
        env=environment(registry),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[0] == "[]", "packages that no requirement names"
    expected = Engine(load_generator(weights(7)), tile=192, device="cpu").upscale(photo)
    found = np.asarray(Image.open(io.BytesIO((tmp_path / "result.png").read_bytes())))
    np.testing.assert_array_equal(found, expected)


def test_mlflow_models_serve_answers_a_photo_over_http(
    registry: str,
    tmp_path: Path,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
) -> None:
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    command = ["models", "serve", "-m", "models:/strangers-x4@champion", "--env-manager", "local"]
    with (tmp_path / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            [str(Path(sys.executable).with_name("mlflow")), *command, "--port", str(port)],
            cwd=tmp_path,
            env=environment(registry) | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(f"{address}/ping", server, tmp_path / "serve.log")
        photo = draw_photo(1, 12, 16)
        sent = base64.b64encode(encode_photo(photo)).decode()
        body = json.dumps({"dataframe_records": [{"image": sent}]}).encode()
        request = urllib.request.Request(
            f"{address}/invocations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            (result,) = json.load(answer)["predictions"]
        expected = Engine(load_generator(weights(7)), tile=192, device="cpu").upscale(photo)
        found = np.asarray(Image.open(io.BytesIO(base64.b64decode(result["image"]))))
        np.testing.assert_array_equal(found, expected)
    finally:
        # The whole group, because mlflow starts uvicorn as a child.
        os.killpg(server.pid, 15)
        server.wait(30)


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers; a failure shows its log."""

    def answers() -> bool:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    try:
        wait_until(lambda: answers() or server.poll() is not None, "the server answers", _LIMIT_S)
        assert server.poll() is None, "the server has ended"
    except AssertionError as error:
        raise AssertionError(f"{error}:\n{log.read_text(errors='replace')[-3000:]}") from error
