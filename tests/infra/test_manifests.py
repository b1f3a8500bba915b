"""The overlays fit Kubernetes and KubeRay, and start what they say."""

import re
from typing import Any, Literal

import kubernetes_validate
import pytest
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from sqlalchemy import make_url

from srgan.keys import mlflow_folder
from tests.support.checkout import ROOT
from tests.support.manifests import (
    OVERLAYS,
    WITH_TEAM,
    WORKLOADS,
    Pod,
    command,
    environment,
    find,
    number,
    pod,
    pods,
    rendered,
)

VERSION = "1.34"
"""Kubernetes' schemas that the manifests are checked against."""

ALL_PODS = [
    pytest.param(overlay, one, id=f"{overlay}: {one.owner}")
    for overlay in WITH_TEAM
    for one in pods(overlay)
]
PAGE = " ".join((ROOT / "docs" / "deploying.md").read_text().split())


class Known(BaseModel):
    """A part of a RayCluster; fields that KubeRay 1.6 does not have are refused."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class AuthOptions(Known):
    mode: Literal["disabled", "token"]
    secret_name: str


class AutoscalerOptions(Known):
    version: Literal["v1", "v2"]
    idle_timeout_seconds: int
    resources: dict[str, Any]
    security_context: dict[str, Any]


class Head(Known):
    ray_start_params: dict[str, str]
    template: dict[str, Any]


class Group(Head):
    group_name: str
    replicas: int
    min_replicas: int
    max_replicas: int


class RayCluster(Known):
    """Fields of ours in the specification of a RayCluster, from KubeRay's reference."""

    ray_version: str
    auth_options: AuthOptions
    enable_in_tree_autoscaling: bool
    autoscaler_options: AutoscalerOptions | None = None
    head_group_spec: Head
    worker_group_specs: list[Group]


@pytest.mark.parametrize("overlay", WITH_TEAM)
def test_every_object_fits_its_schema(overlay: str) -> None:
    for one in rendered(overlay):
        if one["kind"] == "RayCluster":
            RayCluster.model_validate(one["spec"])
        else:
            kubernetes_validate.validate(one, VERSION, strict=True)


@pytest.mark.parametrize(("overlay", "one"), ALL_PODS)
def test_every_pod_fits_its_schema(overlay: str, one: Pod) -> None:
    metadata = {"name": "checked", "labels": one.labels}
    checked = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": one.spec}
    kubernetes_validate.validate(checked, VERSION, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    wrong = find("aws", "Service", "mlflow") | {"specification": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


@pytest.mark.parametrize("overlay", WITH_TEAM)
def test_what_an_object_names_is_there(overlay: str) -> None:
    names = {(one["kind"], one["metadata"]["name"]) for one in rendered(overlay)}
    for one in pods(overlay):
        assert ("ServiceAccount", one.spec["serviceAccountName"]) in names, one.owner
        mounted = {each["name"] for each in one.container.get("volumeMounts", [])}
        for volume in one.spec.get("volumes", []):
            assert volume["name"] in mounted, f"{one.owner} does not use {volume['name']}"
            if claim := volume.get("persistentVolumeClaim"):
                assert ("PersistentVolumeClaim", claim["claimName"]) in names
            if config := volume.get("configMap"):
                assert ("ConfigMap", config["name"]) in names


@pytest.mark.parametrize(("overlay", "one"), ALL_PODS)
def test_images_come_from_a_private_registry_too(overlay: str, one: Pod) -> None:
    account = find(overlay, "ServiceAccount", one.spec["serviceAccountName"])
    (secret,) = account["imagePullSecrets"]
    assert f"create secret docker-registry {secret['name']} " in PAGE


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_services_and_budgets_find_their_pods(overlay: str) -> None:
    assert {"Service", "PodDisruptionBudget"} <= {one["kind"] for one in rendered(overlay)}
    for one in rendered(overlay):
        if one["kind"] == "Service":
            wanted = one["spec"]["selector"]
            (target,) = (each for each in pods(overlay) if wanted.items() <= each.labels.items())
            ports = {port["name"] for port in target.container["ports"]}
            assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports
        if one["kind"] == "PodDisruptionBudget":
            wanted = one["spec"]["selector"]["matchLabels"]
            assert any(wanted.items() <= each.labels.items() for each in pods(overlay))
            # A RayCluster has no scale, without which `maxUnavailable` never lets a pod go.
            assert "maxUnavailable" not in one["spec"]


@pytest.mark.parametrize(("overlay", "one"), ALL_PODS)
def test_images_come_from_a_registry_in_a_stated_version(overlay: str, one: Pod) -> None:
    registry, _, image = one.container["image"].partition("/")
    assert "." in registry, f"{one.container['image']} has no registry"
    assert re.search(r":(?!latest)[\w.-]+$|@sha256:[0-9a-f]{64}$", image), image


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_flows_and_nodes_run_one_release(overlay: str) -> None:
    images = {
        one.container["image"].rpartition(":")[2]
        for one in pods(overlay)
        if "/srgan" in one.container["image"]
    }
    assert len(images) == 1, images


@pytest.mark.parametrize(("overlay", "one"), ALL_PODS)
def test_a_pod_has_no_more_rights_than_the_restricted_standard_allows(
    overlay: str, one: Pod
) -> None:
    whole, own = one.spec["securityContext"], one.container["securityContext"]
    assert whole["runAsNonRoot"]
    assert whole["runAsUser"] > 0
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    if not one.owner.endswith("/head"):  # Ray's autoscaler starts pods
        assert one.spec["automountServiceAccountToken"] is False


@pytest.mark.parametrize(("overlay", "one"), ALL_PODS)
def test_a_service_of_the_namespace_adds_no_variables(overlay: str, one: Pod) -> None:
    # `mlflow server` would read MLFLOW_PORT=tcp://10.0.0.7:5000, which is the service's.
    assert one.spec["enableServiceLinks"] is False


@pytest.mark.parametrize(("overlay", "one"), ALL_PODS)
def test_a_pod_says_what_it_needs_and_how_it_is_seen_to_work(overlay: str, one: Pod) -> None:
    resources = one.container["resources"]
    assert {"cpu", "memory"} <= resources["requests"].keys()
    assert number(resources["limits"]["memory"]) >= number(resources["requests"]["memory"])
    if one.owner.split("/")[0] in ("Deployment", "StatefulSet"):  # KubeRay adds those of Ray
        probes = {"startupProbe", "livenessProbe"}
        assert probes <= one.container.keys()
        for probe in probes:
            if "httpGet" in one.container[probe]:
                ports = {each["name"] for each in one.container["ports"]}
                assert one.container[probe]["httpGet"]["port"] in ports


@pytest.mark.parametrize("overlay", WITH_TEAM)
def test_prefects_server_may_be_away_for_an_hour_before_a_worker_and_its_flows_end(
    overlay: str,
) -> None:
    workers = [one for one in pods(overlay) if one.owner.startswith("Deployment/srgan-worker")]
    assert len(workers) == 1 + ("team" in overlay)
    for one in workers:
        probe = one.container["livenessProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 3600
    assert "an hour" in PAGE


def test_the_page_says_what_one_node_has_to_have() -> None:
    requests, limits = (
        {
            name: sum(
                number(one.container["resources"][kind].get(name, "0"))
                for one in pods("one-node")
                if not one.owner.startswith("Job/")
            )
            for name in ("cpu", "memory")
        }
        for kind in ("requests", "limits")
    )
    assert f"{requests['cpu']:g} CPUs and {requests['memory'] / 2**30:g} GiB" in PAGE
    assert f"limits add up to {limits['memory'] / 2**30:g} GiB" in PAGE
    claims = [one["spec"] for one in rendered("one-node") if one["kind"] == "PersistentVolumeClaim"]
    for one in rendered("one-node"):
        claims += (
            [each["spec"] for each in one["spec"].get("volumeClaimTemplates", [])]
            if (one["kind"] == "StatefulSet")
            else []
        )
    total = sum(number(one["resources"]["requests"]["storage"]) for one in claims)
    assert f"{total / 2**30:g} GiB of volumes" in PAGE


def test_the_page_says_what_a_cluster_costs_without_work() -> None:
    always = [
        one.container["resources"]["requests"]
        for one in pods("aws")
        if one.owner.startswith("Deployment/") or one.owner.endswith("/head")
    ]
    always.append(
        find("aws", "RayCluster", "srgan")["spec"]["autoscalerOptions"]["resources"]["requests"]
    )
    cpus, memory = (sum(number(each[name]) for each in always) for name in ("cpu", "memory"))
    assert f"{cpus:g} CPUs and {memory / 2**30:g} GiB" in PAGE


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_mlflow_keeps_artifacts_in_the_bucket_of_the_settings(overlay: str) -> None:
    mlflow = pod(overlay, "Deployment/mlflow").container
    bucket = environment(overlay, mlflow)["SRGAN_BUCKET"]
    wanted = f"--artifacts-destination=s3://{bucket}/{mlflow_folder()}"
    assert wanted in command(overlay, mlflow)


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(
    ("owner", "variable"),
    [
        ("Deployment/mlflow", "MLFLOW_BACKEND_STORE_URI"),
        ("Deployment/prefect", "PREFECT_SERVER_DATABASE_CONNECTION_URL"),
    ],
)
def test_the_drivers_of_the_databases_are_installed(
    overlay: str, owner: str, variable: str
) -> None:
    variables = environment(overlay, pod(overlay, owner).container)
    address = make_url(variables[variable])
    assert address.get_dialect().import_dbapi()
    assert address.password is None, "it comes from PGPASSWORD"
    assert variables["PGPASSWORD"] == f"secret srgan-databases/{address.username}"


def test_the_first_roll_out_finds_a_pool_and_the_next_one_can_register_again() -> None:
    worker = command("aws", pod("aws", "Deployment/srgan-worker").container)
    assert worker[worker.index("--pool") + 1] == "srgan"
    job = find("aws", "Job", "srgan-deploy")["spec"]
    assert job["backoffLimit"] >= 10, "the worker makes the pool some time after its start"
    assert job["ttlSecondsAfterFinished"] <= 3600, "a finished job cannot be changed"


def test_every_kind_of_pod_is_checked_here() -> None:
    kinds = {one.owner.split("/")[0] for overlay in OVERLAYS for one in pods(overlay)}
    assert kinds == {*WORKLOADS, "RayCluster"}
