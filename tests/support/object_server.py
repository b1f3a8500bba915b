"""A real object store for tests: SeaweedFS as in the local stack."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from botocore.exceptions import ClientError

from srgan.errors import StorageError
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from tests.support.ports import free_ports

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


@contextmanager
def run_object_server(home: Path, host: str = "127.0.0.1") -> Iterator[Settings]:
    """Settings that reach a SeaweedFS on free ports that keeps everything in `home`."""
    # Socket paths end at 107 bytes; pytest's directories can be longer.
    sockets = tempfile.mkdtemp(prefix="srgan-", dir="/tmp")
    ports = free_ports(len(_PORTS))
    settings = Settings(
        AWS_ENDPOINT_URL=f"http://{host}:{ports[_PORTS.index('s3.port')]}",
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
                f"-ip={host}",
                f"-ip.bind={host}",
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


def empty_bucket(store: S3Store) -> None:
    """Delete all objects, a thousand with each request: one by one they cost 5 ms each."""
    keys = [entry.key for entry in store.list("")]
    plain = [key for key in keys if key.isprintable()]
    for begin in range(0, len(plain), 1000):
        some = {"Objects": [{"Key": key} for key in plain[begin : begin + 1000]]}
        with suppress(ClientError):  # what is left goes below
            store._client.delete_objects(Bucket=store.bucket, Delete=some)
    for entry in store.list(""):  # XML has no control characters, and some keys do
        store.delete(entry.key)
