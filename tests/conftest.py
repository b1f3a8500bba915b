"""What tests share: a real object store and photos drawn from a seed."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from srgan.adapters.s3 import S3Store, open_store
from srgan.errors import StorageError
from srgan.settings import Settings
from tests.mlflow_server import run_mlflow_server

_START_LIMIT_S = 60.0
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "admin.port",
    "admin.port.grpc",
)

DrawPhoto = Callable[..., NDArray[np.uint8]]


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A SeaweedFS of this session on free loopback ports; Settings that reach it."""
    home = tmp_path_factory.mktemp("s3")
    # Socket paths end at 107 bytes; pytest's directories can be longer.
    sockets = tempfile.mkdtemp(prefix="srgan-", dir="/tmp")
    ports = free_ports(len(_PORTS))
    settings = Settings(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{ports[_PORTS.index('s3.port')]}",
        AWS_ACCESS_KEY_ID=secrets.token_hex(8),
        AWS_SECRET_ACCESS_KEY=secrets.token_hex(16),
        AWS_DEFAULT_REGION="us-east-1",
        bucket="srgan-test",
        home=home,
    )
    assert settings.s3_access_key is not None
    assert settings.s3_secret_key is not None
    with (home / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("weed")),
                "-logtostderr=true",
                "mini",
                f"-dir={home}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                *(f"-{name}={port}" for name, port in zip(_PORTS, ports, strict=True)),
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-webdav=false",
                "-admin.ui=false",
                "-master.telemetry=false",
                f"-filer.localSocket={sockets}/filer.sock",
                f"-s3.localSocket={sockets}/s3.sock",
            ],
            env={
                **os.environ,
                "AWS_ACCESS_KEY_ID": settings.s3_access_key.get_secret_value(),
                "AWS_SECRET_ACCESS_KEY": settings.s3_secret_key.get_secret_value(),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for_server(process, settings, home / "weed.log")
        yield settings
    finally:
        # Nothing here outlives the session, so it need not take leave (up to 12 s).
        process.kill()
        process.wait()
        shutil.rmtree(sockets)


def free_ports(count: int) -> list[int]:
    taken = [socket.socket() for _ in range(count)]
    try:
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]
    finally:
        for each in taken:
            each.close()


def _wait_for_server(process: subprocess.Popen[bytes], settings: Settings, log: Path) -> None:
    """Until a bucket can be made and written to: the port answers before the volumes do."""
    store = open_store(settings)
    limit = time.monotonic() + _START_LIMIT_S
    while True:
        try:
            store.ensure_bucket()
            store.put("ready", b"")
            store.delete("ready")
            return
        except StorageError as error:
            if process.poll() is not None or time.monotonic() > limit:
                tail = log.read_text(errors="replace")[-2000:]
                raise AssertionError(f"SeaweedFS did not start ({error}):\n{tail}") from error
            time.sleep(0.1)


@pytest.fixture
def s3_settings(object_server: Settings, tmp_path: Path) -> Settings:
    """Settings of this test: the session's bucket and a home of its own."""
    return object_server.model_copy(update={"home": tmp_path / "home"})


@pytest.fixture(scope="session")
def session_bucket(object_server: Settings) -> S3Store:
    """One bucket and one client for all tests: they cost 0.4 s and up to 1 s each."""
    store = open_store(object_server)
    store.ensure_bucket()
    return store


@pytest.fixture
def object_store(session_bucket: S3Store) -> Iterator[S3Store]:
    """A bucket that is empty at the start of every test."""
    yield session_bucket
    for entry in list(session_bucket.list("")):
        session_bucket.delete(entry.key)


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[None]:
    """An empty Prefect server of this session; flows called in this process report to it."""
    # Imported here: most tests do without, and it costs seconds.
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def draw_photo() -> DrawPhoto:
    """`draw_photo(seed, height, width)`: smooth, textured uint8 RGB, other for each seed."""

    def draw(seed: int, height: int = 80, width: int = 96) -> NDArray[np.uint8]:
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        noise = rng.integers(-12, 13, (height, width, 3))
        return np.clip(np.asarray(smooth, np.int16) + noise, 0, 255).astype(np.uint8)

    return draw


@pytest.fixture
def encode_photo() -> Callable[..., bytes]:
    """`encode_photo(pixels, "PNG")`: an image file of an array."""

    def encode(pixels: NDArray[np.uint8], kind: str = "PNG", **options: object) -> bytes:
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, kind, **options)
        return buffer.getvalue()

    return encode


@pytest.fixture(scope="session")
def mlflow_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """An MLflow server of this session; Settings that reach it and nothing else."""
    with run_mlflow_server(tmp_path_factory.mktemp("mlflow"), free_ports(1)[0]) as address:
        yield Settings(MLFLOW_TRACKING_URI=address)


@pytest.fixture
def service_store(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    s3_settings: Settings,
    mlflow_settings: Settings,
    object_store: S3Store,
) -> S3Store:
    """The empty bucket, with an environment that leads to it and to the tests' MLflow."""
    assert s3_settings.s3_access_key is not None
    assert s3_settings.s3_secret_key is not None
    for name, value in {
        "AWS_ENDPOINT_URL": s3_settings.require("s3_endpoint_url"),
        "AWS_ACCESS_KEY_ID": s3_settings.s3_access_key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": s3_settings.s3_secret_key.get_secret_value(),
        "AWS_DEFAULT_REGION": s3_settings.s3_region,
        "SRGAN_BUCKET": s3_settings.bucket,
        "SRGAN_HOME": str(tmp_path),
        "MLFLOW_TRACKING_URI": mlflow_settings.require("mlflow_tracking_uri"),
    }.items():
        monkeypatch.setenv(name, value)
    return object_store
