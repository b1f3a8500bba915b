"""Answers of Ray's autoscaler about a demand, and a cluster that grows and shrinks for jobs."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.core.generated.autoscaler_pb2 import (  # type: ignore[attr-defined]  # made by protobuf
    FailedInstanceRequest,
    GetClusterStatusReply,
    NodeState,
    NodeStatus,
    PendingInstanceRequest,
)

from srgan.config import UpscaleConfig
from srgan.data.prepare import prepare_dataset
from srgan.jobs import autoscaler
from srgan.jobs.autoscaler import is_starting, outlook
from srgan.jobs.train import TrainSpec
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.keys import result_key, spec_key
from srgan.recipes import tiny
from srgan.refs import CheckpointRef, ModelRef, to_json
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.version import release_version
from tests.support.growing_cluster import GrowingCluster, growing_cluster
from tests.support.photos import dead_leaves
from tests.support.places import place
from tests.support.waiting import wait_until

PAIR = {"CPU": 2.0, "GPU": 1.0}


@pytest.fixture
def reply(monkeypatch: pytest.MonkeyPatch) -> GetClusterStatusReply:
    """The head's answer: two processes wait for a PAIR, and a group of two for another."""
    reply = GetClusterStatusReply()
    reply.autoscaling_state.autoscaler_state_version = 1
    waiting = reply.cluster_resource_state.pending_resource_requests.add(count=2)
    waiting.request.resources_bundle.update(PAIR)
    group = reply.cluster_resource_state.pending_gang_resource_requests.add()
    group.requests.add().resources_bundle.update(PAIR)
    group.requests.add().resources_bundle.update(PAIR)
    monkeypatch.setattr(autoscaler, "_cluster_state", lambda: reply)
    return reply


def refuse(reply: GetClusterStatusReply, processes: int, *, group: bool) -> None:
    for _ in range(processes):
        refused = reply.autoscaling_state.infeasible_resource_requests.add()
        refused.resources_bundle.update(PAIR)
    if group:
        whole = reply.autoscaling_state.infeasible_gang_resource_requests.add()
        whole.requests.add().resources_bundle.update(PAIR)
        whole.requests.add().resources_bundle.update(PAIR)


def test_without_an_autoscaler_nothing_is_to_come(reply: GetClusterStatusReply) -> None:
    reply.ClearField("autoscaling_state")
    assert outlook(PAIR) is None


def test_nodes_that_are_started_are_named(reply: GetClusterStatusReply) -> None:
    assert outlook(PAIR) == "its autoscaler starts nodes"
    pending = PendingInstanceRequest(ray_node_type_name="large", count=3)
    reply.autoscaling_state.pending_instance_requests.append(pending)
    reply.autoscaling_state.pending_instances.add(ray_node_type_name="small")
    assert outlook(PAIR) == "its autoscaler starts 3 large, 1 small"


def test_only_nodes_that_are_on_their_way_are_being_started(reply: GetClusterStatusReply) -> None:
    assert not is_starting(), "although a demand waits"
    failed = FailedInstanceRequest(ray_node_type_name="large", reason="no quota")
    reply.autoscaling_state.failed_instance_requests.append(failed)
    assert not is_starting()
    reply.autoscaling_state.pending_instances.add(ray_node_type_name="small")
    assert is_starting()
    reply.autoscaling_state.ClearField("pending_instances")
    pending = PendingInstanceRequest(ray_node_type_name="large", count=3)
    reply.autoscaling_state.pending_instance_requests.append(pending)
    assert is_starting()
    reply.ClearField("autoscaling_state")
    assert not is_starting()


def test_a_node_that_could_not_be_started_is_named_with_the_reason(
    reply: GetClusterStatusReply,
) -> None:
    for reason in ("first", "no quota"):
        failed = FailedInstanceRequest(ray_node_type_name="large", reason=reason)
        reply.autoscaling_state.failed_instance_requests.append(failed)
    assert outlook(PAIR) == "its autoscaler starts nodes; it could not start large: no quota"


def test_only_a_demand_that_is_refused_as_a_whole_is_hopeless(
    reply: GetClusterStatusReply,
) -> None:
    """More workers may wait than the cluster may have; the run begins with those that it gets."""
    refuse(reply, 1, group=True)
    assert outlook(PAIR) == "its autoscaler starts nodes"
    refuse(reply, 1, group=False)
    assert outlook(PAIR) is None
    assert outlook({"CPU": 1.0}) == "its autoscaler starts nodes", "which it has not seen yet"


def test_nodes_in_use_may_make_room_and_those_of_the_head_and_idle_ones_do_not(
    reply: GetClusterStatusReply,
) -> None:
    refuse(reply, 2, group=True)
    nodes = reply.cluster_resource_state.node_states
    head = NodeState(ray_node_type_name="head", status=NodeStatus.RUNNING)
    head.total_resources["node:__internal_head__"] = 1
    nodes.append(head)
    nodes.append(NodeState(ray_node_type_name="small", status=NodeStatus.IDLE))
    nodes.append(NodeState(status=NodeStatus.RUNNING))
    assert outlook(PAIR) is None
    nodes.append(NodeState(ray_node_type_name="small", status=NodeStatus.RUNNING))
    assert outlook(PAIR) == "its autoscaler adds no node beside those in use"


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, object_server: Settings
) -> Iterator[GrowingCluster]:
    """No workers, but up to two of one CPU, and one of two CPUs and a GPU."""
    memory = {"memory": 8 * 2**30}
    types = {"small": (2, {"CPU": 1, **memory}), "large": (1, {"CPU": 2, "GPU": 1, **memory})}
    with growing_cluster(tmp_path_factory.mktemp("cluster"), object_server, types) as cluster:
        yield cluster


def done(driver: subprocess.Popen[bytes], log: Path) -> str:
    """Wait for a driver's end; its log."""
    try:
        driver.wait(timeout=600)
    finally:
        driver.kill()
        driver.wait()
    return log.read_text(errors="replace")


def upscale(cluster: GrowingCluster, store: S3Store, folder: Path, **config: object) -> str:
    """The log of a bulk run of six batches, whose first ends when another process has joined it."""
    (folder / "plan.json").write_text(json.dumps({"0": {"always": config.pop("first", "")}}))
    spec = UpscaleSpec(
        run="grows",
        source="s3://b/photos",
        destination=str(folder),
        model=ModelRef(name="m", version=1, run="r", weights_digest="ab" * 32),
        config=UpscaleConfig.model_validate(config),
        batches=tuple(range(6)),
        num_batches=6,
        release_version=release_version(),
    )
    key = spec_key("upscale-grows")
    store.put(key, to_json(spec))
    code = (
        "from srgan.jobs.node import connect, start\n"
        "from srgan.jobs.upscale_spec import UpscaleSpec\n"
        "from srgan.jobs.upscale_pool import Pool\n"
        "from tests.support.pool_worker import Worker\n"
        f"settings, store, spec = start({key!r}, UpscaleSpec)\n"
        "connect()\n"
        "Pool(spec, Worker, store, 'job', settings.cluster_wait_s).run()\n"
    )
    log = folder / "log"
    return done(cluster.start("-c", code, log=log), log)


def workers(folder: Path) -> set[str]:
    """Processes that did the batches, and with how many CPUs."""
    return {path.read_text() for path in folder.glob("*-*")}


@pytest.mark.slow(group="parts")  # nodes start and end
def test_a_bulk_run_grows_a_cluster_from_zero_and_lets_it_shrink(
    cluster: GrowingCluster, object_store: S3Store, tmp_path: Path
) -> None:
    assert cluster.num_workers() == 0
    log = upscale(cluster, object_store, tmp_path, first="is joined", gpu="never", max_workers=2)
    assert len(list(tmp_path.glob("*-*"))) == 6, log
    assert len(workers(tmp_path)) == 2, log
    wait_until(lambda: cluster.num_workers() == 0, "the cluster shrinks", 300)


@pytest.mark.slow(group="parts")
def test_a_run_that_requires_a_gpu_starts_its_node_and_has_all_its_cpus(
    cluster: GrowingCluster, object_store: S3Store, tmp_path: Path
) -> None:
    log = upscale(cluster, object_store, tmp_path, gpu="required", max_workers=1)
    assert [each.partition(" with ")[2] for each in workers(tmp_path)] == ["2 CPUs"], log
    wait_until(lambda: cluster.num_workers() == 0, "the cluster shrinks", 300)


@pytest.mark.slow(group="parts")
def test_what_no_node_of_the_autoscaler_has_is_an_error_although_it_could_grow(
    cluster: GrowingCluster, object_store: S3Store, tmp_path: Path
) -> None:
    log = upscale(cluster, object_store, tmp_path, cpus_per_worker=3)
    assert "the cluster is too small: it has 0 CPU, 3 CPU on one node are needed" in log
    assert cluster.num_workers() == 0


@pytest.mark.slow(group="parts")
def test_a_training_grows_a_cluster_from_zero_and_lets_it_shrink(
    cluster: GrowingCluster, object_store: S3Store, tmp_path: Path
) -> None:
    for seed in range(6):
        object_store.put(f"raw/{seed}.png", dead_leaves(seed))
    recipe = tiny()
    spec = TrainSpec(
        run="pretrain-grows",
        stage=recipe.pretrain,
        dataset=prepare_dataset(place(object_store, "raw"), object_store, "leaves", recipe.data),
        num_workers=2,
        gpu="never",
        numerics_version="c",
        release_version=release_version(),
    )
    key = spec_key(spec.run)
    object_store.put(key, to_json(spec))
    assert cluster.num_workers() == 0
    log = tmp_path / "log"
    printed = done(cluster.start("-m", "srgan.jobs.train", key, "job", log=log), log)
    found = object_store.find(result_key(spec.run))
    assert found is not None, printed[-6000:]
    assert CheckpointRef.model_validate_json(found).step == recipe.pretrain.steps
    assert "2 × (1 CPU) are needed; its autoscaler starts" in printed
    wait_until(lambda: cluster.num_workers() == 0, "the cluster shrinks", 300)
