"""First steps of a job: its spec, other code, a cluster that is too small or busy, timing."""

from collections.abc import Callable

import pytest

from srgan.config import Config
from srgan.errors import ClusterError, ConfigError
from srgan.jobs import node as ray_node
from srgan.jobs.node import (
    Need,
    Timeline,
    others,
    start,
    too_busy,
    too_small,
    wait_for_cluster,
)
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
    assert too_small(needed, {"CPU": 4, "GPU": 2}) is None
    assert too_busy(needed, {"CPU": 4, "GPU": 2}, {"CPU": 4, "GPU": 2}) is None
    small = too_small(needed, {"CPU": 4, "GPU": 1})
    assert small == "the cluster is too small: it has 1 GPU, 2 are needed"
    # Ray leaves a resource that is used up out of what is available.
    busy = too_busy(needed, {"CPU": 4, "GPU": 2}, {"CPU": 4})
    assert busy == "the cluster is busy: 0 of 2 GPU are free, 2 are needed"


class Clock:
    """Time that passes only while the job sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ray_node, "time", clock)
    monkeypatch.setattr(ray_node, "others", lambda job_id: f"not {job_id}")
    return clock


def resources(monkeypatch: pytest.MonkeyPatch, at: Callable[[], tuple[float, float]]) -> None:
    """A cluster whose CPUs, all and free, are those that `at` returns."""

    def found() -> tuple[dict[str, float], dict[str, float]]:
        total, free = at()
        return {"CPU": total}, {"CPU": free}

    monkeypatch.setattr(ray_node, "cluster_resources", found)


def test_a_cluster_that_stays_too_small_is_an_error_after_the_limit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    caplog.set_level("INFO")
    resources(monkeypatch, lambda: (2, 2))
    with pytest.raises(ClusterError, match=r"within 60 s: .* it has 2 CPU, 4 are needed"):
        wait_for_cluster(lambda: Need("pretrain-0", cpus=4), limit_s=60, job_id="job")
    assert clock.now == 60
    small = "pretrain-0 waits: the cluster is too small: it has 2 CPU, 4 are needed"
    assert caplog.messages == [f"{small} (0 s); not job", f"{small} (30 s); not job"]


def test_a_busy_cluster_is_waited_for_as_long_as_it_is_busy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    """A bulk run of a day ends before the retraining that meets it starts."""
    caplog.set_level("INFO")
    day = 86_400
    resources(monkeypatch, lambda: (4, 1 if clock.now < day else 4))
    wait_for_cluster(lambda: Need("pretrain-0", cpus=4), limit_s=60, job_id="job")
    assert clock.now == day
    assert len(caplog.messages) == day / 30
    assert caplog.messages[-1] == (
        "pretrain-0 waits: the cluster is busy: 1 of 4 CPU are free, 4 are needed (86370 s); "
        "not job"
    )


def test_a_node_that_is_replaced_during_a_long_wait_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Only the time counts for which the cluster has been too small without a break."""
    resources(monkeypatch, lambda: (2, 0) if 1000 <= clock.now < 1050 else (4, 0))
    with pytest.raises(TimeoutError):
        wait_for_cluster(lambda: until(clock, 2000), limit_s=60, job_id="job")
    resources(monkeypatch, lambda: (2, 0) if clock.now >= 3000 else (4, 0))
    with pytest.raises(ClusterError, match="too small"):
        wait_for_cluster(lambda: until(clock, 4000), limit_s=60, job_id="job")
    assert 3050 <= clock.now <= 3070


def until(clock: Clock, end: float) -> Need:
    if clock.now >= end:
        raise TimeoutError
    return Need("pretrain-0", cpus=4)


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


def test_what_is_needed_is_asked_again_while_nodes_come(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """The head alone would have two workers on CPUs; then the node with the GPU is there."""
    clusters = iter([({"CPU": 1.0}, {"CPU": 1.0}), ({"CPU": 9.0, "GPU": 1.0},) * 2])
    needs = iter([Need("stage", cpus=2), Need("stage", cpus=4, gpus=1)])
    monkeypatch.setattr(ray_node, "cluster_resources", lambda: next(clusters))
    found = wait_for_cluster(lambda: next(needs), limit_s=10, job_id="job")
    assert found == Need("stage", cpus=4, gpus=1)


def test_the_whole_is_told_with_its_parts_across_processes() -> None:
    driver = Timeline([("begun", 100.0), ("checks", 101.5)])
    worker = Timeline(driver.marks)
    worker.marks.append(("workers", 109.0))
    assert worker.line() == "9.0 s: checks 1.5 s, workers 7.5 s"
    assert driver.line() == "1.5 s: checks 1.5 s", "the worker has its own copy"


def test_clocks_that_differ_show_no_negative_part() -> None:
    assert Timeline([("begun", 100.0), ("workers", 99.0)]).line() == "0.0 s: workers 0.0 s"
