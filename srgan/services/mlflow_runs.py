"""Runs in MLflow: what they are made of, their final figures and files."""

import json
import logging
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlencode

from pydantic import BaseModel

from srgan.refs import DatasetRef, to_json
from srgan.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient


logger = logging.getLogger(__name__)

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]

EXPERIMENT = "srgan"
"""One experiment for all runs: MLflow nests children below parents only within one."""

_KEY_TAG = "srgan.key"
_PARENT_TAG = "mlflow.parentRunId"
_MAX_DIGEST_CHARS = 36  # MLflow's own limit
_NO_TAGS: Mapping[str, str] = MappingProxyType({})


def mlflow_client(settings: Settings) -> "MlflowClient":
    """Client of the tracking and registry server; the import costs 3 seconds, so it is here."""
    from mlflow import MlflowClient

    uri = settings.require("mlflow_tracking_uri")
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def start_run(
    settings: Settings,
    *,
    name: str,
    key: str,
    parent: str | None,
    params: Mapping[str, str],
    tags: Mapping[str, str] = _NO_TAGS,
) -> str:
    """Id of the MLflow run tagged ``srgan.key = key``: reopened where it exists, else created.

    A reopened run keeps the parent and the tags that it was created with. Names of `tags` are
    without their ``srgan.`` prefix.
    """
    from mlflow.entities import Param

    client = mlflow_client(settings)
    experiment_id = _experiment_id(client, EXPERIMENT)
    run_id = _find_run(client, experiment_id, key)
    if run_id is not None:
        client.update_run(run_id, status="RUNNING")
    else:
        labels = {f"srgan.{tag}": value for tag, value in tags.items()}
        labels |= {_KEY_TAG: key} | ({_PARENT_TAG: parent} if parent else {})
        created = client.create_run(experiment_id, run_name=name, tags=labels)
        run_id = str(created.info.run_id)
    # On reopening too: the process may have died right after creating the run. What is there stays,
    # MLflow refuses to change it; the inputs of a run that is put back may have moved on.
    there = client.get_run(run_id).data.params
    missing = [Param(field, value) for field, value in params.items() if field not in there]
    client.log_batch(run_id, params=missing)
    return run_id


def find_run(settings: Settings, key: str) -> str | None:
    """Id of the run that `start_run` made for `key`; None when there is none yet."""
    client = mlflow_client(settings)
    return _find_run(client, _experiment_id(client, EXPERIMENT), key)


def finish_run(settings: Settings, run_id: str, status: RunStatus) -> None:
    """Close a run; closing it again changes its status."""
    mlflow_client(settings).set_terminated(run_id, status)


@contextmanager
def tracked_run(
    settings: Settings,
    *,
    name: str,
    key: str,
    parent: str | None,
    params: Mapping[str, str],
    tags: Mapping[str, str] = _NO_TAGS,
    config: BaseModel | None = None,
    dataset: DatasetRef | None = None,
) -> Iterator[str]:
    """`start_run` around a block: the run ends as the block does, FINISHED, FAILED or KILLED.

    `config` becomes its artifact ``config.json``, `dataset` its input.
    """
    run_id = start_run(settings, name=name, key=key, parent=parent, params=params, tags=tags)
    if config:
        log_file(settings, run_id, "config.json", to_json(config))
    if dataset:
        _log_dataset(settings, run_id, dataset)
    try:
        yield run_id
    except BaseException as error:
        # A cancelled flow run ends in an exception that is not an `Exception`.
        _finish_after(settings, run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    finish_run(settings, run_id, "FINISHED")


def log_metrics(settings: Settings, run_id: str, values: Mapping[str, float]) -> None:
    """Log final figures in one request, and wait for it."""
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    metrics = [Metric(name, value, now_ms, 0) for name, value in values.items()]
    mlflow_client(settings).log_batch(run_id, metrics=metrics)


def log_file(settings: Settings, run_id: str, path: str, data: bytes) -> None:
    """Store `data` as the run's artifact ``path`` (``pictures/step-100.png``)."""
    folder, _, name = path.rpartition("/")
    with tempfile.TemporaryDirectory(prefix="srgan-artifact-") as directory:
        local = Path(directory) / name
        local.write_bytes(data)
        mlflow_client(settings).log_artifact(run_id, str(local), folder or None)


def run_url(settings: Settings, run_id: str) -> str:
    """Page of a run in the MLflow interface."""
    experiment_id = mlflow_client(settings).get_run(run_id).info.experiment_id
    return f"{_base(settings)}/#/experiments/{experiment_id}/runs/{run_id}"


def model_url(settings: Settings, name: str, version: int) -> str:
    """Page of a model version in the MLflow interface."""
    return f"{_base(settings)}/#/models/{quote(name)}/versions/{version}"


def artifact_url(settings: Settings, run_id: str, path: str) -> str:
    """Address under which the MLflow server itself serves an artifact; it never expires."""
    return f"{_base(settings)}/get-artifact?{urlencode({'path': path, 'run_uuid': run_id})}"


def artifact_page(settings: Settings, run_id: str, path: str) -> str:
    """Page of the MLflow interface that shows an artifact in place; the address above downloads."""
    return f"{run_url(settings, run_id)}/artifacts/{quote(path)}"


def _finish_after(settings: Settings, run_id: str, status: RunStatus) -> None:
    """Close a run after an error, which is what has to be seen even where MLflow is away."""
    from mlflow.exceptions import MlflowException

    try:
        finish_run(settings, run_id, status)
    except MlflowException as away:
        logger.warning("MLflow run %s was not ended as %s: %s", run_id, status, away)


def _base(settings: Settings) -> str:
    return settings.require("mlflow_tracking_uri").rstrip("/")


def _experiment_id(client: "MlflowClient", name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException:
        # Another process created it in between; any other failure shows in the second look.
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _find_run(client: "MlflowClient", experiment_id: str, key: str) -> str | None:
    found = client.search_runs(
        [experiment_id],
        f"tags.`{_KEY_TAG}` = '{key}'",
        max_results=1,
        order_by=["attributes.start_time ASC"],
    )
    return str(found[0].info.run_id) if found else None


def _log_dataset(settings: Settings, run_id: str, dataset: DatasetRef) -> None:
    """Show the dataset version among the run's inputs; doing it twice shows it once."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    shown = Dataset(
        name=dataset.dataset,
        digest=dataset.version[:_MAX_DIGEST_CHARS],
        source_type="s3",
        source=json.dumps(
            {"uri": dataset.source, "version": dataset.version, "key": dataset.key}
            | ({"licence": dataset.licence} if dataset.licence else {})
        ),
        profile=json.dumps({"train": dataset.num_train_crops, "eval": dataset.num_eval_crops}),
    )
    tags = [InputTag("mlflow.data.context", "training")]
    mlflow_client(settings).log_inputs(run_id, [DatasetInput(shown, tags)])


def read_curves(
    settings: Settings, run_id: str, names: Collection[str]
) -> dict[str, list[tuple[int, float]]]:
    """Step and value of each of the named metrics that the run has, steps ascending.

    A stage that was resumed logged some steps twice; the later value counts.
    """
    client = mlflow_client(settings)
    known = client.get_run(run_id).data.metrics.keys()
    curves = {}
    for name in names:
        if name in known:
            history = sorted(client.get_metric_history(run_id, name), key=lambda m: m.timestamp)
            curves[name] = sorted({metric.step: metric.value for metric in history}.items())
    return curves
