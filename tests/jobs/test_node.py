"""First steps of a job: its spec, other code, a cluster that is too small or busy, timing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import pytest
import ray

from srgan.config import Config, Gpu
from srgan.errors import ClusterError, ConfigError
from srgan.jobs import evaluate, prepare, study, study_report
from srgan.jobs import node as ray_node
from srgan.jobs.node import (
    Need,
    Timeline,
    others,
    room,
    start,
    uses_gpu,
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
    monkeypatch.setattr(ray_node, "connect", lambda: None)


def test_a_spec_of_the_same_code_is_read(object_store: S3Store) -> None:
    spec = Spec(seconds=3, release_version=release_version())
    object_store.put("runs/some-run/spec.json", spec.model_dump_json().encode())
    assert start("runs/some-run/spec.json", Spec)[2] == spec


def test_a_spec_of_other_code_is_refused_with_both_versions(object_store: S3Store) -> None:
    object_store.put("runs/some-run/spec.json", b'{"release_version": "0.0.1+abc", "gone": 1}')
    with pytest.raises(ClusterError, match=r"0\.0\.1\+abc") as caught:
        start("runs/some-run/spec.json", Spec)
    assert release_version() in str(caught.value)


def test_a_spec_with_other_fields_is_an_error_that_names_its_key(object_store: S3Store) -> None:
    object_store.put(
        "runs/some-run/spec.json", f'{{"release_version": "{release_version()}"}}'.encode()
    )
    with pytest.raises(ConfigError, match=r"spec\.json is not a Spec"):
        start("runs/some-run/spec.json", Spec)


def test_a_process_needs_its_resources_on_one_node() -> None:
    nodes = [{"CPU": 4.0, "GPU": 1.0}, {"CPU": 9.0}, {"memory": 1e9}]
    assert room(nodes, {"CPU": 4.0}) == 3
    assert room(nodes, {"CPU": 2.0, "GPU": 1.0}) == 1
    assert room(nodes, {"CPU": 10.0}) == 0, "although all together have 13"


@pytest.mark.parametrize(
    ("gpu", "with_gpus", "without"),
    [("auto", True, False), ("required", True, True), ("never", False, False)],
)
def test_a_job_computes_on_gpus_as_its_run_asks(gpu: Gpu, with_gpus: bool, without: bool) -> None:
    assert uses_gpu(gpu, [{"CPU": 4.0}, {"CPU": 4.0, "GPU": 1.0}]) is with_gpus
    assert uses_gpu(gpu, [{"CPU": 4.0}]) is without


@pytest.mark.parametrize(
    "job", [evaluate, prepare, study, study_report], ids=lambda job: job.__name__
)
def test_a_job_that_reserves_no_gpu_hides_those_of_its_node(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AskedError(Exception):
        """Ends the job; its argument are Ray's options."""

    def remote(**options: object) -> None:
        raise AskedError(options)

    monkeypatch.setattr(job, "start", lambda *_: (SimpleNamespace(cluster_wait_s=0), None, None))
    monkeypatch.setattr(job, "wait_for_cluster", lambda *_: Need("job", cpus=1))
    monkeypatch.setattr(ray, "remote", remote)
    with pytest.raises(AskedError) as caught:
        job.main("spec", "job")
    (options,) = caught.value.args
    assert options["runtime_env"] == {"env_vars": {"CUDA_VISIBLE_DEVICES": ""}}


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


def cluster(
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    at: Callable[[], tuple[float, float]],
    outlook: Callable[[], str | None] = lambda: None,
) -> None:
    """One node, whose CPUs, all and free, `at` returns; `outlook` is what the autoscaler says."""

    @contextmanager
    def stated(need: Need) -> Iterator[Callable[[float], bool]]:
        def has_room(timeout_s: float) -> bool:
            if at()[1] < need.cpus * need.num:
                clock.sleep(timeout_s)
            return at()[1] >= need.cpus * need.num

        yield has_room

    monkeypatch.setattr(ray_node, "stated", stated)
    monkeypatch.setattr(ray_node, "node_resources", lambda: [{"CPU": at()[0]}])
    monkeypatch.setattr(ray_node, "free_resources", lambda: {"CPU": at()[1]})
    monkeypatch.setattr(ray_node.autoscaler, "outlook", lambda _: outlook())


FOUR = Need("pretrain-0", cpus=4)


def test_a_cluster_that_stays_too_small_is_an_error_after_the_limit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    caplog.set_level("INFO")
    cluster(monkeypatch, clock, lambda: (2, 2))
    with pytest.raises(ClusterError, match=r"within 60 s: .* has 2 CPU, 4 CPU on one node are"):
        wait_for_cluster(lambda: FOUR, limit_s=60, job_id="job")
    assert clock.now == 60
    small = "pretrain-0 waits: the cluster is too small: it has 2 CPU, 4 CPU on one node are needed"
    assert caplog.messages == [f"{small} (2 s); not job", f"{small} (32 s); not job"]


def test_a_busy_cluster_is_waited_for_as_long_as_it_is_busy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    """A bulk run of a day ends before the retraining that meets it starts."""
    caplog.set_level("INFO")
    day = 86_400
    cluster(monkeypatch, clock, lambda: (4, 1 if clock.now < day else 4))
    pair = Need("pretrain-0", cpus=2, num=2)
    assert wait_for_cluster(lambda: pair, limit_s=60, job_id="job") == pair
    assert clock.now == day
    assert len(caplog.messages) == day / 30
    assert caplog.messages[-1] == (
        "pretrain-0 waits: the cluster is busy: 1 of 4 CPU are free, 2 × (2 CPU) are needed "
        "(86372 s); not job"
    )


def test_nodes_that_the_autoscaler_starts_are_waited_for_whatever_the_limit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    caplog.set_level("INFO")
    cluster(
        monkeypatch,
        clock,
        lambda: (4, 4) if clock.now >= 1000 else (0, 0),
        lambda: "its autoscaler starts 1 large",
    )
    wait_for_cluster(lambda: FOUR, limit_s=60, job_id="job")
    assert clock.now == 1000
    assert caplog.messages[0] == (
        "pretrain-0 waits: the cluster is too small yet: it has 0 CPU, 4 CPU on one node are "
        "needed; its autoscaler starts 1 large (2 s); not job"
    )


def test_only_the_time_counts_in_which_nothing_could_have_made_it_possible(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """A node that is replaced during a long wait does not end it, nor nodes that are refused."""
    cluster(monkeypatch, clock, lambda: (2, 0) if 1000 <= clock.now < 1050 else (4, 0))
    with pytest.raises(TimeoutError):
        wait_for_cluster(lambda: until(clock, 2000), limit_s=60, job_id="job")
    started = "its autoscaler starts 1 large"
    cluster(monkeypatch, clock, lambda: (2, 0), lambda: started if clock.now < 3000 else None)
    with pytest.raises(ClusterError, match="too small"):
        wait_for_cluster(lambda: until(clock, 4000), limit_s=60, job_id="job")
    assert 3050 <= clock.now <= 3070


def until(clock: Clock, end: float) -> Need:
    if clock.now >= end:
        raise TimeoutError
    return FOUR


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
    cluster(monkeypatch, clock, lambda: (9, 9) if clock.now >= 6 else (1, 1))
    small, large = Need("stage", cpus=1, num=2), Need("stage", cpus=8)
    found = wait_for_cluster(lambda: large if clock.now >= 4 else small, limit_s=10, job_id="job")
    assert found == large


def test_room_that_came_with_a_larger_node_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    cluster(monkeypatch, clock, lambda: (8, 8))
    needs = iter([Need("stage", cpus=1), *[Need("stage", cpus=8)] * 3])
    assert wait_for_cluster(lambda: next(needs), limit_s=10, job_id="job").cpus == 8


def test_the_whole_is_told_with_its_parts_across_processes() -> None:
    driver = Timeline([("begun", 100.0), ("checks", 101.5)])
    worker = Timeline(driver.marks)
    worker.marks.append(("workers", 109.0))
    assert worker.line() == "9.0 s: checks 1.5 s, workers 7.5 s"
    assert driver.line() == "1.5 s: checks 1.5 s", "the worker has its own copy"


def test_clocks_that_differ_show_no_negative_part() -> None:
    assert Timeline([("begun", 100.0), ("workers", 99.0)]).line() == "0.0 s: workers 0.0 s"
