"""First steps of a job: its spec, other code, a cluster that is too small or busy, timing."""

import pytest

from srgan.config import Config
from srgan.errors import ClusterError, ConfigError
from srgan.jobs import node as ray_node
from srgan.jobs.node import Need, Timeline, missing, others, start, wait_for_cluster
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.version import release_version
from tests.support.job_server import serve


class Spec(Config):
    seconds: int
    release_version: str


@pytest.fixture(autouse=True)
def node(monkeypatch: pytest.MonkeyPatch, s3_settings: Settings) -> None:
    monkeypatch.setattr(ray_node, "Settings", lambda: s3_settings)
    monkeypatch.setattr(ray_node.logging, "basicConfig", lambda **_: None)
    monkeypatch.setattr(ray_node, "connect", lambda: None)


def test_a_spec_of_the_same_code_is_read(object_store: S3Store) -> None:
    spec = Spec(seconds=3, release_version=release_version())
    object_store.put("spec.json", spec.model_dump_json().encode())
    assert start("spec.json", Spec)[2] == spec


def test_a_spec_of_other_code_is_refused_with_both_versions(object_store: S3Store) -> None:
    object_store.put("spec.json", b'{"release_version": "0.0.1+abc", "gone": 1}')
    with pytest.raises(ClusterError, match=r"0\.0\.1\+abc") as caught:
        start("spec.json", Spec)
    assert release_version() in str(caught.value)


def test_a_spec_with_other_fields_is_an_error_that_names_its_key(object_store: S3Store) -> None:
    object_store.put("spec.json", f'{{"release_version": "{release_version()}"}}'.encode())
    with pytest.raises(ConfigError, match=r"spec\.json is not a Spec"):
        start("spec.json", Spec)


def test_a_cluster_that_is_too_small_and_one_that_is_busy_are_told_apart() -> None:
    needed = {"CPU": 4.0, "GPU": 2.0}
    assert missing(needed, {"CPU": 4, "GPU": 2}, {"CPU": 4, "GPU": 2}) is None
    small = missing(needed, {"CPU": 4, "GPU": 1}, {})
    assert small == "the cluster is too small: it has 1 GPU, 2 are needed"
    # Ray leaves a resource that is used up out of what is available.
    busy = missing(needed, {"CPU": 4, "GPU": 2}, {"CPU": 4})
    assert busy == "the cluster is busy: 0 of 2 GPU are free, 2 are needed"


def test_waiting_says_at_once_what_is_missing_and_ends_at_the_limit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(ray_node, "others", lambda job_id: f"not {job_id}")
    monkeypatch.setattr(ray_node, "cluster_resources", lambda: ({"CPU": 2.0}, {"CPU": 2.0}))
    with pytest.raises(ClusterError, match="it has 2 CPU, 4 are needed"):
        wait_for_cluster(lambda: Need("pretrain-0", cpus=4), limit_s=0.1, job_id="job")
    assert caplog.messages == [
        "pretrain-0 waits: the cluster is too small: it has 2 CPU, 4 are needed (0 of 0 s); not job"
    ]


def test_a_job_that_waits_names_the_others_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with serve() as server:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", server.address)
        server.put("waits-1", "RUNNING", stage="evaluate", root="abc")
        server.put("queued-1", "PENDING", stage="evaluate", root="abc")
        server.put("earlier-1", "SUCCEEDED", stage="evaluate", root="abc")
        assert others("waits-1") == "the cluster runs nothing else"
        server.put("works-1", "RUNNING", stage="pretrain", root="abc")
        server.put("a-user's", "RUNNING")
        assert others("waits-1") == (
            "the cluster runs pretrain of flow run abc, a-user's of flow run ?"
        )
        server.away = 10**6
        assert others("waits-1").startswith("what else the cluster runs is unknown: Ray's job")


def test_a_cluster_that_becomes_free_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([{}, {"CPU": 1.0}, {"CPU": 2.0}])
    monkeypatch.setattr(ray_node, "others", lambda _: "")
    monkeypatch.setattr(ray_node, "_POLL_S", 0.0)
    monkeypatch.setattr(ray_node, "cluster_resources", lambda: ({"CPU": 2.0}, next(free)))
    wait_for_cluster(lambda: Need("pretrain-0", cpus=2), limit_s=10, job_id="job")
    assert next(free, None) is None


def test_what_is_needed_is_asked_again_while_nodes_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head alone would have two workers on CPUs; then the node with the GPU is there."""
    clusters = iter([({"CPU": 1.0}, {"CPU": 1.0}), ({"CPU": 9.0, "GPU": 1.0},) * 2])
    needs = iter([Need("stage", cpus=2), Need("stage", cpus=4, gpus=1)])
    asked: list[Need] = []
    monkeypatch.setattr(ray_node, "others", lambda _: "")
    monkeypatch.setattr(ray_node, "_POLL_S", 0.0)
    monkeypatch.setattr(ray_node, "cluster_resources", lambda: next(clusters))
    wait_for_cluster(lambda: asked.append(next(needs)) or asked[-1], limit_s=10, job_id="job")  # type: ignore[func-returns-value]
    assert asked[-1].gpus == 1


def test_the_whole_is_told_with_its_parts_across_processes() -> None:
    driver = Timeline([("begun", 100.0), ("checks", 101.5)])
    worker = Timeline(driver.marks)
    worker.marks.append(("workers", 109.0))
    assert worker.line() == "9.0 s: checks 1.5 s, workers 7.5 s"
    assert driver.line() == "1.5 s: checks 1.5 s", "the worker has its own copy"


def test_clocks_that_differ_show_no_negative_part() -> None:
    assert Timeline([("begun", 100.0), ("workers", 99.0)]).line() == "0.0 s: workers 0.0 s"
