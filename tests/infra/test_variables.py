"""Every variable in infra/ is one that something reads."""

import re

import mlflow.environment_variables
import pytest
from prefect.settings import Settings as PrefectSettings
from prefect.settings.legacy import _get_settings_fields

from srgan.settings import Settings
from tests.support.manifests import DOCKERFILE, OVERLAYS, environment, pods, services

OWN = {
    "DO_NOT_TRACK": "Prefect and others",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "Grafana",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "Grafana",
    "GF_ANALYTICS_REPORTING_ENABLED": "Grafana",
    "GF_AUTH_ANONYMOUS_ENABLED": "Grafana",
    "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "Grafana",
    "HOME": "everything",
    "MLFLOW_BACKEND_STORE_URI": "`mlflow server`",
    "MLFLOW_DATABASE_PASSWORD": "databases.sh",
    "PGDATA": "PostgreSQL",
    "PGPASSWORD": "drivers of PostgreSQL",
    "PIP_DISABLE_PIP_VERSION_CHECK": "pip",
    "POSTGRES_PASSWORD": "PostgreSQL's image",
    "PREFECT_DATABASE_PASSWORD": "databases.sh",
    "PYTHONUNBUFFERED": "Python",
    "RAY_AUTH_MODE": "Ray",
    "RAY_AUTH_TOKEN": "Ray",
    "RAY_JOB_START_TIMEOUT_SECONDS": "Ray",
    "RAY_USAGE_STATS_ENABLED": "Ray",
}
"""Variables of a service itself, and which one reads them."""

LEFT_OUT = {
    "AWS_REQUEST_CHECKSUM_CALCULATION": "the default suits AWS and SeaweedFS",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "the default suits AWS and SeaweedFS",
    "AWS_SESSION_TOKEN": "roles of service accounts bring it",
    "SRGAN_CACHE_BYTES": "the default is a fifth of a node's cache",
    "SRGAN_CLUSTER_WAIT_S": "the default is more than the autoscaler's idle timeout",
    "SRGAN_LOG_LEVEL": "the default suits",
    "SRGAN_STALL_S": "the default suits",
    "SRGAN_TEAM": "docs/deploying.md says where several teams set it",
}
"""Settings that infra/ does not set, and why."""


def of_settings() -> set[str]:
    """Variables that `Settings` reads."""
    return {
        str(field.validation_alias or f"SRGAN_{name.upper()}")
        for name, field in Settings.model_fields.items()
    }


def of_mlflow() -> set[str]:
    """Variables that MLflow declares."""
    declared = vars(mlflow.environment_variables).values()
    return {each.name for each in declared if hasattr(each, "name") and hasattr(each, "get")}


def of_prefect() -> set[str]:
    """Variables that Prefect's settings have."""
    return set(_get_settings_fields(PrefectSettings))


def in_use() -> dict[str, str]:
    """Every variable that infra/ sets, and where."""
    found = {
        name: f"{overlay}: {one.owner}"
        for overlay in OVERLAYS
        for one in pods(overlay)
        for name in environment(overlay, one.container)
    }
    for service, one in services().items():
        found |= dict.fromkeys(one.get("environment", {}), f"compose: {service}")
    (block, *more) = re.findall(r"^ENV (.*?[^\\])$", DOCKERFILE.read_text(), re.M | re.S)
    for each in [block, *more]:
        found |= dict.fromkeys(re.findall(r"(\w+)=", each), "Dockerfile")
    return found


def test_every_variable_is_known_to_what_reads_it() -> None:
    known = of_settings() | of_mlflow() | of_prefect() | OWN.keys()
    unknown = {name: where for name, where in in_use().items() if name not in known}
    assert not unknown, f"nothing reads {unknown}"


def test_every_setting_is_set_or_left_out_for_a_reason() -> None:
    assert of_settings() == (in_use().keys() & of_settings()) | LEFT_OUT.keys()


def test_the_services_own_variables_are_used() -> None:
    assert OWN.keys() <= in_use().keys()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_rays_nodes_do_not_see_what_would_mislead_them(overlay: str) -> None:
    for one in pods(overlay):
        if one.ray_start is not None:
            variables = environment(overlay, one.container)
            assert not {"RAY_ADDRESS", "PREFECT_API_URL"} & variables.keys(), one.owner
    for name in ("ray", "ray-node", "ray-gpu"):
        assert not {"RAY_ADDRESS", "PREFECT_API_URL"} & services()[name]["environment"].keys()
