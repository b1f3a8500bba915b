"""Deployments of several teams on one real Prefect server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL

from srgan.errors import ConfigError, OrchestratorError
from srgan.services import deployments
from srgan.services.deployments import read_project, register
from srgan.services.prefect_setup import read_automations, read_deployments
from srgan.settings import Settings
from tests.support.checkout import PROJECT, ROOT
from tests.support.passwords import password_wanted

ANNA, BEN, ALONE = (Settings(team=team) for team in ("anna", "ben", ""))

SHORT = """
name: short
pull:
  - flows.support.deploying.enter_checkout: {}
deployments:
  - name: revive
    entrypoint: flows/revive.py:revive
    work_pool: {name: short}
    triggers:
      - type: event
        name: short-revive
        enabled: true
        match: {"prefect.resource.id": "prefect.flow-run.*"}
        match_related:
          - {"prefect.resource.role": deployment, "prefect.resource.name": "!revive"}
          - {"prefect.resource.role": work-pool, "prefect.resource.name": short}
        expect: [prefect.flow-run.Crashed]
        posture: Reactive
        threshold: 1
        parameters: {flow_run_id: "{{ flow_run.id | string }}"}
"""


def test_without_a_team_the_project_is_what_the_file_says() -> None:
    assert read_project(ROOT / "prefect.yaml", ALONE) == PROJECT


def test_deployments_pools_and_automations_of_a_team_begin_with_it() -> None:
    project = read_project(ROOT / "prefect.yaml", ANNA)
    plain, named = PROJECT["deployments"], project["deployments"]
    assert [one["name"] for one in named] == [f"anna~{one['name']}" for one in plain]
    assert {one["work_pool"]["name"] for one in named} == {"anna~srgan"}
    triggers = {one["name"]: one for each in named for one in each.get("triggers", [])}
    assert set(triggers) == {
        "anna~srgan-watch", "anna~srgan-retrain-when-grown", "anna~srgan-revive"
    }  # fmt: skip
    grown = triggers["anna~srgan-retrain-when-grown"]
    assert grown["match"] == {"prefect.resource.id": "srgan.dataset.anna~demo"}
    related = triggers["anna~srgan-revive"]["match_related"]
    assert [one["prefect.resource.name"] for one in related] == ["!anna~revive", "anna~srgan"]


def test_a_trigger_that_matches_everything_is_named_too(tmp_path: Path) -> None:
    file = tmp_path / "prefect.yaml"
    trigger = "{name: any, type: event}"
    file.write_text(f"deployments: [{{name: d, work_pool: {{name: p}}, triggers: [{trigger}]}}]")
    (deployment,) = read_project(file, ANNA)["deployments"]
    assert deployment["triggers"] == [{"name": "anna~any", "type": "event"}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("deployments: [", "cannot be read"),
        ("deployments: [{name: retrain, work_pool: srgan}]", "is not a project of Prefect"),
        ("[]", "is not a project of Prefect"),
    ],
)
def test_a_damaged_file_is_named(text: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"prefect\.yaml {problem}"):
        read_project(file, ALONE)


def test_a_wrong_password_is_named_when_flows_are_registered(tmp_path: Path) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text(SHORT)
    with password_wanted() as address:
        environment = {**os.environ, "PREFECT_API_URL": address, "PREFECT_HOME": str(tmp_path)}
        with pytest.raises(OrchestratorError, match="Set PREFECT_API_AUTH_STRING"):
            register(read_project(file, ALONE), ROOT, environment)


def test_a_registration_that_does_not_end_is_given_up_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "prefect"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(deployments, "_LIMIT_S", 0.2)
    with pytest.raises(OrchestratorError, match="`prefect deploy --all` has not ended after 0 s"):
        register({}, tmp_path)


def test_a_password_is_hidden_before_the_output_of_a_failed_command_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://me:pass-word@prefect:4200/api")
    output = "http://me:pass-word@prefect " + "x" * (
        deployments._SHOWN_CHARS - len("word@prefect ")
    )
    answer = subprocess.CompletedProcess([], 1, stdout=output)
    monkeypatch.setattr(deployments.subprocess, "run", lambda *_, **__: answer)
    with pytest.raises(OrchestratorError) as caught:
        register({"deployments": []}, ROOT)
    assert "***@prefect" in str(caught.value)
    assert "word" not in str(caught.value)


@pytest.mark.usefixtures("prefect_api")
def test_two_teams_register_the_same_flows_beside_each_other(tmp_path: Path) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text(SHORT)
    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    with pytest.raises(OrchestratorError, match=r"work pool\s+'anna~short'"):
        register(read_project(file, ANNA), ROOT, environment)
    for team in (ANNA, BEN):
        with get_client(sync_client=True) as client:
            client.create_work_pool(WorkPoolCreate(name=team.shared("short"), type="process"))
        register(read_project(file, team), ROOT, environment)
    found = {each.name: each.pool for each in read_deployments() if "short" in each.pool}
    assert found == {"anna~revive": "anna~short", "ben~revive": "ben~short"}
    assert {"anna~short-revive", "ben~short-revive"} <= read_automations().keys()
