"""Stores, registry and stages for flows that run in a test."""

import hashlib

import pytest

from flows import evaluate as evaluate_module
from flows import retrain as retrain_module
from srgan.services.s3 import S3Store
from tests.support.pipeline import Pipeline


@pytest.fixture
def flow_store(service_store: S3Store) -> S3Store:
    """The empty bucket; the environment names it and the tests' MLflow."""
    return service_store


@pytest.fixture
def pipeline(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, flow_store: S3Store
) -> Pipeline:
    """Replaced stages; the environment names the services of the tests."""
    # Another model for each test, because MLflow lives as long as the session.
    made = Pipeline(flow_store, f"m{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}")
    monkeypatch.setattr(retrain_module, "prepare", made.prepare)
    monkeypatch.setattr(retrain_module, "train", made.train)
    monkeypatch.setattr(evaluate_module, "run_job", made.run_job)
    return made
