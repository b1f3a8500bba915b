"""Where a bulk run has its workers, on a pretended Ray: bad, late and small nodes, a lost store."""

import json
from itertools import pairwise

import pytest
from ray.core.generated.autoscaler_pb2 import (  # type: ignore[attr-defined]  # made by protobuf
    GetClusterStatusReply,
    NodeState,
    NodeStatus,
)

from srgan.bulk.attempt import BatchAttempt
from srgan.errors import ClusterError, ConfigError, StorageError
from srgan.jobs import autoscaler, upscale_pool
from srgan.jobs.autoscaler import is_starting, outlook
from srgan.services.ray_jobs import HEAD
from tests.support.pretended_ray import Node, PretendedRay, pretend
from tests.support.pretended_runs import GIB, LIMIT_S, Store, node, run


@pytest.fixture
def store() -> Store:
    return Store()


def head(memory: float) -> Node:
    return Node("head", {"CPU": 2, "memory": memory * GIB, HEAD: 1.0})


def blind(ray: PretendedRay, *names: str) -> None:
    """Have workers fail that start on these nodes."""

    def start(node: str) -> None:
        if node in names:
            raise ClusterError(f"{node} does not see the folder")

    ray.start = start


def test_a_bad_node_that_is_up_first_does_not_end_a_run_whose_other_nodes_still_boot(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, node("bad", cpus=4), node("good", cpus=2, joins_at=60))
    blind(ray, "bad")
    run(store)
    assert sorted(ray.batches) == [(number, "good") for number in range(6)]
    assert len([when for when, name in ray.log if name == "bad"]) <= 16, "four workers, four times"


def test_one_good_node_does_not_keep_the_run_from_others_that_come(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, node("good"), node("bad", cpus=2), node("late", joins_at=60))
    blind(ray, "bad")
    run(store, batches=200)
    done = [name for _, name in ray.batches]
    assert {name: done.count(name) > 50 for name in set(done)} == {"good": True, "late": True}


def test_a_node_is_tried_again_after_pauses_that_grow_and_has_workers_when_it_is_mended(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, node("good"), node("late"))

    def start(name: str) -> None:
        if name == "late" and ray.monotonic() < 30:
            raise StorageError("away")

    ray.start = start
    run(store, batches=120, max_workers=2)
    tried = [when for when, name in ray.log if name == "late"]
    pauses = [after - before for before, after in pairwise(tried)]
    assert pauses == pytest.approx([5 + 1, 10 + 1, 20 + 1], abs=0.1)
    assert [name for _, name in ray.batches].count("late") > 20


def test_a_node_that_is_mended_late_has_a_worker_within_five_minutes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, node("good"), node("late"))
    ray.batch_s = 14.0

    def start(name: str) -> None:
        if name == "late" and ray.monotonic() < 1500:
            raise StorageError("away")

    ray.start = start
    run(store, batches=200, max_workers=2)
    assert ray.log[-1][1] == "late"
    assert 1500 <= ray.log[-1][0] <= 1500 + 302


def test_while_a_node_rests_other_workers_that_fail_there_cost_no_attempt(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ray = pretend(monkeypatch, node("bad", cpus=4))
    blind(ray, "bad")
    with pytest.raises(ClusterError, match="bad does not see the folder"):
        run(store)
    first = [line for line in caplog.messages if "its node gets another in" in line]
    others = [line for line in caplog.messages if line.startswith("another worker")]
    pauses = [float(line.partition(" in ")[2].split()[0]) for line in first]
    assert pauses == [5, 10, 20, 40, 80, 160]
    assert len(others) == 3 * len(first)


def test_a_run_without_another_node_ends_with_the_workers_error_when_the_time_limit_is_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, node("bad"))
    blind(ray, "bad")
    with pytest.raises(ClusterError, match="bad does not see the folder"):
        run(store)
    assert LIMIT_S <= ray.monotonic() <= 1.5 * LIMIT_S
    assert not ray.batches


def test_a_run_waits_for_nodes_that_the_autoscaler_starts_after_the_time_limit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, node("bad"), node("good", joins_at=1000))
    monkeypatch.setattr(upscale_pool, "is_starting", lambda: ray.monotonic() < 1000)
    blind(ray, "bad")
    run(store)
    assert {name for _, name in ray.batches} == {"good"}


def test_an_autoscaler_that_starts_nothing_does_not_keep_a_run_that_can_start_nowhere(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has answered, so it is there; nothing waits, and the bad node is one that it started."""
    reply = GetClusterStatusReply()
    reply.autoscaling_state.autoscaler_state_version = 1
    started = NodeState(ray_node_type_name="small", status=NodeStatus.RUNNING)
    reply.cluster_resource_state.node_states.append(started)
    ray = pretend(monkeypatch, node("bad"))
    monkeypatch.setattr(autoscaler, "_cluster_state", lambda: reply)
    monkeypatch.setattr(autoscaler, "outlook", outlook)
    monkeypatch.setattr(upscale_pool, "is_starting", is_starting)
    blind(ray, "bad")
    with pytest.raises(ClusterError, match="bad does not see the folder"):
        run(store)
    assert LIMIT_S <= ray.monotonic() <= 1.5 * LIMIT_S


def test_what_would_fail_on_every_node_ends_the_run_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, node("first"), node("late", joins_at=60))

    def start(name: str) -> None:
        raise ConfigError("memory_bytes is too small")

    ray.start = start
    with pytest.raises(ConfigError):
        run(store)
    assert ray.monotonic() < 5


@pytest.mark.parametrize("memory", [2.5, 3.5, 5.0, 5.25])
def test_runs_that_begin_together_on_a_small_node_do_not_wait_for_each_others_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch, memory: float
) -> None:
    """The other driver has its memory before the first worker is placed, and only waits."""
    ray = pretend(monkeypatch, head(memory))
    ray.drivers_at = [0.0, 0.0]
    run(store)
    assert len(ray.batches) == 6


def test_a_driver_that_comes_between_asking_and_having_room_is_made_room_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, head(3.5))
    ray.drivers_at = [0.0, 0.0]
    count = iter([1])  # the first answer is from before the other driver
    monkeypatch.setattr(upscale_pool, "count_drivers", lambda: next(count, 2))
    run(store)
    assert len(ray.batches) == 6


def test_workers_that_have_room_begin_although_a_larger_node_joins(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Node("small", {"CPU": 1, "memory": 1.5 * GIB})
    ray = pretend(monkeypatch, small, Node("large", {"CPU": 1, "memory": 64.0 * GIB}, 0.5))
    killed: list[object] = []
    kill, place = ray.kill, ray._place

    def placing() -> None:
        """Both nodes are there by the time the first worker says where it is."""
        place()
        if ray.running():
            ray._now = max(ray._now, 0.5)

    def killing(actor: object) -> None:
        killed.append(actor.node)  # type: ignore[attr-defined]  # an actor
        kill(actor)  # type: ignore[arg-type]  # likewise

    monkeypatch.setattr(ray, "_place", placing)
    monkeypatch.setattr(ray, "kill", killing)
    run(store, batches=1, max_workers=1)
    assert ray.batches == [(0, "small")]
    assert killed == [small], "when its batch was done"


def test_progress_that_cannot_be_written_ends_no_run(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ray = pretend(monkeypatch, node("good"))
    store.is_away = lambda key: key.endswith("progress.json")
    run(store)
    assert len(ray.batches) == 6
    assert "the store is away" in caplog.text


def lose_the_first(batch: int, node: str, attempt: BatchAttempt) -> None:
    if batch == 0:
        raise ConfigError("for ever")


@pytest.mark.parametrize("away_s", [10, 30], ids=["while others work", "after the last"])
def test_why_a_batch_is_lost_is_written_when_the_store_is_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, away_s: float
) -> None:
    ray = pretend(monkeypatch, node("good"))

    ray.batch = lose_the_first
    store.is_away = lambda key: key.endswith("failure.json") and ray.monotonic() < away_s
    run(store, batches=15)
    found = json.loads(store.objects["runs/upscale-b/000000/failure.json"])
    assert found["message"] == "for ever"
    assert json.loads(store.objects["runs/upscale-b/progress.json"])["step"] == 15


def test_a_store_that_stays_away_ends_the_run_after_its_last_batch(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, node("good"))
    ray.batch = lose_the_first
    store.is_away = lambda key: key.endswith("failure.json")
    with pytest.raises(StorageError, match="the store is away"):
        run(store)
    assert len(ray.batches) == 5
    assert ray.monotonic() < 120
