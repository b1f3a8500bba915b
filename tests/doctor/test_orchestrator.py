"""Prefect's checks on a real server, with a project of one flow."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.events.actions import DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.settings import PREFECT_API_URL, temporary_settings

from srgan.doctor.checks import Check
from srgan.doctor.orchestrator import orchestrator_checks, parameters_of
from srgan.errors import StackError
from srgan.settings import Settings
from tests.support.checkout import DEPLOYMENTS, ROOT
from tests.support.findings import look, outcomes
from tests.support.passwords import password_wanted
from tests.support.ports import free_ports

pytestmark = pytest.mark.usefixtures("prefect_api")

POOL, NAME, REVIVE = "doctor-pool", "doctor-probe", "doctor-revive"
ENTRYPOINT = "flows/probe.py:probe"
ENTER = "flows.support.deploying.enter_checkout"
PROJECT = f"""
pull:
  - {ENTER}: {{}}
deployments:
  - name: {NAME}
    entrypoint: {ENTRYPOINT}
    work_pool: {{name: {POOL}}}
    triggers:
      - {{name: {REVIVE}, enabled: true}}
      - {{name: optional, enabled: false}}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "probe.py").write_text("def probe(source: str, *, force=False): ...\n")
    (tmp_path / "prefect.yaml").write_text(PROJECT)
    return tmp_path


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    """A client; what a test makes is gone after it, because the server is shared."""
    with get_client(sync_client=True) as client:
        yield client
        for each in client.read_deployments():
            if each.name == NAME:
                client.delete_deployment(each.id)
        for automation in client.read_automations_by_name(REVIVE):
            client.delete_automation(automation.id)
        if any(pool.name == POOL for pool in client.read_work_pools()):
            client.delete_work_pool(POOL)


def settings() -> Settings:
    return Settings(PREFECT_API_URL=PREFECT_API_URL.value())


def checks(checkout: Path, on: Settings | None = None) -> list[Check]:
    return orchestrator_checks(on or settings(), checkout, lambda: checkout / "prefect.yaml")


def make_pool(client: SyncPrefectClient, *, worker: bool = True) -> None:
    client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    if worker:
        client.send_worker_heartbeat(POOL, "a-worker", heartbeat_interval_seconds=30)


def deploy(
    client: SyncPrefectClient,
    *,
    step: str = ENTER,
    entrypoint: str = ENTRYPOINT,
    parameters: tuple[str, ...] = ("source", "force"),
) -> None:
    client.create_deployment(
        flow_id=client.create_flow_from_name(NAME),
        name=NAME,
        entrypoint=entrypoint,
        work_pool_name=POOL,
        pull_steps=[{step: {}}],
        parameter_openapi_schema={
            "type": "object",
            "properties": {each: {"title": each} for each in parameters},
        },
    )


def automate(client: SyncPrefectClient, *, enabled: bool = True) -> None:
    trigger = EventTrigger(
        expect={"prefect.flow-run.Crashed"}, posture=Posture.Reactive, threshold=1
    )
    client.create_automation(
        AutomationCore(name=REVIVE, trigger=trigger, actions=[DoNothing()], enabled=enabled)
    )


def test_a_server_with_this_checkouts_flows_passes(
    client: SyncPrefectClient, checkout: Path
) -> None:
    make_pool(client)
    deploy(client)
    automate(client)
    found = look(checks(checkout))
    assert set(outcomes(found).values()) == {"ok"}, found
    assert found[f"worker of {POOL}"].seen == "a-worker online"


def test_a_missing_pool_a_paused_one_and_one_without_a_live_worker_are_named(
    client: SyncPrefectClient, checkout: Path
) -> None:
    found = look(checks(checkout))
    assert found[f"pool {POOL}"].seen == f"the server has no work pool {POOL}"
    assert f"prefect work-pool create {POOL}" in found[f"pool {POOL}"].remedy
    assert found[f"worker of {POOL}"].outcome == "not checked"
    make_pool(client, worker=False)
    found = look(checks(checkout))
    assert found[f"worker of {POOL}"].outcome == "failed"
    assert found[f"worker of {POOL}"].seen == (f"no worker of {POOL} is online, so no run starts")
    assert f"prefect worker start --pool {POOL}" in found[f"worker of {POOL}"].remedy
    client.update_work_pool(POOL, WorkPoolUpdate(is_paused=True))
    found = look(checks(checkout))
    assert (found[f"pool {POOL}"].outcome, found[f"pool {POOL}"].seen) == (
        "failed",
        f"{POOL} is paused",
    )


def test_deployments_of_another_checkout_are_named(
    client: SyncPrefectClient, checkout: Path
) -> None:
    make_pool(client)

    def deployments() -> str:
        found = look(checks(checkout))["deployments"]
        assert found.outcome == "failed"
        assert "srgan deploy" in found.remedy
        return found.seen

    assert deployments() == f"{NAME} is not registered"
    deploy(client, entrypoint="flows/older.py:probe")
    assert deployments() == f"{NAME} starts flows/older.py:probe, not {ENTRYPOINT}"
    deploy(client, step="older.enter")
    assert deployments() == (f"{NAME} gets its flows by enter(), not by enter_checkout()")
    deploy(client, parameters=("source",))
    assert deployments() == f"{NAME} was registered from other code (parameters force)"


def test_automations_that_are_missing_or_off_are_named(
    client: SyncPrefectClient, checkout: Path
) -> None:
    found = look(checks(checkout))["automations"]
    assert (found.outcome, found.seen) == ("failed", f"missing: {REVIVE}")
    automate(client, enabled=False)
    found = look(checks(checkout))["automations"]
    assert (found.outcome, found.seen.partition(";")[0]) == ("warning", f"switched off: {REVIVE}")


def test_an_unreachable_server_is_named_and_nothing_else_is_asked(checkout: Path) -> None:
    (port,) = free_ports(1)
    away = Settings(PREFECT_API_URL=f"http://127.0.0.1:{port}/api")
    found = look(checks(checkout, away))
    assert found["address"].seen == f"nothing listens at 127.0.0.1:{port}"
    assert {each.outcome for name, each in found.items() if name != "address"} == {"not checked"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("deployments: [", "cannot be read: "),
        ("", "is not a project of Prefect with deployments"),
        ("deployments: [{name: retrain}]", "is not a project of Prefect with deployments"),
        (None, "cannot be read: "),
    ],
)
def test_a_damaged_or_missing_prefect_yaml_is_a_finding_beside_the_servers(
    checkout: Path, text: str | None, problem: str
) -> None:
    file = checkout / "prefect.yaml"
    file.unlink() if text is None else file.write_text(text)
    found = look(checks(checkout))
    assert outcomes(found) == {"address": "ok", "server": "ok", "prefect.yaml": "failed"}
    assert found["prefect.yaml"].seen.startswith(f"{file} {problem}")
    assert "install srgan again" in found["prefect.yaml"].remedy


def test_an_installation_without_prefect_yaml_is_a_finding() -> None:
    def find() -> Path:
        raise StackError("there is no prefect.yaml in /opt: install srgan again")

    away = Settings(PREFECT_API_URL="http://127.0.0.1:9/api")
    found = look(orchestrator_checks(away, ROOT, find))
    assert found["prefect.yaml"].seen.startswith("there is no prefect.yaml in /opt")


def test_a_wrong_password_is_named_and_not_the_address(checkout: Path) -> None:
    with password_wanted() as address, temporary_settings({PREFECT_API_URL: address}):
        found = look(checks(checkout, Settings(PREFECT_API_URL=address)))
    assert (found["address"].outcome, found["server"].outcome) == ("ok", "failed")
    assert found["server"].seen == "the server refuses the password (401 Unauthorized)"
    assert found["server"].remedy.startswith("Set PREFECT_API_AUTH_STRING to the user:password")
    assert found["deployments"].outcome == "not checked"


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_parameters_of_a_flow_are_read_from_its_source(name: str) -> None:
    entrypoint = DEPLOYMENTS[name]["entrypoint"]
    path, _, function = entrypoint.partition(":")
    flow = getattr(import_module(path.removesuffix(".py").replace("/", ".")), function)
    assert parameters_of(ROOT, entrypoint) == inspect.signature(flow.fn).parameters.keys()
