"""A registration while MLflow dies is tried again, loses no model and is never made twice."""

import hashlib
import os
import signal
from pathlib import Path

import pytest
from prefect import flow

from flows.support import registry as registry_module
from flows.support.registry import register
from srgan.cli import app
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.promotion.lineage import Lineage
from srgan.recipes import tiny
from srgan.refs import ModelRef
from srgan.services.mlflow_models import CHALLENGER, Registry
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.train.checkpoint import CheckpointWriter
from srgan.versions.register import Registrar
from tests.support.checkpoints import RUN, manifest
from tests.support.mlflow_server import run_mlflow_server, server_pids
from tests.support.ports import free_ports
from tests.support.versions import lineage

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic"),
]

WEIGHTS = dump_generator(build_generator(tiny().pretrain.generator))


@flow
def registering(made: Lineage) -> ModelRef:
    return register("dying", made)


def trained(store: S3Store) -> Lineage:
    """A finished stage in the bucket, as a retraining has it before it registers."""
    saved = manifest(8, final=True)
    with CheckpointWriter(store) as writer:
        writer.save(saved, {"generator": WEIGHTS})
    checkpoint = lineage(RUN, WEIGHTS).checkpoint.model_copy(update={"key": saved.key})
    assert checkpoint.digest == hashlib.sha256(WEIGHTS).hexdigest()
    return lineage(RUN, WEIGHTS).model_copy(update={"checkpoint": checkpoint, "pretrained": None})


@pytest.mark.slow(group="parts")
def test_mlflow_killed_between_files_and_version_costs_neither_the_model_nor_a_second_version(
    flow_store: S3Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_ports(1)[0]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

    def dies(self: Registrar, name: str) -> None:
        """Kill the server when the registration has stored its files."""
        for pid in server_pids(port):
            os.kill(pid, signal.SIGKILL)
        ensure(self, name)

    ensure = Registrar._ensure_model
    publish = registry_module.publish_version
    monkeypatch.setattr(
        registry_module, "publish_version", publish.with_options(retry_delay_seconds=[0.1] * 3)
    )
    with run_mlflow_server(tmp_path, port), monkeypatch.context() as until_then:
        until_then.setattr(Registrar, "_ensure_model", dies)
        state = registering(trained(flow_store), return_state=True)
    assert state.is_failed()
    assert caplog.text.count("Task run failed with exception") == 4, caplog.text
    assert state.message is not None
    assert f"`srgan models register {RUN}`" in state.message
    assert f"s3://{flow_store.bucket}/runs/{RUN}/registrations/dying.json" in state.message

    with run_mlflow_server(tmp_path, port):
        for _ in range(2):
            with pytest.raises(SystemExit) as done:
                app(["models", "register", RUN])
            assert not done.value.code
        again = registering(trained(flow_store))
        registry = Registry(Settings())
        (only,) = registry.versions("dying")
        assert only.ref == again
        assert registry.alias("dying", CHALLENGER) == only.version
        assert registry.load_generator_bytes(only.ref) == WEIGHTS
