"""Ray jobs for flow runs; the job server is scripted, the object store is real."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace

import pytest
from prefect.states import Cancelling
from pydantic import SecretStr

from flows.support import following, jobs
from flows.support.jobs import run_job, stop_jobs
from srgan.config import Config
from srgan.errors import ClusterError, ConfigError
from srgan.jobs import failure as ray_failure
from srgan.jobs.failure import leaving_failure
from srgan.readable import size
from srgan.services.ray_jobs import DRIVER_MEMORY_BYTES
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.version import release_version
from srgan.versions import services
from srgan.versions.services import open_services
from tests.support.job_server import JobServer, ServedJob, serve


class Spec(Config):
    release_version: str = "1"


@pytest.fixture
def server(
    monkeypatch: pytest.MonkeyPatch, s3_settings: Settings, object_store: S3Store
) -> Iterator[JobServer]:
    """A job server, and a flow run with the id ``root`` whose log is the test's."""
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    logger = logging.getLogger("flow-run")
    monkeypatch.setattr(jobs, "get_run_logger", lambda: logger)
    monkeypatch.setattr(jobs, "flow_run_logger", lambda *_: logger)
    monkeypatch.setattr(following, "get_run_logger", lambda: logger)
    monkeypatch.setattr(following, "_FIRST_POLL_S", 0.01)
    monkeypatch.setattr(following, "_MAX_POLL_S", 0.01)
    monkeypatch.setattr(jobs, "root_flow_run_id", lambda: "root")
    with serve() as running:
        settings = s3_settings.model_copy(update={"ray_address": running.address})
        monkeypatch.setattr(services, "Settings", lambda: settings)
        monkeypatch.setattr(ray_failure, "Settings", lambda: settings)
        yield running


def do_it(shows_progress: bool = False, supersedes: tuple[str, ...] = ()) -> None:
    run_job(
        services=open_services(),
        label="stage",
        run="run",
        module="some.module",
        spec=Spec(),
        shows_progress=shows_progress,
        supersedes=supersedes,
    )


def ends(*statuses: str, log: str = "") -> ServedJob:
    return ServedJob(["PENDING", "RUNNING", *statuses], log)


def test_a_job_is_submitted_with_its_spec_in_the_bucket_and_followed_to_its_end(
    server: JobServer, object_store: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server.script = lambda _: ends("SUCCEEDED", log="step 1\nstep 2\n")
    do_it()
    job = server.jobs["root-stage-1"]
    assert job.entrypoint == "python -m some.module runs/run/spec.json root-stage-1"
    assert job.metadata == {
        "run": "run",
        "root": "root",
        "stage": "stage",
        "release": release_version(),
    }
    assert json.loads(object_store.get("runs/run/spec.json")) == {"release_version": "1"}
    assert [line for line in caplog.messages if "step" in line] == [
        "stage: step 1",
        "stage: step 2",
    ]


def test_lines_of_a_job_come_with_their_own_level_and_without_their_time(
    server: JobServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    written = (
        "2026-11-30T09:15:00.123Z WARNING disk is nearly full\n"
        '{"time": "2026-11-30T09:15:01.000Z", "level": "ERROR", "message": "batch 1 is lost"}\n'
    )
    server.script = lambda _: ends("SUCCEEDED", log=written)
    do_it()
    relayed = [(each.levelname, each.getMessage()) for each in caplog.records]
    assert ("WARNING", "stage: disk is nearly full") in relayed
    assert ("ERROR", "stage: batch 1 is lost") in relayed


def test_a_job_that_waits_for_the_heads_memory_says_so_and_names_the_drivers_there(
    server: JobServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(following, "_REPEAT_S", 0.02)
    server.put("other-pretrain-1", "RUNNING", stage="pretrain", root="other")
    server.script = lambda _: ServedJob(["PENDING"] * 20 + ["RUNNING", "SUCCEEDED"])
    do_it()
    waits = [line for line in caplog.messages if "waits" in line]
    assert set(waits) == {
        f"stage: job root-stage-1 waits until Ray's head has {size(DRIVER_MEMORY_BYTES)} of "
        "memory to spare for its driver; the cluster runs pretrain of flow run other"
    }


def test_a_running_job_of_an_earlier_attempt_is_attached_to(
    server: JobServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server.put("root-stage-1", "RUNNING", "RUNNING", "SUCCEEDED", run="run", root="root")
    do_it()
    assert list(server.jobs) == ["root-stage-1"]
    assert "attaching to job root-stage-1, started by this flow run" in caplog.text


def test_a_job_that_another_flow_run_has_running_is_attached_to(
    server: JobServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server.put("other-stage-1", "RUNNING", "SUCCEEDED", run="run", root="other")
    do_it()
    assert list(server.jobs) == ["other-stage-1"]
    assert "attaching to job other-stage-1, started by another flow run" in caplog.text


def test_of_two_flow_runs_that_submit_at_the_same_moment_the_later_one_attaches(
    server: JobServer,
) -> None:
    def faster(_: str) -> ServedJob:
        server.put("other-stage-1", "RUNNING", "SUCCEEDED", run="run", root="other")
        return ServedJob(["RUNNING"])

    server.script = faster
    do_it()
    assert server.jobs["root-stage-1"].statuses == ["STOPPED"]
    assert server.jobs["other-stage-1"].statuses == ["SUCCEEDED"]


def test_the_success_of_an_earlier_attempt_is_taken(server: JobServer) -> None:
    server.put("root-stage-1", "FAILED", run="run", root="root")
    server.put("root-stage-2", "SUCCEEDED", run="run", root="root")
    do_it()
    assert list(server.jobs) == ["root-stage-1", "root-stage-2"]


def test_a_failed_driver_gets_a_new_attempt_under_a_new_id(server: JobServer) -> None:
    server.script = lambda job_id: ends("FAILED" if job_id.endswith("-1") else "SUCCEEDED")
    do_it()
    assert list(server.jobs) == ["root-stage-1", "root-stage-2"]


def test_used_ids_do_not_count_as_jobs_of_this_attempt(server: JobServer) -> None:
    for number, status in enumerate(("FAILED", "STOPPED", "FAILED"), 1):
        server.put(f"root-stage-{number}", status, run="run", root="root")
    server.script = lambda _: ends("SUCCEEDED")
    do_it()
    assert list(server.jobs)[-1] == "root-stage-4"


def test_attempts_end_with_an_error_that_shows_the_last_lines_of_the_log(
    server: JobServer,
) -> None:
    server.script = lambda _: ends("FAILED", log="earlier\nRuntimeError: no space left\n")
    with pytest.raises(ClusterError, match="no space left"):
        do_it()
    assert list(server.jobs) == ["root-stage-1", "root-stage-2", "root-stage-3"]


def test_attempts_that_get_further_are_not_counted_and_those_that_do_not_are(
    server: JobServer, object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each number is the step at which a job dies; the last two come no further."""
    monkeypatch.setattr(following.JobProgressBar, "update", lambda _: None)  # wants a flow run
    steps = iter([100, 200, 300, 250, 300])

    def script(_: str) -> ServedJob:
        step = next(steps)
        progress = {"stage": "pretrain", "step": step, "steps": 900, "eta_s": 1.0, "losses": {}}
        object_store.put("runs/run/progress.json", json.dumps(progress).encode())
        return ends("FAILED")

    server.script = script
    with pytest.raises(ClusterError):
        do_it(shows_progress=True)
    assert len(server.jobs) == 5


def fails(error: Exception, log: str = "") -> Callable[[str], ServedJob]:
    """Return a script whose jobs fail by `error` and leave the object that says so."""

    def script(job_id: str) -> ServedJob:
        with suppress(type(error)), leaving_failure("runs/run/spec.json", job_id):
            raise error
        return ends("FAILED", log=log)

    return script


def test_an_error_that_would_come_again_is_not_tried_again(server: JobServer) -> None:
    server.script = fails(ConfigError("batch_size 7 cannot be divided"))
    with pytest.raises(ClusterError, match="would not help: ConfigError: batch_size 7 cannot be"):
        do_it()
    assert list(server.jobs) == ["root-stage-1"]


def test_an_error_that_may_pass_is_said_and_tried_again(
    server: JobServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = fails(OSError("no space left"), log="a line\n")
    with pytest.raises(ClusterError, match="as did 3 attempts: OSError: no space left\na line"):
        do_it()
    assert list(server.jobs) == ["root-stage-1", "root-stage-2", "root-stage-3"]
    assert "starting the next attempt. OSError: no space left" in caplog.text


def test_the_failure_of_an_earlier_attempt_says_nothing_about_this_one(server: JobServer) -> None:
    fails(ConfigError("mended since"))("root-stage-0")
    server.script = lambda job_id: ends("FAILED" if job_id.endswith("-1") else "SUCCEEDED")
    do_it()
    assert list(server.jobs) == ["root-stage-1", "root-stage-2"]


def test_what_a_log_quotes_decides_nothing(server: JobServer) -> None:
    log = "srgan.errors.DataError: no photo\n"
    server.script = lambda name: ends("FAILED" if name.endswith("-1") else "SUCCEEDED", log=log)
    do_it()
    assert list(server.jobs) == ["root-stage-1", "root-stage-2"]


def test_a_job_that_was_stopped_is_not_started_again_within_this_attempt(server: JobServer) -> None:
    server.script = lambda _: ends("STOPPED")
    with pytest.raises(ClusterError, match="was stopped"):
        do_it()
    assert list(server.jobs) == ["root-stage-1"]


def test_when_the_other_flow_runs_job_is_stopped_an_own_one_is_started(server: JobServer) -> None:
    server.put("other-stage-1", "RUNNING", "STOPPED", run="run", root="other")
    server.script = lambda _: ends("SUCCEEDED")
    do_it()
    assert list(server.jobs) == ["other-stage-1", "root-stage-1"]


def test_a_job_that_a_restarted_cluster_has_forgotten_gets_a_new_attempt(
    server: JobServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(_: float) -> None:
        server.jobs.clear()
        server.script = lambda _: ends("SUCCEEDED")
        monkeypatch.setattr(following.time, "sleep", lambda _: None)

    monkeypatch.setattr(following.time, "sleep", forget)
    do_it()
    assert list(server.jobs) == ["root-stage-2"], "Ray Train remembers the name root-stage-1"


OLD = {"root": "root", "release": "0.0.1+abc"}
KINDS = ("pretrain-", "adversarial-")


def test_what_other_code_trains_for_this_flow_run_is_stopped_before_a_job_is_submitted(
    server: JobServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server.put("root-adversarial-0-1", "RUNNING", run="adversarial-0", stage="adversarial-0", **OLD)
    server.put("root-pretrain-0-1", "PENDING", run="pretrain-0", stage="pretrain-0", root="root")

    def script(_: str) -> ServedJob:
        active = [job for job in server.jobs.values() if job.statuses != ["STOPPED"]]
        assert not active, "they hold what the new job waits for"
        return ends("SUCCEEDED")

    server.script = script
    do_it(supersedes=KINDS)
    assert server.jobs["root-stage-1"].statuses == ["SUCCEEDED"]
    assert "stage: stopped job root-adversarial-0-1, which other code had begun" in caplog.text


@pytest.mark.parametrize(
    "other",
    [
        {"stage": "upscale-1-000004", **OLD},
        {"stage": "adversarial-0", **OLD, "root": "another"},
        {"stage": "adversarial-0", "root": "root", "release": release_version()},
    ],
    ids=["a bulk run", "another flow run", "the same code"],
)
def test_other_jobs_go_on(server: JobServer, other: dict[str, str]) -> None:
    server.put("other", "RUNNING", run="other", **other)
    server.script = lambda _: ends("SUCCEEDED")
    do_it(supersedes=KINDS)
    assert server.jobs["other"].statuses == ["RUNNING"]


def test_batches_of_a_bulk_run_that_other_code_has_begun_go_on(server: JobServer) -> None:
    server.put("root-upscale-1", "RUNNING", run="upscale-1", stage="upscale-1", **OLD)
    server.script = lambda _: ends("SUCCEEDED")
    do_it()
    assert server.jobs["root-upscale-1"].statuses == ["RUNNING"]


def test_a_job_of_other_code_that_makes_the_same_run_is_followed(server: JobServer) -> None:
    server.put("root-pretrain-0-1", "RUNNING", "SUCCEEDED", run="run", stage="pretrain-0", **OLD)
    do_it(supersedes=KINDS)
    assert list(server.jobs) == ["root-pretrain-0-1"]
    assert server.jobs["root-pretrain-0-1"].statuses == ["SUCCEEDED"]


def test_nothing_secret_is_sent_to_the_job_server(server: JobServer, s3_settings: Settings) -> None:
    server.script = lambda _: ends("SUCCEEDED")
    do_it()
    assert isinstance(s3_settings.s3_secret_key, SecretStr)
    secret = s3_settings.s3_secret_key.get_secret_value().encode()
    assert server.bodies
    assert not any(secret in body for body in server.bodies)


def test_the_hook_of_a_cancelled_flow_run_stops_its_jobs(
    server: JobServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server.put("root-a-1", "RUNNING", root="root")
    server.put("other-a-1", "RUNNING", root="other")
    stop_jobs(None, SimpleNamespace(id="root"), Cancelling())  # type: ignore[arg-type]  # its id
    assert server.jobs["root-a-1"].statuses == ["STOPPED"]
    assert server.jobs["other-a-1"].statuses == ["RUNNING"]
    assert "Stopped Ray jobs: root-a-1" in caplog.text
