"""Training and bulk runs on several hosts: links are cut and mended, the head restarts.

`make test-slow GROUP=hosts` and `GROUP=hosts-bulk`, as root. The hosts have latency where the
kernel has ``netem``.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from srgan.config import PretrainConfig
from srgan.recipes import tiny
from srgan.refs import DatasetRef
from srgan.train.checkpoint import read_manifest
from tests.support.bulk_flows import expect_whole, outputs, register_model
from tests.support.flow_process import FlowProcess
from tests.support.hosts import why_no_hosts
from tests.support.photos import dead_leaves
from tests.support.ray_hosts import RayHosts, run_ray_hosts
from tests.support.training import Training, prepare_leaves
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(1800)
hosts_group = pytest.mark.slow(group="hosts")
hosts_bulk_group = pytest.mark.slow(group="hosts-bulk")

STAGE = PretrainConfig.model_validate(
    {**tiny().pretrain.model_dump(), "steps": 600, "checkpoint_every": 20}
)
NUM_PHOTOS = 60
COPIES = ("once", "again", "more")
"""Folders with the same photos; a run over all takes longer than the loss of a node."""
NUM_BEFORE = 4
"""Outputs that are there when something happens."""
TRAINING, BULK = "ray::RayTrainWorker", "ray::UpscaleWorker"
BOTH = ["node-1", "node-2"]


class Bulk(FlowProcess):
    """The flow `upscale` in its own process, with a worker for each node."""

    def __init__(
        self,
        hosts: RayHosts,
        model: str,
        destination: str,
        folder: Path,
        *,
        source: str = f"photos/{COPIES[0]}",
        max_workers: int = 2,
    ) -> None:
        self._hosts = hosts
        self.destination = destination
        bucket = hosts.store.bucket
        code = (
            "from flows.upscale import upscale\n"
            "from srgan.config import UpscaleConfig\n"
            f"upscale('s3://{bucket}/{source}', 's3://{bucket}/{destination}', {model!r},"
            f" UpscaleConfig(batch_bytes=100_000, precision='fp32', max_workers={max_workers}))"
        )
        super().__init__(hosts, code, folder / "flow.log")

    def wait_for(self, num: int) -> dict[str, tuple[str, str]]:
        """Wait for a number of outputs; what there is by then."""
        found: dict[str, tuple[str, str]] = {}

        def are_there() -> bool:
            found.update(outputs(self._hosts.store, self.destination))
            return len(found) >= num

        self.wait(are_there, f"{num} outputs", 400)
        return found

    def wait_for_workers(self) -> None:
        """Wait until there is one on each node."""
        self.wait(lambda: self._hosts.where(BULK) == BOTH, "a worker on each node", 400)

    def finish(self) -> None:
        self.wait_for_end(600)


@pytest.fixture(scope="module")
def hosts(prefect_api: None) -> Iterator[RayHosts]:
    from prefect.settings import get_current_settings

    if reason := why_no_hosts():
        pytest.skip(reason)
    with run_ray_hosts(str(get_current_settings().api.url)) as cluster:
        print(f"latency between hosts: {cluster.network.has_latency}")
        yield cluster


@pytest.fixture(scope="module")
def dataset(hosts: RayHosts) -> DatasetRef:
    return prepare_leaves(hosts, "hosts", 700)


@pytest.fixture(scope="module")
def model(hosts: RayHosts) -> str:
    """Address of a version of random weights, and the photos in the bucket."""
    for seed in range(NUM_PHOTOS):
        photo = dead_leaves(seed + 900, 120, 140)
        for folder in COPIES:
            hosts.store.put(f"photos/{folder}/{seed:02d}.png", photo)
    return register_model(hosts, num_channels=64)


@pytest.fixture(scope="module")
def undisturbed_weights(
    hosts: RayHosts, dataset: DatasetRef, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Digest of the weights of a stage that nothing happens to, with a worker on each node."""
    training = Training(hosts, dataset, STAGE, tmp_path_factory.mktemp("training") / "log")
    try:
        training.wait_for_checkpoint()
        assert hosts.where(TRAINING) == BOTH
        result = training.finish()
    finally:
        training.close()
    assert read_manifest(hosts.store, result.key).num_ranks == 2
    return result.digest


@pytest.fixture(scope="module")
def undisturbed(
    hosts: RayHosts, model: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], float]:
    """Digests of the outputs of a run that nothing happens to, and its outputs per second."""
    bulk = Bulk(hosts, model, "undisturbed", tmp_path_factory.mktemp("bulk"))
    try:
        bulk.wait_for_workers()
        rate = outputs_per_second(bulk)
        bulk.finish()
    finally:
        bulk.close()
    made = outputs(hosts.store, bulk.destination)
    assert len(made) == NUM_PHOTOS
    return {name: token for name, (token, _) in made.items()}, rate


@pytest.fixture(autouse=True)
def all_nodes(hosts: RayHosts) -> Iterator[None]:
    """Every test begins and ends with the whole cluster."""
    hosts.wait_for_nodes()
    yield
    for node in hosts.nodes:
        node.mend()
    hosts.wait_for_nodes()


@hosts_group
def test_a_training_shares_its_gradients_between_two_hosts(undisturbed_weights: str) -> None:
    assert undisturbed_weights


@hosts_group
def test_a_training_goes_on_when_a_lost_host_has_joined_again(
    hosts: RayHosts, dataset: DatasetRef, undisturbed_weights: str, tmp_path: Path
) -> None:
    training = Training(hosts, dataset, STAGE, tmp_path / "log")
    try:
        training.wait_for_checkpoint()
        lose_and_mend(hosts)
        result = training.finish(600)
    finally:
        training.close()
    assert result.digest == undisturbed_weights
    assert training.resumed_at()[0] > 0


@hosts_bulk_group
def test_a_bulk_run_has_a_worker_on_each_host(
    undisturbed: tuple[dict[str, str], float],
) -> None:
    digests, _ = undisturbed
    assert len(set(digests.values())) == NUM_PHOTOS


@hosts_bulk_group
def test_a_bulk_run_does_every_image_once_although_a_host_is_lost_and_joins_again(
    hosts: RayHosts, model: str, undisturbed: tuple[dict[str, str], float], tmp_path: Path
) -> None:
    bulk = Bulk(hosts, model, "cut", tmp_path, source="photos")
    try:
        bulk.wait_for_workers()
        before = bulk.wait_for(NUM_BEFORE)
        lose_and_mend(hosts)
        bulk.wait_for_workers()
        bulk.finish()
    finally:
        bulk.close()
    digests, _ = undisturbed
    expected = {f"{folder}/{name}": digests[name] for folder in COPIES for name in digests}
    expect_whole(hosts.store, bulk.destination, before, expected)


@hosts_bulk_group
def test_a_bulk_run_does_every_image_once_although_a_link_fails_for_a_moment(
    hosts: RayHosts, model: str, undisturbed: tuple[dict[str, str], float], tmp_path: Path
) -> None:
    nodes = hosts.alive()
    bulk = Bulk(hosts, model, "moment", tmp_path)
    try:
        bulk.wait_for_workers()
        before = bulk.wait_for(NUM_BEFORE)
        hosts.nodes[1].cut()
        time.sleep(10)
        hosts.nodes[1].mend()
        bulk.finish()
    finally:
        bulk.close()
    assert hosts.alive() == nodes, "no node was lost"
    expect_whole(hosts.store, bulk.destination, before, undisturbed[0])


@hosts_bulk_group
def test_a_bulk_run_does_every_image_once_although_the_head_restarts(
    hosts: RayHosts, model: str, undisturbed: tuple[dict[str, str], float], tmp_path: Path
) -> None:
    bulk = Bulk(hosts, model, "headless", tmp_path)
    try:
        before = bulk.wait_for(NUM_BEFORE)
        hosts.head.stop()
        wait_until(lambda: "does not answer; asking again" in bulk.text, "the flow notices", 60)
        hosts.start_head()
        began = time.monotonic()
        hosts.wait_for_nodes()
        print(f"both nodes joined the new head {time.monotonic() - began:.0f} s after its start")
        bulk.finish()
    finally:
        bulk.close()
    expect_whole(hosts.store, bulk.destination, before, undisturbed[0])
    assert re.search("ended as unknown to the cluster; starting the next attempt", bulk.text)


@hosts_bulk_group
def test_throughput_of_two_hosts_is_printed_over_that_of_one(
    hosts: RayHosts, model: str, undisturbed: tuple[dict[str, str], float], tmp_path: Path
) -> None:
    bulk = Bulk(hosts, model, "alone", tmp_path, max_workers=1)
    try:
        alone = outputs_per_second(bulk)
        assert len(hosts.where(BULK)) == 1
        bulk.finish()
    finally:
        bulk.close()
    _, both = undisturbed
    print(f"images per second: one host {alone:.3f}, two {both:.3f}, {both / alone:.2f} times")
    assert both > alone


def lose_and_mend(hosts: RayHosts) -> None:
    """Cut node-2 off until the head has declared it dead; give the link back, and see it join."""
    node = hosts.nodes[1]
    lost = hosts.alive()[node.address]
    began = time.monotonic()
    node.cut()
    wait_until(lambda: hosts.holds_dead(lost), "the node is declared dead", 150)
    dead = time.monotonic()
    node.mend()
    hosts.wait_for_nodes()
    assert hosts.alive()[node.address] != lost, "it joined as a new node"
    print(
        f"the node was declared dead {dead - began:.0f} s after the cut, and had joined again "
        f"{time.monotonic() - dead:.0f} s after the link was back"
    )


def outputs_per_second(bulk: Bulk) -> float:
    """Rate in the middle of a run, when all workers are at work and none waits for the last."""
    first, last = NUM_PHOTOS // 4, NUM_PHOTOS * 9 // 10
    num = len(bulk.wait_for(first))
    began = time.monotonic()
    return (len(bulk.wait_for(last)) - num) / (time.monotonic() - began)
