"""prefect.yaml fits the flows that it deploys."""

from importlib import import_module
from typing import Any

import pytest

from flows.support.growth import GROWN
from tests.support.checkout import DEPLOYMENTS


def flow_of(deployment: dict[str, Any]) -> Any:
    path, _, name = deployment["entrypoint"].partition(":")
    return getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_is_called_as_its_flow_and_says_what_it_does(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    assert flow_of(deployment).name == name
    assert deployment["description"].endswith(".")
    assert deployment["tags"]
    assert deployment["work_pool"]["name"] == "srgan"


@pytest.mark.parametrize("name", sorted(set(DEPLOYMENTS) - {"revive"}))
def test_the_default_parameters_of_a_deployment_start_its_flow(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    flow_of(deployment).validate_parameters(deployment["parameters"])
    assert deployment["concurrency_limit"] >= 1


def test_the_schedule_of_retrain_is_there_and_paused() -> None:
    (schedule,) = DEPLOYMENTS["retrain"]["schedules"]
    assert schedule["active"] is False


def test_revive_is_started_by_events_but_never_by_its_own_runs() -> None:
    (trigger,) = DEPLOYMENTS["revive"]["triggers"]
    assert trigger["match_related"]["prefect.resource.name"] == "!revive"


def test_new_photos_of_its_dataset_start_retrain_where_somebody_has_enabled_that() -> None:
    deployment = DEPLOYMENTS["retrain"]
    (trigger,) = deployment["triggers"]
    assert trigger["enabled"] is False
    assert trigger["match"] == {
        "prefect.resource.id": f"srgan.dataset.{deployment['parameters']['dataset']}"
    }
    assert trigger["expect"] == [GROWN]
    with_triggers = [name for name, one in DEPLOYMENTS.items() if "triggers" in one]
    assert with_triggers == ["retrain", "revive"]
