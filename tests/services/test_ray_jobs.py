"""Ray's own client against a job server whose answers each test decides."""

import json
from collections.abc import Iterator

import pytest
from ray.exceptions import RpcError

from srgan.errors import ClusterError
from srgan.services import ray_jobs
from srgan.services.ray_jobs import DRIVER_MEMORY_BYTES, RayJobs
from tests.support.job_server import JobServer, serve
from tests.support.ports import free_ports


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServer]:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)  # Ray's client lets them override the address
    monkeypatch.setattr(ray_jobs, "_MAX_PAUSE_S", 0.01)
    monkeypatch.setattr(ray_jobs, "_FIRST_PAUSE_S", 0.01)
    with serve() as running:
        yield running


def test_a_submitted_job_carries_its_id_entrypoint_and_metadata(server: JobServer) -> None:
    RayJobs(server.address).submit("root-stage-1", "python -m x", {"run": "r", "root": "root"})
    job = server.jobs["root-stage-1"]
    assert job.entrypoint == "python -m x"
    assert job.metadata == {"run": "r", "root": "root"}


def test_jobs_of_a_team_know_it_and_those_of_other_teams_are_not_taken_for_them(
    server: JobServer,
) -> None:
    anna, ben, alone = (RayJobs(server.address, team=team) for team in ("anna", "ben", ""))
    for number, jobs in enumerate((anna, ben, alone)):
        jobs.submit(f"job-{number}", "python -m x", {"run": "the same"})
    sent = [json.loads(body) for body in server.bodies if body]
    assert [each["runtime_env"] for each in sent] == [
        {"env_vars": {"SRGAN_TEAM": "anna"}},
        {"env_vars": {"SRGAN_TEAM": "ben"}},
        {},
    ]
    found = [jobs.active("the same") for jobs in (anna, ben, alone)]
    assert found == ["job-0", "job-1", "job-2"]


@pytest.mark.usefixtures("server")
def test_an_error_does_not_show_the_password_in_the_address() -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(ClusterError, match=f"Ray's job server at http://{address}") as away:
        RayJobs(f"http://me:secret@{address}", patience_s=0.0).jobs()
    assert "secret" not in str(away.value)


def test_a_driver_reserves_memory_of_the_head_and_nothing_else(server: JobServer) -> None:
    RayJobs(server.address).submit("a", "python -m x", {})
    assert server.jobs["a"].reserved == {
        "memory": DRIVER_MEMORY_BYTES,
        "node:__internal_head__": 0.001,
    }


def test_a_submission_whose_answer_got_lost_starts_the_job_once(server: JobServer) -> None:
    server.lost_answers = 1
    RayJobs(server.address).submit("a-1", "python -m x", {})
    assert list(server.jobs) == ["a-1"]


def test_an_id_that_the_cluster_never_heard_of_has_no_status(server: JobServer) -> None:
    server.put("known", "FAILED")
    jobs = RayJobs(server.address)
    assert jobs.status("known") == "FAILED"
    assert jobs.status("unknown") is None


def test_the_oldest_active_job_of_a_run_is_found_whoever_started_it(server: JobServer) -> None:
    server.put("a", "FAILED", run="wanted")
    server.put("b", "RUNNING", run="other")
    server.put("c", "PENDING", run="wanted")
    server.put("d", "RUNNING", run="wanted")
    assert RayJobs(server.address).active("wanted") == "c"
    assert RayJobs(server.address).active("nobody's") is None


def test_stopping_a_root_stops_its_jobs_and_no_others(server: JobServer) -> None:
    server.put("mine-1", "RUNNING", root="mine")
    server.put("mine-2", "PENDING", root="mine")
    server.put("mine-0", "SUCCEEDED", root="mine")
    server.put("theirs", "RUNNING", root="theirs")
    assert RayJobs(server.address).stop_root("mine") == ["mine-1", "mine-2"]
    assert {job_id: job.statuses[0] for job_id, job in server.jobs.items()} == {
        "mine-1": "STOPPED",
        "mine-2": "STOPPED",
        "mine-0": "SUCCEEDED",
        "theirs": "RUNNING",
    }


def test_a_job_that_runs_on_is_an_error_and_one_that_waits_to_start_is_left_to_ray(
    server: JobServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_jobs, "_STOP_LIMIT_S", 0.1)
    server.put("waits", "PENDING", root="mine").stops = False
    jobs = RayJobs(server.address)
    assert jobs.stop_root("mine") == ["waits"]
    server.put("runs", "RUNNING", root="mine").stops = False
    with pytest.raises(ClusterError, match=r"did not stop within 0 s: runs$"):
        jobs.stop_root("mine")


def test_a_server_that_is_away_for_a_moment_is_asked_again_and_that_is_said(
    server: JobServer,
) -> None:
    server.put("a", "RUNNING")
    said: list[str] = []
    jobs = RayJobs(server.address, warn=said.append)
    assert jobs.status("a") == "RUNNING"
    server.away = 3
    assert jobs.status("a") == "RUNNING"
    assert len(said) == 1
    assert server.address in said[0]


def test_a_server_that_stays_away_is_an_error_that_names_its_address(server: JobServer) -> None:
    server.away = 10**6
    with pytest.raises(ClusterError, match=server.address):
        RayJobs(server.address, patience_s=0.2).status("a")


def test_a_cluster_that_is_gone_is_an_error_that_names_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def connect(_: str) -> None:
        raise RpcError("Timed out while waiting for GCS to become available.")

    monkeypatch.setattr(ray_jobs, "_connect", connect)
    with pytest.raises(ClusterError, match=r"job server at auto has not answered .* Timed out"):
        RayJobs("auto", patience_s=0.0).jobs()


def test_a_request_that_is_refused_is_an_error_at_once(server: JobServer) -> None:
    jobs = RayJobs(server.address)
    jobs.jobs()
    server.trouble = [(400, "metadata is not a dictionary")]
    with pytest.raises(ClusterError, match=r"refused a request: status code 400: metadata is not"):
        jobs.submit("a", "python -m x", {})
    assert server.jobs == {}, "asked once"


def test_trouble_of_the_server_is_told_by_its_code_whatever_its_text_quotes(
    server: JobServer,
) -> None:
    """The head quotes the answers of the agents that it asks."""
    jobs = RayJobs(server.address)
    server.put("a", "RUNNING")
    jobs.jobs()
    quoting = (500, "RuntimeError: Request failed with status code 404: gone.")
    server.trouble = [quoting]
    assert jobs.status("a") == "RUNNING", "asked again"
    job = jobs.find("a")
    assert job is not None
    server.trouble = [quoting]
    assert jobs.log(job, 10) is None, "a log is not waited for"


def test_nobody_at_the_address_is_an_error_that_names_it(server: JobServer) -> None:
    address = "http://127.0.0.1:9"  # the port of the discard service: nothing listens
    with pytest.raises(ClusterError, match=address):
        RayJobs(address, patience_s=0.2).status("a")


def test_the_tail_of_a_log_that_is_gone_comes_from_the_record(server: JobServer) -> None:
    server.put("a", "FAILED", log="one\ntwo\nthree\n")
    server.put("b", "FAILED")
    jobs = RayJobs(server.address)
    assert jobs.tail("a", 2) == ["two", "three"]
    assert jobs.tail("b", 2) == ["record of b"]


def test_only_the_end_of_a_log_is_fetched(server: JobServer) -> None:
    server.put("a", "RUNNING", log="".join(f"line {number}\n" for number in range(10_000)))
    jobs = RayJobs(server.address)
    job = jobs.find("a")
    assert job is not None
    assert jobs.log(job, 2) == "line 9998\nline 9999\n"
    assert server.log_lines_asked == [2]


def test_a_job_that_has_not_started_has_no_log(server: JobServer) -> None:
    server.put("a", "PENDING", log="not asked for")
    jobs = RayJobs(server.address)
    job = jobs.find("a")
    assert job is not None
    assert jobs.log(job, 10) is None
    assert jobs.tail("a", 10) == ["record of a"]


def test_a_log_that_is_not_valid_text_is_read_all_the_same(server: JobServer) -> None:
    server.put("a", "RUNNING", log="größer\n")
    jobs = RayJobs(server.address)
    job = jobs.find("a")
    assert job is not None
    assert jobs.log(job, 10) == "größer\n"
