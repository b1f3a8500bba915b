"""Each pod has the secrets that it needs and reaches the pods that it needs, and no others."""

from itertools import product
from typing import Any

import pytest

from tests.support.manifests import (
    OVERLAYS,
    SECRETS,
    WITH_TEAM,
    Pod,
    compose,
    environment,
    find,
    pods,
    rendered,
    services,
)

S3 = {"srgan-s3/AWS_ACCESS_KEY_ID", "srgan-s3/AWS_SECRET_ACCESS_KEY"}

NEEDS = {
    "Deployment/prefect": {"srgan-databases/prefect", "srgan-prefect/auth"},
    "Deployment/mlflow": {"srgan-databases/mlflow"} | S3,
    "Deployment/srgan-worker": {"srgan-prefect/auth", "srgan-ray/auth_token"} | S3,
    "Job/srgan-deploy": {"srgan-prefect/auth"},
    "Job/srgan-bucket": S3,
    "StatefulSet/s3": S3,
    "StatefulSet/postgres": {f"srgan-databases/{key}" for key in SECRETS["srgan-databases"]},
    "RayCluster/srgan/head": S3,
    "RayCluster/srgan/cpu": S3,
    "RayCluster/srgan/gpu": S3,
}
"""Secrets of each pod where S3 has keys. KubeRay adds Ray's token to the last three."""

PORTS = {
    "Deployment/prefect": 4200,
    "Deployment/mlflow": 5000,
    "StatefulSet/s3": 8333,
    "StatefulSet/postgres": 5432,
    "RayCluster/srgan/head": 8265,
}
"""Ports that others reach."""

WORKER, DEPLOY = "Deployment/srgan-worker", "Job/srgan-deploy"
OF_TEAM = "-anna"
"""End of the names of a second team's pods, which need and reach what those of the first do."""
RAY = {"RayCluster/srgan/head", "RayCluster/srgan/cpu", "RayCluster/srgan/gpu"}
REACH = {
    "Deployment/prefect": {WORKER, DEPLOY},
    "Deployment/mlflow": {WORKER, *RAY},
    "StatefulSet/s3": {WORKER, "Deployment/mlflow", "Job/srgan-bucket", *RAY},
    "StatefulSet/postgres": {"Deployment/prefect", "Deployment/mlflow"},
    "RayCluster/srgan/head": {WORKER, *RAY},
}
"""Components that reach each of them."""


def secrets_of(overlay: str, one: Pod) -> set[str]:
    values = environment(overlay, one.container).values()
    return {value.removeprefix("secret ") for value in values if value.startswith("secret ")}


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector of Kubernetes, of the kinds that we use, selects a pod."""
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for each in selector.get("matchExpressions", []):
        assert each["operator"] == "In"
        if labels.get(each["key"]) not in each["values"]:
            return False
    return True


def reaches(overlay: str, source: Pod, target: Pod, port: int) -> bool:
    """Whether the network policies let one pod open a connection to another."""
    policies = [one["spec"] for one in rendered(overlay) if one["kind"] == "NetworkPolicy"]
    sending = [
        policy
        for policy in policies
        if "Egress" in policy["policyTypes"] and selects(policy["podSelector"], source.labels)
    ]
    if sending:
        assert not any(policy["egress"] for policy in sending), "only none at all is understood"
        return False
    return any(
        {"port": port} in rule.get("ports", [{"port": port}])
        and any(selects(each["podSelector"], source.labels) for each in rule["from"])
        for policy in policies
        if "Ingress" in policy["policyTypes"] and selects(policy["podSelector"], target.labels)
        for rule in policy.get("ingress", [])
    )


@pytest.mark.parametrize("overlay", WITH_TEAM)
def test_a_pod_has_only_the_secrets_that_it_needs(overlay: str) -> None:
    keys = not overlay.startswith("aws")  # there a role stands for keys
    for one in pods(overlay):
        needs = NEEDS[one.owner.removesuffix(OF_TEAM)]
        wanted = needs if keys else needs - S3
        assert secrets_of(overlay, one) == wanted, one.owner


@pytest.mark.parametrize("overlay", ["aws", "aws + team"])
def test_on_aws_those_that_use_s3_have_a_role(overlay: str) -> None:
    for one in pods(overlay):
        account = find(overlay, "ServiceAccount", one.spec["serviceAccountName"])
        has_role = "eks.amazonaws.com/role-arn" in account["metadata"].get("annotations", {})
        owner = one.owner.removesuffix(OF_TEAM)
        # The deploying job shares the worker's account.
        assert has_role == bool(NEEDS[owner] & S3) or owner == DEPLOY


@pytest.mark.parametrize("overlay", WITH_TEAM)
def test_a_pod_reaches_only_the_pods_that_it_needs(overlay: str) -> None:
    for source, target in product(pods(overlay), pods(overlay)):
        if target.owner in PORTS and source.owner != target.owner:
            found = reaches(overlay, source, target, PORTS[target.owner])
            wanted = source.owner.removesuffix(OF_TEAM) in REACH[target.owner]
            assert found == wanted, f"{source.owner} → {target.owner}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_nodes_of_ray_reach_each_other_on_every_port(overlay: str) -> None:
    nodes = [one for one in pods(overlay) if one.ray_start is not None]
    for source, target in product(nodes, nodes):
        assert reaches(overlay, source, target, 31_234)
    prefect = next(one for one in pods(overlay) if one.owner == "Deployment/prefect")
    assert not reaches(overlay, nodes[1], prefect, 4200)


COMPOSE_NEEDS = {
    "s3": {"aws_access_key_id", "aws_secret_access_key"},
    "bucket": {"aws_access_key_id", "aws_secret_access_key"},
    "postgres": {"postgres_password", "prefect_database_password", "mlflow_database_password"},
    "prefect": {"prefect_database_password"},
    "mlflow": {"mlflow_database_password", "aws_access_key_id", "aws_secret_access_key"},
    "ray": {"ray_auth_token", "aws_access_key_id", "aws_secret_access_key"},
    "ray-node": {"ray_auth_token", "aws_access_key_id", "aws_secret_access_key"},
    "ray-gpu": {"ray_auth_token", "aws_access_key_id", "aws_secret_access_key"},
    "worker": {"ray_auth_token", "aws_access_key_id", "aws_secret_access_key"},
    "deploy": set(),
    "prometheus": set(),
    "grafana": set(),
}


def test_only_those_that_use_a_database_reach_it() -> None:
    reached = {name for name, one in services().items() if "databases" in one.get("networks", [])}
    assert reached == {"postgres", "prefect", "mlflow"}
    assert services()["postgres"]["networks"] == ["databases"]
    assert compose()["networks"]["databases"] == {"internal": True}


def test_a_service_of_compose_has_only_the_secrets_that_it_needs() -> None:
    for name, service in services().items():
        values = [str(value) for value in service.get("environment", {}).values()]
        found = {value for value in values if value.startswith("example-")}
        assert {value.removeprefix("example-") for value in found} == COMPOSE_NEEDS[name], name
        assert not any("example-" in word for word in service.get("command", [])), name
