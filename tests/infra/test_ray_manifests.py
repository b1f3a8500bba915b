"""The Ray clusters of the overlays: memory, nodes on demand, token and version."""

import re

import pytest
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)
from ray.autoscaler.v2.instance_manager.config import NodeTypeConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.core.generated.autoscaler_pb2 import ResourceRequest, ResourceRequestByCount

from srgan.bulk.batch import SPOOLED_BYTES_PER_CPU
from srgan.config import DataConfig, UpscaleConfig
from srgan.jobs.prepare import Photos, need_of
from tests.support.checkout import ROOT
from tests.support.manifests import (
    OVERLAYS,
    empty_folder,
    environment,
    find,
    number,
    pod,
    pods,
    shared_memory,
)


@pytest.mark.parametrize(("overlay", "groups"), [("aws", ["cpu", "gpu"]), ("one-node", ["cpu"])])
def test_ray_keeps_its_object_store_in_memory_and_within_the_limit(
    overlay: str, groups: list[str]
) -> None:
    nodes = [one for one in pods(overlay) if one.ray_start is not None]
    assert [one.owner.rpartition("/")[2] for one in nodes] == ["head", *groups]
    for one in nodes:
        assert one.ray_start is not None
        store = int(one.ray_start["object-store-memory"])
        assert store < shared_memory(one), one.owner
        limit = number(one.container["resources"]["limits"]["memory"])
        assert int(one.ray_start["memory"]) + shared_memory(one) <= limit, one.owner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_results_of_a_bulk_run_that_lie_on_the_disk_fit_into_its_nodes(overlay: str) -> None:
    largest = 2 * 4**2 * 3 * UpscaleConfig().max_pixels  # in RGB ×4, with the encoded file
    nodes = [one for one in pods(overlay) if one.ray_start is not None and "head" not in one.owner]
    assert nodes
    for one in nodes:
        assert one.ray_start is not None
        num_cpus = int(one.ray_start["num-cpus"])
        num_workers = 1 if "nvidia.com/gpu" in one.container["resources"]["limits"] else num_cpus
        most = max(num_cpus * SPOOLED_BYTES_PER_CPU, num_workers * largest)
        assert most <= number(empty_folder(one, "/tmp")["sizeLimit"]), one.owner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_drivers_leave_ray_two_gigabytes_of_the_head(overlay: str) -> None:
    head = pod(overlay, "RayCluster/srgan/head")
    assert head.ray_start is not None
    limit = number(head.container["resources"]["limits"]["memory"])
    assert int(head.ray_start["memory"]) == limit - 2 * 2**30
    assert head.ray_start["num-cpus"] == "0"


def test_rays_autoscaler_knows_what_a_node_has() -> None:
    config = _derive_autoscaling_config_from_ray_cr(find("aws", "RayCluster", "srgan"))
    gpu, cpu = (config["available_node_types"][name] for name in ("gpu", "cpu"))
    assert gpu["resources"] == {"CPU": 8, "GPU": 1, "memory": 24 * 2**30}
    assert cpu["resources"] == {"CPU": 4, "memory": 8 * 2**30}
    assert (gpu["min_workers"], gpu["max_workers"]) == (0, 8)
    assert (cpu["min_workers"], cpu["max_workers"]) == (0, 4)
    assert config["idle_timeout_minutes"] == 2


def started_for(**demand: float) -> dict[str, int]:
    """Nodes that Ray's autoscaler starts on the empty cluster of `aws`, by their group."""
    config = _derive_autoscaling_config_from_ray_cr(find("aws", "RayCluster", "srgan"))
    types = {
        name: NodeTypeConfig(
            name=name,
            min_worker_nodes=one["min_workers"],
            max_worker_nodes=one["max_workers"],
            resources=one["resources"],
        )
        for name, one in config["available_node_types"].items()
        if name != config["head_node_type"]
    }
    request = ResourceRequestByCount(request=ResourceRequest(resources_bundle=demand), count=1)
    asked = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=types,
        max_num_nodes=config["max_workers"],
        resource_requests=[request],
    )
    reply = ResourceDemandScheduler().schedule(asked)
    assert not reply.infeasible_resource_requests
    return {each.instance_type: each.count for each in reply.to_launch}


def test_work_for_cpus_starts_no_node_with_a_gpu() -> None:
    work = Photos(source="s3://b/raw", dataset="d", config=DataConfig(scale=4, crop_size=128))
    preparation = need_of(work, nodes=[])
    assert started_for(**preparation.bundle) == {"cpu": 1}
    assert started_for(CPU=1) == {"cpu": 1}
    assert started_for(CPU=1, GPU=1) == {"gpu": 1}


def test_flows_ask_for_gpus_where_ray_starts_them_on_demand() -> None:
    for overlay, wanted in (("aws", "required"), ("one-node", "auto")):
        for owner in ("Job/srgan-deploy", "Deployment/srgan-worker"):
            assert environment(overlay, pod(overlay, owner).container)["SRGAN_GPU"] == wanted


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_token_reaches_containers_that_kuberay_adds(overlay: str) -> None:
    cluster = find(overlay, "RayCluster", "srgan")["spec"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "srgan-ray"}
    worker = environment(overlay, pod(overlay, "Deployment/srgan-worker").container)
    assert worker["RAY_AUTH_TOKEN"] == "secret srgan-ray/auth_token"
    assert worker["RAY_AUTH_MODE"] == "token"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ray_is_the_version_of_the_image(overlay: str) -> None:
    (version,) = re.findall(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert find(overlay, "RayCluster", "srgan")["spec"]["rayVersion"] == version
