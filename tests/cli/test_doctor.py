"""`srgan doctor` where nothing answers: every line says what to do, and none is a traceback."""

import json
from pathlib import Path

import pytest

from srgan import doctor as room
from srgan.doctor import Finding
from tests.support.commands import srgan
from tests.support.ports import free_ports

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


def test_warnings_and_what_is_not_checked_do_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [
        Finding("S3", "clock", "warning", "slow", "wait"),
        Finding("Prefect", "deployments", "not checked", "no prefect.yaml", ""),
    ]
    monkeypatch.setattr(room, "examine", lambda *_: iter(findings))
    done = srgan("doctor")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "0 of 2 checks failed"
