"""Stores, registry and stages for flows that run in a test."""

import hashlib
import logging
from collections.abc import Callable

import pytest
from pydantic import BaseModel

from flows import evaluate as evaluate_module
from flows import retrain as retrain_module
from flows import upscale as upscale_module
from flows.support import preparing, upscale_report
from srgan.jobs import upscale as worker
from srgan.jobs.prepare import run_preparation
from srgan.keys import spec_key
from srgan.refs import to_json
from srgan.services import mlflow_models, packaging
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.versions import services
from srgan.versions.services import Services
from tests.support.bench import Bench, Models
from tests.support.photos import DrawPhoto
from tests.support.pipeline import Pipeline
from tests.support.versions import LITTLE_CODE


@pytest.fixture
def flow_store(service_store: S3Store) -> S3Store:
    """The empty bucket; the environment names it and the tests' MLflow."""
    return service_store


@pytest.fixture
def preparing_here(monkeypatch: pytest.MonkeyPatch, shared_decoders: None) -> list[str]:
    """Run jobs that prepare photos in this process; the runs that they made."""
    runs: list[str] = []

    def run_job(*, services: Services, run: str, module: str, spec: BaseModel, **_: object) -> None:
        assert module == "srgan.jobs.prepare"
        runs.append(run)
        services.store.put(spec_key(run), to_json(spec))
        run_preparation(spec_key(run), 1, 2**30)

    monkeypatch.setattr(preparing, "run_job", run_job)
    return runs


@pytest.fixture
def pipeline(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, flow_store: S3Store
) -> Pipeline:
    """Replaced stages; the environment names the services of the tests."""
    # Another model for each test, because MLflow lives as long as the session.
    made = Pipeline(flow_store, f"m{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}")
    monkeypatch.setattr(packaging, "SERVED_CORE", LITTLE_CODE)
    monkeypatch.setattr(retrain_module, "prepare", made.prepare)
    monkeypatch.setattr(retrain_module, "train", made.train)
    monkeypatch.setattr(evaluate_module, "run_job", made.run_job)
    return made


@pytest.fixture
def bench(
    monkeypatch: pytest.MonkeyPatch,
    object_store: S3Store,
    s3_settings: Settings,
    shared_decoders: None,
) -> Bench:
    """The bulk flow's parts, with their services replaced but for the object store."""
    models = Models()
    bench = Bench(object_store, s3_settings, models)
    monkeypatch.setattr(services, "Settings", lambda: s3_settings)
    for each in (upscale_module, upscale_report):
        monkeypatch.setattr(each, "get_run_logger", lambda: logging.getLogger("flow-run"))
    for each in (services, mlflow_models):
        monkeypatch.setattr(each, "Registry", lambda _: models)
    monkeypatch.setattr(worker, "Settings", lambda: s3_settings)
    monkeypatch.setattr(upscale_module, "root_flow_run_id", lambda: bench.root)
    monkeypatch.setattr(upscale_module, "run_job", bench.run_job)
    monkeypatch.setattr(upscale_report, "create_table_artifact", bench.show)
    monkeypatch.setattr(upscale_report, "create_markdown_artifact", bench.show_text)
    monkeypatch.setattr(upscale_report, "create_image_artifact", bench.show_text)
    return bench


@pytest.fixture
def photos(bench: Bench, draw_photo: DrawPhoto, encode_photo: Callable[..., bytes]) -> list[str]:
    """Names of three photos below ``photos/``."""
    names = ["a.jpg", "sub/Ünï.png", "z.webp"]
    for seed, name in enumerate(names):
        kind = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[name.rpartition(".")[2]]
        bench.store.put(f"photos/{name}", encode_photo(draw_photo(seed, 16, 24), kind))
    return names


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retrainings make none: `test_report` looks at reports, and each costs seconds."""
    monkeypatch.setattr(retrain_module, "report", lambda *_: None)
