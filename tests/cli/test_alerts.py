"""`srgan alerts`: what it prints; tests/services/test_prefect_alerts.py has the server."""

from pathlib import Path

import pytest

from srgan.services import prefect_alerts
from srgan.services.prefect_alerts import Applied, AppliedAlerts
from tests.support.commands import srgan


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
