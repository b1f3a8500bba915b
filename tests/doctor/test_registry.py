"""MLflow's checks on a real server."""

import pytest

from srgan.doctor.registry import registry_checks
from srgan.settings import Settings
from tests.support.findings import look, outcomes
from tests.support.ports import free_ports

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")


def test_a_server_that_works_passes(mlflow_settings: Settings) -> None:
    found = look(registry_checks(mlflow_settings))
    assert outcomes(found) == dict.fromkeys(("address", "server", "artifacts"), "ok"), found


def test_an_unreachable_server_is_named_and_nothing_else_is_asked() -> None:
    (port,) = free_ports(1)
    settings = Settings(MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
    found = look(registry_checks(settings))
    assert found["address"].seen == f"nothing listens at 127.0.0.1:{port}"
    assert "MLFLOW_TRACKING_URI" in found["address"].remedy
    assert (found["server"].outcome, found["artifacts"].outcome) == ("not checked", "not checked")


def test_a_wrong_path_is_named(mlflow_settings: Settings) -> None:
    address = mlflow_settings.require("mlflow_tracking_uri") + "/elsewhere"
    found = look(registry_checks(Settings(MLFLOW_TRACKING_URI=address)))
    assert found["address"].outcome == "ok"
    assert found["server"].outcome == "failed"
    assert "404" in found["server"].seen
    assert "the root of MLflow's server" in found["server"].remedy


def test_a_database_in_place_of_a_server_is_shown_without_its_password() -> None:
    settings = Settings(MLFLOW_TRACKING_URI="postgresql://me:secret@127.0.0.1:9/mlflow")
    found = look(registry_checks(settings)[:1])
    assert (found["address"].outcome, found["address"].seen) == (
        "ok",
        "postgresql://127.0.0.1:9/mlflow, which is not a server",
    )


def test_a_missing_variable_is_named() -> None:
    found = look(registry_checks(Settings(MLFLOW_TRACKING_URI=None)))
    assert found["address"].seen.startswith("MLFLOW_TRACKING_URI is not set")
