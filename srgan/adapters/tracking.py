"""Runs, metrics and pictures in MLflow. Training never waits for it and never dies of it."""

import logging
import queue
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlencode

from srgan.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]

EXPERIMENT = "srgan"
"""One experiment for all runs: MLflow nests children below parents only within one."""

_KEY_TAG = "srgan.key"
_PARENT_TAG = "mlflow.parentRunId"
# MLflow refuses more metrics than this in one request.
_MAX_METRICS_PER_REQUEST = 1000
_FLUSH_INTERVAL_S = 2.0


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
) -> str:
    """Id of the MLflow run tagged ``srgan.key = key``: reopened where it exists, else created.

    A reopened run keeps the parent that it was created with.
    """
    from mlflow.entities import Param

    client = mlflow_client(settings)
    experiment_id = _experiment_id(client, EXPERIMENT)
    run_id = _find_run(client, experiment_id, key)
    if run_id is not None:
        client.update_run(run_id, status="RUNNING")
    else:
        tags = {_KEY_TAG: key} | ({_PARENT_TAG: parent} if parent else {})
        created = client.create_run(experiment_id, run_name=name, tags=tags)
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
    settings: Settings, *, name: str, key: str, parent: str | None, params: Mapping[str, str]
) -> Iterator[str]:
    """`start_run` around a block: the run ends as the block does, FINISHED, FAILED or KILLED."""
    run_id = start_run(settings, name=name, key=key, parent=parent, params=params)
    try:
        yield run_id
    except BaseException as error:
        # A cancelled flow run ends in an exception that is no `Exception`.
        finish_run(settings, run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
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
    _log_file(mlflow_client(settings), run_id, path, data)


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


def _log_file(client: "MlflowClient", run_id: str, path: str, data: bytes) -> None:
    folder, _, name = path.rpartition("/")
    with tempfile.TemporaryDirectory(prefix="srgan-artifact-") as directory:
        local = Path(directory) / name
        local.write_bytes(data)
        client.log_artifact(run_id, str(local), folder or None)


class MetricLog:
    """Metrics and pictures of one run, sent in batches from a background thread.

    An MLflow server that is down costs figures, never the training: what cannot be sent is
    kept, tried again with the next batch, and given up with a warning at `close`.
    """

    def __init__(self, settings: Settings, run_id: str) -> None:
        settings.require("mlflow_tracking_uri")  # a missing one is an error here, not in the thread
        self._settings = settings
        self._run_id = run_id
        self._queue: queue.Queue[tuple[str, float, int, int] | tuple[str, bytes] | None] = (
            queue.Queue()
        )
        # A daemon: a killed or failing training process must not wait for MLflow.
        self._thread = threading.Thread(target=self._send_all, name="metric-log", daemon=True)
        self._thread.start()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Queue the metrics of one step; returns at once."""
        now_ms = int(time.time() * 1000)
        for name, value in values.items():
            self._queue.put((name, float(value), now_ms, step))

    def picture(self, name: str, png: bytes) -> None:
        """Queue a PNG as artifact ``pictures/<name>.png``; returns at once."""
        self._queue.put((f"pictures/{name}.png", png))

    def close(self, timeout_s: float = 60.0) -> None:
        """Send what is queued and stop; gives up after `timeout_s`."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            logger.warning("MLflow took longer than %.0f s; its last figures are lost", timeout_s)

    def _send_all(self) -> None:
        client = mlflow_client(self._settings)
        pending: list[tuple[str, float, int, int]] = []
        pictures: list[tuple[str, bytes]] = []
        closing = False
        while not closing:
            closing = self._collect(pending, pictures)
            try:
                self._send(client, pending, pictures)
            except Exception as error:  # whatever MLflow raises: training goes on
                logger.warning("MLflow did not take figures of run %s: %s", self._run_id, error)
        if pending or pictures:
            logger.warning(
                "lost %d figures and %d pictures of MLflow run %s",
                len(pending),
                len(pictures),
                self._run_id,
            )

    def _collect(
        self, pending: list[tuple[str, float, int, int]], pictures: list[tuple[str, bytes]]
    ) -> bool:
        """Move what arrives within the interval out of the queue; True when closed."""
        deadline = time.monotonic() + _FLUSH_INTERVAL_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                item = self._queue.get(timeout=left)
            except queue.Empty:
                break
            if item is None:
                return True
            if len(item) == 2:
                pictures.append(item)
            else:
                pending.append(item)
        return False

    def _send(
        self,
        client: "MlflowClient",
        pending: list[tuple[str, float, int, int]],
        pictures: list[tuple[str, bytes]],
    ) -> None:
        from mlflow.entities import Metric

        while pending:
            batch = pending[:_MAX_METRICS_PER_REQUEST]
            client.log_batch(self._run_id, metrics=[Metric(*entry) for entry in batch])
            del pending[: len(batch)]
        while pictures:
            path, png = pictures[0]
            _log_file(client, self._run_id, path, png)
            del pictures[0]
