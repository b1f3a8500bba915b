"""Pages are found by a forwarded port, by an ingress, and by the services' names."""

from urllib.parse import urlsplit

import pytest

from tests.support.manifests import OVERLAYS, command, environment, pod, services
from tests.support.mlflow_code import is_allowed_host_header, should_block_cors_request

INSIDE = ["mlflow:5000", "mlflow.srgan.svc:5000", "mlflow.srgan.svc.cluster.local:5000"]
FORWARDED = ["localhost:5000", "127.0.0.1:15000"]


def split(text: str) -> list[str]:
    return [each.strip() for each in text.split(",")]


def of_cluster(overlay: str) -> tuple[list[str], list[str], str]:
    """Hosts and origins that MLflow answers, and its public address."""
    mlflow = pod(overlay, "Deployment/mlflow").container
    variables = environment(overlay, mlflow)
    (origins,) = (
        word.partition("=")[2]
        for word in command(overlay, mlflow)
        if word.startswith("--cors-allowed-origins=")
    )
    hosts = variables["MLFLOW_SERVER_ALLOWED_HOSTS"]
    return split(hosts), split(origins), variables["SRGAN_MLFLOW_PUBLIC_URL"]


def of_compose() -> tuple[list[str], list[str], str]:
    """Hosts and origins that MLflow answers, and its public address."""
    options = dict(word.partition("=")[::2] for word in services()["mlflow"]["command"])
    public = services()["worker"]["environment"]["SRGAN_MLFLOW_PUBLIC_URL"]
    return split(options["--allowed-hosts"]), split(options["--cors-allowed-origins"]), public


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_mlflow_answers_for_its_names_a_forwarded_port_and_its_public_address(overlay: str) -> None:
    hosts, origins, public = of_cluster(overlay)
    for host in [*INSIDE, *FORWARDED, urlsplit(public).netloc]:
        assert is_allowed_host_header(hosts, host), host
    for host in ["evil.example", "mlflow.evil.example:5000", "10.1.2.3:5000"]:
        assert not is_allowed_host_header(hosts, host), host
    assert not should_block_cors_request(public, "POST", origins)
    assert should_block_cors_request("https://evil.example", "POST", origins)


def test_mlflow_answers_in_compose_for_its_name_and_the_published_port() -> None:
    hosts, origins, public = of_compose()
    for host in ["mlflow:5000", *FORWARDED, urlsplit(public).netloc]:
        assert is_allowed_host_header(hosts, host), host
    assert not is_allowed_host_header(hosts, "evil.example")
    assert not should_block_cors_request(public, "POST", origins)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_browser_asks_prefects_public_address(overlay: str) -> None:
    server = environment(overlay, pod(overlay, "Deployment/prefect").container)
    public = server["SRGAN_PREFECT_PUBLIC_URL"]
    assert server["PREFECT_SERVER_UI_API_URL"] == f"{public}/api"
    assert "PREFECT_API_URL" not in server
    worker = environment(overlay, pod(overlay, "Deployment/srgan-worker").container)
    assert server["PREFECT_UI_URL"] == worker["PREFECT_UI_URL"] == public


@pytest.mark.parametrize("place", [*OVERLAYS, "compose"])
def test_only_prefects_own_pages_may_ask_its_api_in_a_browser(place: str) -> None:
    if place == "compose":
        server = services()["prefect"]["environment"]
    else:
        server = environment(place, pod(place, "Deployment/prefect").container)
    origins = split(server["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"])
    assert {server["PREFECT_UI_URL"], "http://localhost:4200"} <= set(origins)
    assert all(urlsplit(each).netloc and "*" not in each for each in origins)


def test_the_browser_asks_the_port_that_compose_publishes() -> None:
    server = services()["prefect"]["environment"]
    assert server["PREFECT_SERVER_UI_API_URL"] == "http://127.0.0.1:4200/api"
    assert services()["prefect"]["ports"] == ["127.0.0.1:4200:4200"]
