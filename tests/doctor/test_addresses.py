"""Addresses at which nothing answers are told apart, within seconds."""

import socket
import time
from collections.abc import Iterator

import pytest

from srgan.doctor import addresses
from srgan.doctor.addresses import reach
from tests.support.ports import free_ports


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose queue of connections is full, so that packets to it are dropped."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for each in waiting:
            each.close()


def test_a_service_that_listens_is_shown_by_its_address_without_its_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        seen = reach(f"http://me:secret@127.0.0.1:{port}/api", "PREFECT_API_URL")
    assert (seen.outcome, seen.text) == ("ok", f"http://127.0.0.1:{port}/api")


def test_a_refused_connection_names_the_place_and_the_variable() -> None:
    (port,) = free_ports(1)
    seen = reach(f"http://127.0.0.1:{port}", "AWS_ENDPOINT_URL")
    assert (seen.outcome, seen.text) == ("failed", f"nothing listens at 127.0.0.1:{port}")
    assert "AWS_ENDPOINT_URL" in seen.remedy


def test_a_black_holed_address_is_named_within_seconds(
    black_hole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "_LIMIT_S", 0.5)
    began = time.monotonic()
    seen = reach(f"http://127.0.0.1:{black_hole}", "RAY_ADDRESS")
    assert time.monotonic() - began < 5
    assert (seen.outcome, seen.text.partition(" within")[0]) == (
        "failed",
        f"127.0.0.1:{black_hole} does not answer",
    )
    assert "firewall" in seen.remedy


def test_a_name_that_leads_nowhere_is_named() -> None:
    seen = reach("http://no-such-host.invalid:5000", "MLFLOW_TRACKING_URI")
    assert (seen.outcome, seen.text) == ("failed", "the name no-such-host.invalid leads nowhere")


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "http://", "http://host:port"])
def test_what_is_not_an_http_address_is_quoted(address: str) -> None:
    seen = reach(address, "RAY_ADDRESS")
    assert (seen.outcome, seen.text) == (
        "failed",
        f"RAY_ADDRESS is {address!r}, which is not an HTTP address",
    )


@pytest.mark.parametrize("place", ["host:port", "[::1", "/api"])
def test_an_address_that_is_none_is_quoted_without_its_password(place: str) -> None:
    seen = reach(f"http://me:secret@{place}", "PREFECT_API_URL")
    assert (seen.outcome, seen.text) == (
        "failed",
        f"PREFECT_API_URL is 'http://{place}', which is not an HTTP address",
    )


def test_behind_a_proxy_it_is_the_proxy_that_must_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        seen = reach("http://mlflow.invalid:5000", "MLFLOW_TRACKING_URI")
        assert (seen.outcome, seen.text) == ("ok", "the proxy of http://mlflow.invalid:5000")
        monkeypatch.setenv("no_proxy", "mlflow.invalid")
        assert reach("http://mlflow.invalid:5000", "MLFLOW_TRACKING_URI").outcome == "failed"
