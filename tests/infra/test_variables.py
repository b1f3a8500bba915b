"""Every variable in infra/ is one that something reads, and set wherever the system runs."""

import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

import mlflow.environment_variables
import pytest
from prefect.settings import Settings as PrefectSettings
from prefect.settings.legacy import _get_settings_fields

from srgan.settings import Settings
from srgan.stack import environment as stack
from srgan.stack.state import create_state
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
    "SRGAN_CACHE_BYTES": "the default fits a node's cache",
    "SRGAN_CLUSTER_WAIT_S": "the default is more than the autoscaler's idle timeout",
    "SRGAN_STALL_S": "the default suits",
}
"""Settings that nobody sets, and why."""

STACK, COMPOSE = "stack", "compose"
HOSTS = {COMPOSE, *OVERLAYS}
PARTLY: dict[str, tuple[set[str], str]] = {
    "AWS_ACCESS_KEY_ID": ({STACK, COMPOSE, "one-node"}, "on AWS a role stands for keys"),
    "AWS_SECRET_ACCESS_KEY": ({STACK, COMPOSE, "one-node"}, "on AWS a role stands for keys"),
    "AWS_ENDPOINT_URL": ({STACK, COMPOSE, "one-node"}, "AWS itself is the default"),
    "MLFLOW_S3_ENDPOINT_URL": ({STACK, COMPOSE, "one-node"}, "AWS itself is the default"),
    "MLFLOW_BACKEND_STORE_URI": (set(OVERLAYS), "elsewhere an option of the command"),
    "MLFLOW_SERVER_ALLOWED_HOSTS": (set(OVERLAYS), "elsewhere an option of the command"),
    "NO_PROXY": ({STACK}, "the shell that starts it may have a proxy"),
    "no_proxy": ({STACK}, "the shell that starts it may have a proxy"),
    "HOME": (HOSTS, "the stack has that of its shell"),
    "PATH": ({STACK}, "the image has its own"),
    "PIP_DISABLE_PIP_VERSION_CHECK": (HOSTS, "for the build of the image"),
    "PGPASSWORD": (HOSTS, "the stack has SQLite"),
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": (HOSTS, "the stack has SQLite"),
    "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": (HOSTS, "the stack has SQLite"),
    "PREFECT_SERVER_DATABASE_TIMEOUT": (HOSTS, "the stack has SQLite"),
    "PREFECT_API_AUTH_STRING": (set(OVERLAYS), "elsewhere on loopback only"),
    "PREFECT_SERVER_API_AUTH_STRING": (set(OVERLAYS), "elsewhere on loopback only"),
    "PREFECT_CLIENT_MAX_RETRIES": (HOSTS, "the stack starts its server again within seconds"),
    "PREFECT_SERVER_UI_API_URL": (HOSTS, "the stack's own address is right on its machine"),
    "PREFECT_SERVER_UI_STATIC_DIRECTORY": (HOSTS, "the image's user cannot write to the default"),
    "PREFECT_UI_URL": (HOSTS, "the stack has it with SRGAN_PREFECT_PUBLIC_URL"),
    "PREFECT_WORKER_QUERY_SECONDS": ({STACK}, "a person waits there"),
    "PREFECT_WORKER_WEBSERVER_HOST": ({STACK, COMPOSE}, "a pod's probe comes from outside"),
    "RAY_AUTH_TOKEN": (HOSTS, "the stack has it in a file"),
    "RAY_AUTH_TOKEN_PATH": ({STACK}, "the token itself is there elsewhere"),
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": ({STACK}, "elsewhere another node may take a job"),
    "SRGAN_ACTOR": (HOSTS, "the stack is one person's"),
    "SRGAN_GPU": (set(OVERLAYS), "elsewhere GPUs do not come on demand"),
    "SRGAN_LOG_FORMAT": (HOSTS, "the stack has that of its shell"),
    "SRGAN_LOG_LEVEL": ({COMPOSE}, "stack: that of its shell; overlays: add it to the config map"),
    "SRGAN_MLFLOW_PUBLIC_URL": (HOSTS, "the stack has that of its shell"),
    "SRGAN_PREFECT_PUBLIC_URL": (HOSTS, "the stack has that of its shell"),
    "SRGAN_TEAM": ({STACK}, "clears the shell's; docs/deploying.md says where teams set it"),
}
"""Variables that only some places set: which ones, and why the others do not."""


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


def places(home: Path) -> dict[str, set[str]]:
    """Variables of our processes in each place: the local stack, compose, and the overlays."""
    of_image = set(of_dockerfile())
    found = {
        COMPOSE: of_image.union(
            *(one.get("environment", {}) for one in services().values() if is_ours(one))
        )
    }
    for overlay in OVERLAYS:
        ours = [one.container for one in pods(overlay) if is_ours(one.container)]
        found[overlay] = of_image.union(*(environment(overlay, one) for one in ours))
    with mock.patch.dict(os.environ, clear=True):
        variables = set(stack.service_environment(create_state(home)))
    # Without those that only its supervisord.conf reads, such as SRGAN_PORT_S3.
    own = {name for name in variables if name.startswith("SRGAN_")} - of_settings()
    return found | {STACK: variables - own}


def is_ours(container: dict[str, Any]) -> bool:
    """Whether a container runs our image."""
    return container["image"].rpartition("/")[2].startswith("srgan")


def of_dockerfile() -> list[str]:
    """Variables that the image sets."""
    (block, *more) = re.findall(r"^ENV (.*?[^\\])$", DOCKERFILE.read_text(), re.M | re.S)
    return [name for each in [block, *more] for name in re.findall(r"(\w+)=", each)]


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
    return found | dict.fromkeys(of_dockerfile(), "Dockerfile")


def test_every_variable_is_known_to_what_reads_it() -> None:
    known = of_settings() | of_mlflow() | of_prefect() | OWN.keys()
    unknown = {name: where for name, where in in_use().items() if name not in known}
    assert not unknown, f"nothing reads {unknown}"


def test_every_variable_is_set_in_every_place_or_not_for_a_reason(tmp_path: Path) -> None:
    found = places(tmp_path)
    everywhere = set.intersection(*found.values())
    partly = {
        name: {place for place, names in found.items() if name in names}
        for name in set.union(*found.values()) - everywhere
    }
    assert partly == {name: where for name, (where, _) in PARTLY.items()}


def test_every_setting_is_set_somewhere_or_left_out_for_a_reason(tmp_path: Path) -> None:
    used = set.union(*places(tmp_path).values())
    assert of_settings() - used == LEFT_OUT.keys()


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
