"""Shared by tests: a real object store and photos drawn from a seed."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from srgan.refs import ModelRef
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from tests.support import warden, workers
from tests.support.mlflow_server import run_mlflow_server
from tests.support.object_server import empty_bucket, run_object_server
from tests.support.photos import DrawPhoto
from tests.support.ports import free_ports

if TYPE_CHECKING:
    from srgan.bulk.decoders import Decoders

SLOW = (
    "training",
    "bulk",
    "retraining",
    "nodes",
    "hosts",
    "hosts-bulk",
    "studies",
    "images",
    "image",
    "parts",
)
"""Groups of slow tests: `make test-slow GROUP=bulk`."""
SERVERS = ("stack", "prefect_api", "mlflow_settings")
"""Fixtures that start Prefect, MLflow or everything: `make test-integration` runs who uses them."""


def pytest_configure(config: pytest.Config) -> None:
    # As after Ctrl-C: fixtures end their services, and the summary is written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    gc.disable()  # until all tests are collected
    # MLflow looks for it at every request; pytest's import hook makes that a fifth of the time.
    sys.modules.setdefault("dbruntime", None)  # type: ignore[arg-type]  # cannot be imported
    if hasattr(config, "workerinput"):
        # Workers of pytest-xdist share the cores.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    else:
        warden.start()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    config.option.loadscopereorder = False  # the tests are in their order
    return workers.Scheduling(config, log)


def pytest_itemcollected(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and not set(SERVERS).isdisjoint(item.fixturenames):
        item.add_marker("integration")
        is_slow = item.get_closest_marker("slow") is not None  # runs in one process
        if not is_slow and workers.group(item.nodeid) not in workers.SHARED:
            raise pytest.UsageError(f"{item.nodeid}: name its file in tests/support/workers.py")
    for mark in item.iter_markers("slow"):
        if mark.kwargs.get("group") not in SLOW:
            raise pytest.UsageError(f"{item.nodeid}: slow needs a group: {', '.join(SLOW)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: workers.rank(item.nodeid))


def pytest_collection_finish() -> None:
    # All modules stay: walking through them again and again was a tenth of the time.
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def object_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A SeaweedFS of this session on free loopback ports; Settings that reach it."""
    with run_object_server(tmp_path_factory.mktemp("s3")) as settings:
        yield settings


@pytest.fixture
def s3_settings(object_server: Settings, tmp_path: Path) -> Settings:
    """Settings of this test: the session's bucket and its own home."""
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
    empty_bucket(session_bucket)


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[None]:
    """An empty Prefect server of this session; flows called in this process report to it."""
    # Imported here: most tests do without, and it costs seconds.
    from prefect.events import Event
    from prefect.events.worker import EventsWorker
    from prefect.settings import temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    # Half the work of server and flows; tests read no task runs, logs or past events from it.
    unread = ("TASK_RUN_RECORDER", "EVENT_PERSISTER")
    off = {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": False for name in unread}
    send = EventsWorker.send

    def send_what_is_read(worker: EventsWorker, event: Event) -> None:
        if not event.event.startswith("prefect.task-run."):
            send(worker, event)

    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings({**off, "PREFECT_LOGGING_TO_API_ENABLED": False}),
        prefect_test_harness(server_startup_timeout=300),
    ):
        patch.setattr(EventsWorker, "send", send_what_is_read)
        yield


@pytest.fixture(scope="session")
def running_decoders() -> Iterator["Decoders"]:
    """Decoder processes of this session."""
    # Imported here: most tests do without.
    from srgan.bulk.decoders import Decoders

    with Decoders(2) as decoders:
        yield decoders


@pytest.fixture
def shared_decoders(running_decoders: "Decoders", monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and jobs decode in processes that run already: each costs a second to start."""
    monkeypatch.setattr(
        "srgan.bulk.decoders.Decoders", lambda *_, **__: nullcontext(running_decoders)
    )


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

    from tests.support.image_files import file

    return file


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


@pytest.fixture(scope="module")
def versions(mlflow_settings: Settings) -> list[ModelRef]:
    """Three versions of one model; which of them is champion the tests' empty log says."""
    # Imported here: most tests do without, and it costs seconds.
    from srgan.services import packaging
    from srgan.versions.register import Registrar
    from tests.support.shelf import MODEL
    from tests.support.versions import LITTLE_CODE, lineage, weights

    registry = Registrar(mlflow_settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packaging, "SERVED_CORE", LITTLE_CODE)
        return [
            registry.register(
                MODEL, weights(seed), lineage(f"adversarial-shelf-{seed}", weights(seed))
            )
            for seed in (11, 12, 13)
        ]
