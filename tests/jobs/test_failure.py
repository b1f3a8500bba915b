"""The failure that a job leaves behind, and how it is read."""

import json
import os
import runpy
import sys

import pytest
from mlflow.exceptions import MlflowException
from ray.exceptions import RayTaskError
from ray.train import ControllerError, WorkerGroupError

from srgan.errors import ClusterError, ConfigError, DataError, StorageError
from srgan.jobs import failure as ray_failure
from srgan.jobs import node as ray_node
from srgan.jobs.failure import leaving_failure, read_failure, unwrapped
from srgan.keys import failure_key, run_of
from srgan.services.s3 import S3Store
from srgan.settings import Settings

SPEC = "runs/stage-0/spec.json"


@pytest.fixture(autouse=True)
def node(monkeypatch: pytest.MonkeyPatch, s3_settings: Settings) -> None:
    monkeypatch.setattr(ray_failure, "Settings", lambda: s3_settings)


def fail(error: BaseException, job_id: str = "job-1") -> None:
    with pytest.raises(type(error)) as caught, leaving_failure(SPEC, job_id):
        raise error
    assert caught.value is error, "the log keeps its traceback"


def of_a_task(error: Exception) -> Exception:
    """The error of a task or an actor's method, as `ray.get` raises it."""
    failed = RayTaskError("work", "Traceback …", error, proctitle="ray::work", pid=1, ip="10.0.0.1")
    raised: Exception = failed.as_instanceof_cause()
    return raised


def raised_from(cause: Exception) -> Exception:
    error = RuntimeError("a thread died")
    error.__cause__ = cause
    return error


def test_class_message_and_job_of_an_error_lie_beside_the_spec(object_store: S3Store) -> None:
    fail(DataError("2 training crops, batch_size 8"))
    assert failure_key(run_of(SPEC)) == "runs/stage-0/failure.json"
    failure = read_failure(object_store, SPEC, "job-1")
    assert failure is not None
    assert str(failure) == "DataError: 2 training crops, batch_size 8"
    assert failure.hopeless


def test_a_password_that_a_library_quotes_is_not_written_down(
    object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://team:pass-word@mlflow:5000")
    fail(MlflowException("API request to http://team:pass-word@mlflow:5000/api failed"))
    failure = read_failure(object_store, SPEC, "job-1")
    assert failure is not None
    assert failure.message == "API request to http://team:***@mlflow:5000/api failed"


def test_where_a_setting_is_not_valid_the_failure_is_written_down_all_the_same(
    object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRGAN_LOG_LEVEL", "loud")
    fail(ConfigError("SRGAN_LOG_LEVEL: loud"))
    failure = read_failure(object_store, SPEC, "job-1")
    assert failure is not None
    assert failure.message == "SRGAN_LOG_LEVEL: loud"


def test_an_error_that_may_pass_is_not_hopeless(object_store: S3Store) -> None:
    for error in (StorageError("s3://srgan is away"), OSError("no space left on device")):
        fail(error)
        failure = read_failure(object_store, SPEC, "job-1")
        assert failure is not None
        assert not failure.hopeless


def test_a_job_that_succeeds_or_is_stopped_leaves_nothing(object_store: S3Store) -> None:
    with leaving_failure(SPEC, "job-1"):
        pass
    fail(SystemExit(15))  # Ray's answer to SIGTERM
    assert object_store.find(failure_key(run_of(SPEC))) is None


def test_the_failure_of_another_job_of_the_same_run_is_not_taken(object_store: S3Store) -> None:
    fail(ConfigError("mended since"))
    assert read_failure(object_store, SPEC, "job-2") is None


def test_what_another_release_wrote_is_read_as_far_as_it_goes(object_store: S3Store) -> None:
    fail(ConfigError("bad"))
    body = json.loads(object_store.get(failure_key(run_of(SPEC))))
    object_store.put(failure_key(run_of(SPEC)), json.dumps(body | {"new": 1}).encode())
    assert read_failure(object_store, SPEC, "job-1") is not None
    object_store.put(failure_key(run_of(SPEC)), b'{"job": "job-1", "because": "bad"}')
    assert read_failure(object_store, SPEC, "job-1") is None


def test_without_the_store_the_job_fails_by_its_own_error_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(_: Settings) -> S3Store:
        raise StorageError("s3://srgan does not answer")

    monkeypatch.setattr(ray_failure, "open_store", away)
    fail(ConfigError("bad"))
    assert "failure of job job-1 could not be written: s3://srgan does not answer" in caplog.text


OURS = DataError("no photo")
WRAPPED = {
    "of a task": of_a_task(OURS),
    "of a task within a task": of_a_task(of_a_task(OURS)),
    "of one worker, because of which the others lost it": WorkerGroupError(
        "failed", {0: RuntimeError("connection closed by peer"), 1: OURS}
    ),
    "of a worker, through a task": WorkerGroupError("failed", {0: of_a_task(OURS)}),
    "of the controller": ControllerError(OURS),
    "of a foreign error that it caused": raised_from(OURS),
}


@pytest.mark.parametrize("error", WRAPPED.values(), ids=WRAPPED)
def test_our_error_is_found_in_what_ray_wraps_around_it(error: Exception) -> None:
    assert unwrapped(error) is OURS


def test_an_error_of_ours_is_not_replaced_by_what_caused_it() -> None:
    error = StorageError("s3://srgan does not answer")
    error.__cause__ = OURS
    assert unwrapped(error) is error


def test_a_lost_worker_is_named_by_its_own_error() -> None:
    lost = RuntimeError("connection closed by peer")
    assert unwrapped(WorkerGroupError("failed", {0: lost})) is lost


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")  # of runpy
@pytest.mark.parametrize("kind", ["train", "evaluate", "upscale"])
def test_every_kind_of_job_leaves_its_failure(
    kind: str, object_store: S3Store, s3_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `python -m` runs it; the spec is refused before anything else, as one of other code."""
    object_store.put(SPEC, b"{}")
    monkeypatch.setattr(ray_node, "Settings", lambda: s3_settings)
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(sys, "argv", ["job", SPEC, "job-1"])
    with pytest.raises(ClusterError, match="install the same srgan"):
        runpy.run_module(f"srgan.jobs.{kind}", run_name="__main__")
    failure = read_failure(object_store, SPEC, "job-1")
    assert failure is not None
    assert failure.error == "ClusterError"
    assert failure.hopeless
    assert "install the same srgan" in failure.message
