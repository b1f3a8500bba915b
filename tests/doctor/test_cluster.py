"""Ray's checks against a job server whose answers each test decides."""

import json
from collections.abc import Iterator

import pytest

from srgan.doctor import cluster
from srgan.doctor.cluster import cluster_checks
from srgan.settings import Settings
from srgan.version import release_version
from tests.support.findings import look, outcomes
from tests.support.job_server import JobServer, ServedJob, serve
from tests.support.ports import free_ports


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServer]:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)  # Ray's client lets them override the address
    monkeypatch.setattr(cluster, "_POLL_S", 0.01)
    with serve() as running:
        yield running


def settings(server: JobServer) -> Settings:
    return Settings(RAY_ADDRESS=server.address)


def answer(
    server: JobServer,
    *,
    status: str = "SUCCEEDED",
    log: str = "",
    blind: dict[str, str] | None = None,
    unwell: dict[str, str] | None = None,
    **node: str,
) -> None:
    """Let the job that asks the nodes end with what they say."""
    releases = {"releases": node or {"10.0.0.7": release_version()}}
    others = {"blind": blind, "unwell": unwell}
    told = log or json.dumps(releases | {key: each for key, each in others.items() if each})
    server.script = lambda _: ServedJob(["PENDING", "RUNNING", status], f"noise\n{told}\n")


def test_a_cluster_with_this_code_passes_and_its_gpus_are_counted(server: JobServer) -> None:
    server.nodes = {"10.0.0.7": {"CPU": 4.0}, "10.0.0.8": {"CPU": 8.0, "GPU": 2.0}}
    answer(server, blind={})
    found = look(cluster_checks(settings(server)))
    assert outcomes(found) == dict.fromkeys(("address", "token", "nodes", "code"), "ok"), found
    assert found["nodes"].seen == "2 nodes with 12 CPUs and 2 GPUs"
    (job,) = server.jobs.values()
    assert job.entrypoint == "python -m srgan.jobs.releases"


def test_a_wrong_token_is_named(server: JobServer) -> None:
    server.trouble = [(403, "Forbidden: Invalid authentication token")]
    found = look(cluster_checks(settings(server)))
    assert found["token"].outcome == "failed"
    assert f"{server.address} refuses the token" in found["token"].seen
    # Compose and Kubernetes set the token itself, which comes before its file.
    assert "RAY_AUTH_TOKEN to the token" in found["token"].remedy
    assert "RAY_AUTH_TOKEN_PATH" in found["token"].remedy
    assert "RAY_AUTH_TOKEN or else RAY_AUTH_TOKEN_PATH" in found["token"].seen
    assert (found["nodes"].outcome, found["code"].outcome) == ("not checked", "not checked")


def test_nodes_with_other_code_are_named(server: JobServer) -> None:
    answer(server, **{"10.0.0.7": release_version(), "10.0.0.8": "0.1.0+0123456789ab"})
    found = look(cluster_checks(settings(server)))
    assert found["code"].outcome == "failed"
    assert found["code"].seen == (
        f"here is {release_version()}, but 10.0.0.8 has 0.1.0+0123456789ab"
    )
    assert "Install the same srgan" in found["code"].remedy


def test_a_node_whose_torch_does_not_see_its_gpus_is_named(server: JobServer) -> None:
    answer(server, blind={"10.0.0.8": "2.13.0+cpu"})
    found = look(cluster_checks(settings(server)))["code"]
    assert (found.outcome, found.seen) == (
        "failed",
        "10.0.0.8 has GPUs, which its torch 2.13.0+cpu does not see",
    )
    assert "a CUDA build of torch" in found.remedy


def test_nodes_that_do_not_answer_or_whose_torch_fails_are_named_with_what_to_do(
    server: JobServer,
) -> None:
    answer(
        server,
        blind={"10.0.0.9": "2.13.0+cpu"},
        unwell={"10.0.0.7": "torch fails: ImportError: x", "10.0.0.8": "no answer within 60 s"},
    )
    found = look(cluster_checks(settings(server)))["code"]
    assert (found.outcome, found.seen) == (
        "failed",
        "10.0.0.7: torch fails: ImportError: x; 10.0.0.8: no answer within 60 s",
    )
    assert "Look at these nodes" in found.remedy


def test_a_head_without_our_code_is_named(server: JobServer) -> None:
    answer(server, status="FAILED", log="No module named srgan")
    found = look(cluster_checks(settings(server)))
    assert found["code"].outcome == "failed"
    assert found["code"].seen.endswith("No module named srgan")


def test_a_job_that_does_not_end_is_stopped_and_a_warning(
    server: JobServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_JOB_LIMIT_S", 0.2)
    found = look(cluster_checks(settings(server)))
    assert found["code"].outcome == "warning"
    assert "did not end" in found["code"].seen
    (job,) = server.jobs.values()
    assert job.statuses == ["STOPPED"]


def test_a_cluster_without_nodes_is_named(server: JobServer) -> None:
    server.nodes = {}
    found = look(cluster_checks(settings(server)))
    assert (found["nodes"].outcome, found["nodes"].seen) == ("failed", "the cluster has no node")


def test_nobody_at_the_address_is_named() -> None:
    (port,) = free_ports(1)
    found = look(cluster_checks(Settings(RAY_ADDRESS=f"http://127.0.0.1:{port}")))
    assert found["address"].seen == f"nothing listens at 127.0.0.1:{port}"
    assert found["code"].outcome == "not checked"
