"""Commands that set services up and check them."""

import json
from pathlib import Path

import pytest

from srgan import doctor as room
from srgan.doctor import Diagnosis
from srgan.doctor.checks import Check, failed
from srgan.services import prefect_alerts
from srgan.services.prefect_alerts import Applied, AppliedAlerts
from srgan.stack import environment
from tests.support.commands import srgan
from tests.support.ports import free_ports


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")


def test_it_says_what_became_of_each_alert_and_that_nothing_sends_messages(
    server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied = (Applied("srgan-silent-run", "as it was"), Applied("srgan-failure", "left out"))
    files: list[Path] = []

    def apply(file: Path) -> AppliedAlerts:
        files.append(file)
        return AppliedAlerts(applied, sends=False)

    monkeypatch.setattr(prefect_alerts, "apply_alerts", apply)
    done = srgan("alerts")
    assert srgan("alerts", "mine.yaml").returncode == done.returncode == 0
    assert files == [prefect_alerts.ALERTS, Path("mine.yaml")]
    assert done.stdout == "as it was  srgan-silent-run\nleft out   srgan-failure\n"
    assert "Prefect has no block named srgan-alerts" in done.stderr


def test_without_an_address_of_prefect_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Prefect itself would start a server for it, which ends with the command.
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    done = srgan("alerts", str(tmp_path / "alerts.yaml"))
    assert done.returncode == 2
    assert "PREFECT_API_URL is not set" in done.stderr


PARTS = ["S3", "MLflow", "Prefect", "Ray", "this machine"]


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A port where nothing listens, to which all variables lead."""
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    for name in ("AWS_ENDPOINT_URL", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", "RAY_ADDRESS"):
        monkeypatch.setenv(name, address)
    return port


def test_services_that_do_not_answer_are_named_with_what_to_do(port: int, tmp_path: Path) -> None:
    done = srgan("doctor", home=tmp_path)
    assert done.returncode == 1
    assert done.stdout.count(f"address: nothing listens at 127.0.0.1:{port}") == 4
    for variable in ("AWS_ENDPOINT_URL", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", "RAY_ADDRESS"):
        assert f"→ Start the service (`srgan stack up` here), or correct {variable}" in done.stdout
    assert "not checked  list: needs address" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line in PARTS] == PARTS
    assert lines[-1].startswith("4 of ")


def test_the_same_in_json(port: int, tmp_path: Path) -> None:
    done = srgan("doctor", "--json", home=tmp_path)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["failed"] == 4
    assert found["checks"][0] == {
        "part": "S3",
        "check": "address",
        "outcome": "failed",
        "seen": f"nothing listens at 127.0.0.1:{port}",
        "remedy": "Start the service (`srgan stack up` here), or correct AWS_ENDPOINT_URL",
    }


@pytest.mark.parametrize("text", ["deployments: [", None])
def test_a_damaged_or_missing_prefect_yaml_is_one_finding_of_all(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.setattr(environment, "CHECKOUT", tmp_path)
    if text:
        (tmp_path / "prefect.yaml").write_text(text)
    done = srgan("doctor", "--json", home=tmp_path)
    assert done.returncode == 1
    found = {f"{each['part']}: {each['check']}": each for each in json.loads(done.stdout)["checks"]}
    assert str(tmp_path) in found["Prefect: prefect.yaml"]["seen"]
    assert {"S3: address", "Prefect: address", "Ray: address"} <= found.keys()
    assert "this machine: torch" in found


def test_a_password_that_a_library_quotes_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "http://me:pass-word@127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)

    def quote(_: object) -> list[Check]:
        return [Check("server", lambda: failed(f"no answer from {address}", "Look"), "")]

    for part in ("bucket", "orchestrator", "cluster", "machine"):
        monkeypatch.setattr(room, f"{part}_checks", lambda *_: [])
    monkeypatch.setattr(room, "registry_checks", quote)
    done = srgan("doctor")
    assert "server: no answer from http://me:***@127.0.0.1:9" in done.stdout


def test_warnings_and_what_is_not_checked_do_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [
        Diagnosis("S3", "clock", "warning", "slow", "wait"),
        Diagnosis("Prefect", "deployments", "not checked", "no prefect.yaml", ""),
    ]
    monkeypatch.setattr(room, "examine", lambda *_: iter(findings))
    done = srgan("doctor")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "0 of 2 checks failed"
