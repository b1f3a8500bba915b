"""The compose file fits its schema, and starts a host from nothing."""

import re
from copy import deepcopy
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from sqlalchemy import make_url

from srgan.keys import mlflow_folder
from tests.support.checkout import ROOT
from tests.support.manifests import (
    COMPOSE,
    OVERLAYS,
    compose,
    environment,
    example_env,
    optional_env,
    pod,
    services,
)

OURS = {"s3", "prefect", "mlflow", "ray", "ray-node", "ray-gpu", "worker", "deploy", "bucket"}
ONE_SHOT = {"deploy", "bucket"}


def bytes_of(size: str) -> int:
    """Bytes of a size of compose: ``2gb``, ``8g``."""
    match = re.fullmatch(r"(\d+)gb?", size)
    assert match, size
    return int(match[1]) * 2**30


def option(name: str, service: str) -> str:
    """The value of an option in a service's command."""
    (value,) = (
        word.partition("=")[2]
        for word in services()[service]["command"]
        if word.startswith(f"{name}=")
    )
    return value


def limits(service: str) -> dict[str, Any]:
    """CPUs and memory that a service's container may use."""
    return services()[service]["deploy"]["resources"]["limits"]


def test_the_file_fits_the_specification_of_compose() -> None:
    PyCompose.from_yaml(yaml.safe_dump(compose()))
    wrong = deepcopy(compose())
    wrong["services"]["s3"]["healthchek"] = {}
    with pytest.raises(ValueError, match="healthchek"):
        PyCompose.from_yaml(yaml.safe_dump(wrong))


def test_the_page_says_what_a_docker_host_has_to_have() -> None:
    page = " ".join((ROOT / "docs" / "deploying.md").read_text().split())
    total = sum(bytes_of(limits(name)["memory"]) for name in ("ray", "ray-node", "worker"))
    assert f"limits of {total / 2**30:g} GiB" in page


def test_every_variable_comes_from_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    assert used == example_env().keys() | optional_env()


def test_what_keeps_running_is_seen_to_work() -> None:
    lasting = services().keys() - ONE_SHOT
    assert lasting
    for name in lasting:
        assert services()[name]["healthcheck"]["test"][0] == "CMD", name
        assert services()[name]["restart"] == "unless-stopped", name


def test_what_ends_is_tried_again_only_if_it_fails() -> None:
    for name in ONE_SHOT:
        assert services()[name]["restart"] == "on-failure"


def test_a_service_waits_for_those_that_it_needs() -> None:
    found = [
        (name, *need)
        for name, service in services().items()
        for need in service.get("depends_on", {}).items()
    ]
    assert found
    for name, needed, waits in found:
        one_shot = needed in ONE_SHOT
        wanted = "service_completed_successfully" if one_shot else "service_healthy"
        assert waits == {"condition": wanted}, f"{name} needs {needed}"


def test_the_deployments_are_registered_when_the_worker_has_made_its_pool() -> None:
    deploy = services()["deploy"]
    assert deploy["command"] == ["srgan", "deploy"]
    assert deploy["depends_on"].keys() == {"worker"}


def test_ports_are_open_on_loopback_only() -> None:
    found = [(name, port) for name, each in services().items() for port in each.get("ports", [])]
    assert found
    for name, port in found:
        assert port.startswith("127.0.0.1:"), name


def test_flows_and_nodes_run_one_image() -> None:
    images = {name: services()[name]["image"] for name in OURS}
    assert images.pop("ray-gpu") == "srgan-cuda"
    assert set(images.values()) == {"srgan"}
    builds = [services()[name]["build"]["dockerfile"] for name in OURS]
    assert set(builds) == {"infra/docker/Dockerfile"}


@pytest.mark.parametrize("node", ["ray", "ray-node", "ray-gpu"])
def test_ray_keeps_its_object_store_in_memory(node: str) -> None:
    store = int(option("--object-store-memory", node))
    assert store < bytes_of(services()[node]["shm_size"])


@pytest.mark.parametrize("node", ["ray-node", "ray-gpu"])
def test_ray_counts_the_cpus_that_its_container_has(node: str) -> None:
    assert limits(node)["cpus"] == option("--num-cpus", node)


def test_drivers_leave_ray_two_gigabytes_of_the_head() -> None:
    assert int(option("--memory", "ray")) == bytes_of(limits("ray")["memory"]) - 2 * 2**30
    assert option("--num-cpus", "ray") == "0"


def test_gpus_are_for_those_who_ask_for_them() -> None:
    with_profiles = {name for name, one in services().items() if "profiles" in one}
    assert with_profiles == {"ray-gpu", "prometheus", "grafana"}
    assert services()["ray-gpu"]["profiles"] == ["gpu"]
    (device,) = services()["ray-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_mlflow_keeps_artifacts_in_the_bucket_of_the_settings() -> None:
    bucket = services()["worker"]["environment"]["SRGAN_BUCKET"]
    assert option("--artifacts-destination", "mlflow") == f"s3://{bucket}/{mlflow_folder()}"


def test_the_drivers_of_the_databases_are_installed() -> None:
    addresses = [
        option("--backend-store-uri", "mlflow"),
        services()["prefect"]["environment"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"],
    ]
    for address in map(make_url, addresses):
        assert address.get_dialect().import_dbapi()
        assert address.password is None, "it comes from PGPASSWORD"
        assert address.host == "postgres"


def test_prefects_server_has_time_to_reach_a_busy_database() -> None:
    containers = [pod(overlay, "Deployment/prefect").container for overlay in OVERLAYS]
    found = [
        services()["prefect"]["environment"],
        *(environment(overlay, one) for overlay, one in zip(OVERLAYS, containers, strict=True)),
    ]
    for variables in found:
        # After the default of 5 s the server answers 500, and all clients ask again.
        assert float(variables["PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT"]) >= 60
        assert float(variables["PREFECT_SERVER_DATABASE_TIMEOUT"]) >= 60
