"""MLflow's client and its errors; runs with their inputs, figures, files and addresses."""

import json
import logging
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel

from srgan.errors import RegistryError
from srgan.logs import hide_in, own_secrets, secrets_of, without_password
from srgan.refs import DatasetRef, to_json
from srgan.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.entities import PagedList

logger = logging.getLogger(__name__)

T = TypeVar("T")
RunStatus = Literal["FINISHED", "FAILED", "KILLED"]

# MLflow's error codes.
ABSENT = ("RESOURCE_DOES_NOT_EXIST",)
PRESENT = ("RESOURCE_ALREADY_EXISTS",)
NO_ALIAS = (*ABSENT, "INVALID_PARAMETER_VALUE")
"""To MLflow, an alias that does not exist is an invalid parameter."""

_EXPERIMENT = "srgan"
"""One experiment for all runs of a team: MLflow nests children below parents only within one."""

_ANSWER_LIMIT_S = 10.0
_KEY_TAG = "srgan.key"
_PARENT_TAG = "mlflow.parentRunId"
_USER_TAG = "mlflow.user"
_MAX_DIGEST_CHARS = 36  # MLflow's own limit
_NO_TAGS: Mapping[str, str] = MappingProxyType({})


def mlflow_client(settings: Settings) -> "MlflowClient":
    """Return a client of the tracking and registry server. Importing MLflow takes 3 seconds."""
    from mlflow import MlflowClient

    uri = settings.require("mlflow_tracking_uri")
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def mlflow_errors(
    *,
    ignore: tuple[str, ...] = (),
    warn: str = "",
    explain: Settings | None = None,
    consequence: str = "",
) -> Iterator[None]:
    """Decide what an error of MLflow means. By default it is raised; flows try again.

    Codes in `ignore` end the block silently. With `warn`, the error becomes a log line that begins
    so. With `explain`, for people at a terminal, it becomes a `RegistryError` with the server's
    address and the `consequence`. MLflow's words may quote its address, but not with its password.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code in ignore:
            return
        hide_in(error, secrets_of(explain) if explain else own_secrets())
        if warn:
            logger.warning("%s: %s", warn, error)
            return
        if explain is None:
            raise
        address = without_password(explain.mlflow_tracking_uri or "")
        raise RegistryError(
            f"the registry at {address} gave an error: {error}"
            f"{f'. {consequence}' if consequence else ''}"
        ) from error


def require_answer(settings: Settings) -> None:
    """Fail with `RegistryError` within seconds if MLflow cannot be reached.

    MLflow's own client retries for four minutes, which suits a flow but not a person at a terminal.
    """
    address = settings.require("mlflow_tracking_uri")
    if not address.startswith(("http://", "https://")):
        return
    shown = without_password(address)
    try:
        # urllib takes a user and password for a part of the host's name; any answer is enough.
        urllib.request.urlopen(shown, timeout=_ANSWER_LIMIT_S).close()  # noqa: S310  # HTTP it is
    except urllib.error.HTTPError:
        return  # a server answers; MLflow's client deals with what it says
    except (urllib.error.URLError, OSError) as error:
        raise RegistryError(
            f"MLflow at {shown} does not answer ({error}); see `srgan stack status`, or correct "
            "MLFLOW_TRACKING_URI"
        ) from error


def pages(search: "Callable[[str | None], PagedList[T]]") -> Iterator[T]:
    """Yield everything that a search finds; `search` gets the token of the page to ask for."""
    token = None
    while True:
        found = search(token)
        yield from found
        token = found.token
        if not token:
            return


def start_run(
    settings: Settings,
    *,
    name: str,
    key: str,
    parent: str | None,
    params: Mapping[str, str],
    tags: Mapping[str, str] = _NO_TAGS,
) -> str:
    """Reopen the MLflow run tagged ``srgan.key = key``, or create it; return its id.

    A reopened run keeps the parent and the tags that it was created with. Names in `tags` come
    without the prefix ``srgan.``.
    """
    from mlflow.entities import Param

    client = mlflow_client(settings)
    experiment_id = _experiment_id(client, settings)
    run_id = _find_run(client, experiment_id, key)
    if run_id is not None:
        client.update_run(run_id, status="RUNNING")
    else:
        labels = {f"srgan.{tag}": value for tag, value in tags.items()}
        labels |= {_KEY_TAG: key, _USER_TAG: settings.who} | (
            {_PARENT_TAG: parent} if parent else {}
        )
        created = client.create_run(experiment_id, run_name=name, tags=labels)
        run_id = str(created.info.run_id)
    # Also when reopening: the process may have died right after creating the run. Parameters that
    # are there stay: MLflow refuses to change them, and a resumed run may have other inputs by now.
    there = client.get_run(run_id).data.params
    missing = [Param(field, value) for field, value in params.items() if field not in there]
    client.log_batch(run_id, params=missing)
    return run_id


def find_run(settings: Settings, key: str) -> str | None:
    """Return the id of the run that `start_run` made for `key`; None if there is none yet."""
    client = mlflow_client(settings)
    return _find_run(client, _experiment_id(client, settings), key)


def finish_run(settings: Settings, run_id: str, status: RunStatus) -> None:
    """End a run; ending it again changes its status."""
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
    """Track a block as a run (see `start_run`), which ends as FINISHED, FAILED or KILLED.

    `config` becomes the run's artifact ``config.json``, `dataset` its input.
    """
    with mlflow_errors():
        run_id = start_run(settings, name=name, key=key, parent=parent, params=params, tags=tags)
        if config:
            log_file(settings, run_id, "config.json", to_json(config))
        if dataset:
            _log_dataset(settings, run_id, dataset)
    try:
        yield run_id
    except BaseException as error:
        # A cancelled flow run ends in an exception that is not an `Exception`.
        status: RunStatus = "FAILED" if isinstance(error, Exception) else "KILLED"
        # The first error has to be seen, also when MLflow is away.
        with mlflow_errors(warn=f"MLflow run {run_id} was not ended as {status}"):
            finish_run(settings, run_id, status)
        raise
    with mlflow_errors():
        finish_run(settings, run_id, "FINISHED")


def log_metrics(settings: Settings, run_id: str, values: Mapping[str, float]) -> None:
    """Log final figures in one request and wait for the answer."""
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


def list_artifacts(settings: Settings) -> str:
    """List the top of our experiment's artifacts, or of any other's; return where they lie."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client = mlflow_client(settings)
    own = client.get_experiment_by_name(settings.shared(_EXPERIMENT))
    found = own or client.search_experiments(max_results=1)[0]
    uri = settings.require("mlflow_tracking_uri")
    get_artifact_repository(found.artifact_location, tracking_uri=uri).list_artifacts()
    return str(found.artifact_location)


def read_curves(
    settings: Settings, run_id: str, names: Collection[str]
) -> dict[str, list[tuple[int, float]]]:
    """Return steps and values of those named metrics that the run has, steps ascending.

    A resumed stage logged some steps twice; the later value counts.
    """
    client = mlflow_client(settings)
    known = client.get_run(run_id).data.metrics.keys()
    curves = {}
    for name in names:
        if name in known:
            history = sorted(client.get_metric_history(run_id, name), key=lambda m: m.timestamp)
            curves[name] = sorted({metric.step: metric.value for metric in history}.items())
    return curves


def run_url(settings: Settings, run_id: str) -> str:
    """Return the address of a run's page in MLflow's interface."""
    experiment_id = mlflow_client(settings).get_run(run_id).info.experiment_id
    return f"{_base(settings)}/#/experiments/{experiment_id}/runs/{run_id}"


def model_url(settings: Settings, name: str, version: int) -> str:
    """Return the address of a model version's page in MLflow's interface."""
    return f"{_base(settings)}/#/models/{quote(settings.shared(name))}/versions/{version}"


def artifact_url(settings: Settings, run_id: str, path: str) -> str:
    """Return the address at which the MLflow server serves an artifact; it never expires."""
    return f"{_base(settings)}/get-artifact?{urlencode({'path': path, 'run_uuid': run_id})}"


def artifact_page(settings: Settings, run_id: str, path: str) -> str:
    """Return the address of the page that shows an artifact; `artifact_url` downloads it."""
    return f"{run_url(settings, run_id)}/artifacts/{quote(path)}"


def _base(settings: Settings) -> str:
    """Beginning of every link to MLflow. People see it, so it has no password."""
    address = settings.mlflow_public_url or settings.require("mlflow_tracking_uri").rstrip("/")
    return without_password(address)


def _experiment_id(client: "MlflowClient", settings: Settings) -> str:
    name = settings.shared(_EXPERIMENT)
    found = client.get_experiment_by_name(name)
    if found is None:
        # Another process may create it in between.
        with mlflow_errors(ignore=PRESENT):
            return str(client.create_experiment(name))
        found = client.get_experiment_by_name(name)
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
    """Show the dataset version among the run's inputs (idempotent)."""
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
