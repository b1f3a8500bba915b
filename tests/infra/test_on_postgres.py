"""Prefect's server and MLflow on PostgreSQL, as infra/ has them: turns of runs, and the pipeline.

`make test-slow GROUP=image`. The server is Debian's, the other services are the local stack.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from srgan.recipes import tiny
from srgan.stack import Stack, environment
from srgan.stack.state import StackState
from tests.support.checkout import ROOT
from tests.support.flow_runs import Run
from tests.support.manifests import services
from tests.support.photos import dead_leaves
from tests.support.postgres import run_postgres, why_no_postgres
from tests.support.running_stack import RunningStack
from tests.support.training import kill, processes_with
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow(group="image"), pytest.mark.timeout(1800)]

NUM_PHOTOS = 40
PASSWORD = "of the tests"
LEASE_S = 300
"""How long a turn stays taken whose run cannot give it back; Prefect's default."""
DEPLOY = f"""
from tests.support.held_flow import hold
flow = hold.from_source({str(ROOT)!r}, "tests/support/held_flow.py:hold")
flow.deploy("hold", work_pool_name="srgan", concurrency_limit=1)
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[int]:
    if reason := why_no_postgres():
        pytest.skip(reason)
    with run_postgres(PASSWORD) as port:
        yield port


@pytest.fixture(scope="module")
def servers(postgres: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Prefect's server and worker, without the deployments of this project."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    whole = environment.service_environment

    def on_postgres(state: StackState) -> dict[str, str]:
        return {**whole(state), **addresses(postgres)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "service_environment", on_postgres)
        try:
            for service in ("prefect", "worker"):  # one by one: PostgreSQL's first start is longer
                stack.up((service,))
            yield RunningStack(stack)
        finally:
            stack.down()


@pytest.fixture(scope="module")
def stack(servers: RunningStack) -> RunningStack:
    """All services, with the flows deployed."""
    servers.stack.up()
    servers.stack.deploy()
    return servers


@pytest.fixture(scope="module")
def held(servers: RunningStack) -> str:
    """A deployment that allows one run at a time."""
    servers.python(DEPLOY)
    return str(servers.prefect("GET", "/deployments/name/hold/hold")["id"])


def addresses(port: int) -> dict[str, str]:
    """Variables of the services, with compose.yaml's addresses but for the place of the server."""
    prefect = services()["prefect"]["environment"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    (mlflow,) = (
        word.partition("=")[2]
        for word in services()["mlflow"]["command"]
        if word.startswith("--backend-store-uri=")
    )
    there, here = "@postgres:5432/", f"@127.0.0.1:{port}/"
    assert there in prefect
    assert there in mlflow
    return {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": prefect.replace(there, here),
        "SRGAN_MLFLOW_DATABASE": mlflow.replace(there, here),
        "PGPASSWORD": PASSWORD,
    }


def start(stack: RunningStack, deployment: str, folder: Path) -> str:
    """Start a run that ends when the folder has a file ``end``; its id."""
    folder.mkdir(exist_ok=True)
    body = {"parameters": {"folder": str(folder)}, "state": {"type": "SCHEDULED"}}
    made = stack.prefect("POST", f"/deployments/{deployment}/create_flow_run", body)
    return str(made["id"])


def newest_state(stack: RunningStack, run: str) -> dict[str, str]:
    found: dict[str, str] = stack.prefect("GET", f"/flow_runs/{run}")["state"]
    return found


def state(stack: RunningStack, run: str) -> str:
    return newest_state(stack, run)["name"]


def begun(folder: Path, run: str) -> bool:
    """Whether the run has got as far as its own code."""
    return (folder / run).exists()


def hold_the_turn(stack: RunningStack, deployment: str, folder: Path) -> tuple[str, str]:
    """Start a run, and when it has begun another one, which then waits; their ids."""
    first = start(stack, deployment, folder / "first")
    wait_until(lambda: begun(folder / "first", first), "the first run begins", 120)
    second = start(stack, deployment, folder / "second")
    wait_until(
        lambda: state(stack, second) == "AwaitingConcurrencySlot", "the second one waits", 120
    )
    return first, second


def finish(stack: RunningStack, folder: Path, run: str) -> None:
    """Let a run end well."""
    (folder / "end").touch()
    wait_until(lambda: state(stack, run) == "Completed", "the run ends", 120)


def test_the_second_run_of_a_deployment_waits_until_the_first_one_has_ended(
    servers: RunningStack, held: str, tmp_path: Path
) -> None:
    first, second = hold_the_turn(servers, held, tmp_path)
    refused = newest_state(servers, second)["id"]
    wait_until(lambda: newest_state(servers, second)["id"] != refused, "it asks again", 120)
    assert state(servers, second) == "AwaitingConcurrencySlot"
    assert not begun(tmp_path / "second", second)
    finish(servers, tmp_path / "first", first)
    wait_until(lambda: begun(tmp_path / "second", second), "the second run begins", 120)
    finish(servers, tmp_path / "second", second)


def test_a_killed_run_gives_its_turn_to_the_next_one(
    servers: RunningStack, held: str, tmp_path: Path
) -> None:
    first, second = hold_the_turn(servers, held, tmp_path)
    kill([int((tmp_path / "first" / first).read_text())])
    wait_until(lambda: begun(tmp_path / "second", second), "the second run begins", 120)
    assert state(servers, first) == "Crashed"
    finish(servers, tmp_path / "second", second)


def test_the_turn_of_a_run_is_free_when_its_lease_is_over_though_server_and_worker_were_killed_too(
    servers: RunningStack, held: str, tmp_path: Path
) -> None:
    first, second = hold_the_turn(servers, held, tmp_path)
    kill(processes_with(servers, b"prefect"))  # nobody can report the end of the run
    wait_until(lambda: begun(tmp_path / "second", second), "the second run begins", LEASE_S + 120)
    assert state(servers, first) == "Running"
    finish(servers, tmp_path / "second", second)


def test_photos_become_a_champion_and_the_champion_makes_large_photos(
    stack: RunningStack, postgres: int
) -> None:
    for seed in range(NUM_PHOTOS):
        stack.store.put(f"raw/mine/{seed:02d}.png", dead_leaves(seed))
    for seed in range(3):
        stack.store.put(f"small/{seed}.png", dead_leaves(100 + seed, 40, 50))
    recipe = tiny().model_dump(mode="json")
    about = {"dataset": "mine", "model": "mine-x4", "recipe": recipe}
    retraining = Run(stack, "retrain/retrain", {"source": "s3://srgan/raw/mine", **about})
    assert retraining.wait(900) == "COMPLETED", retraining.logs
    paths = {"source": "s3://srgan/small", "destination": "s3://srgan/large"}
    bulk = Run(stack, "upscale/upscale", {**paths, "model": "mine-x4"})
    assert bulk.wait() == "COMPLETED", bulk.logs
    made = {info.key for info in stack.store.list("large/") if "/_srgan/" not in info.key}
    assert made == {f"large/{seed}.png" for seed in range(3)}
    listed = json.loads(stack.run("srgan", "models", "list", "--json").stdout)
    assert [each["champion"] for each in listed["models"]] == [1]
    assert count(postgres, "prefect", "SELECT count(*) FROM flow_run") > 2
    assert count(postgres, "mlflow", "SELECT count(*) FROM model_versions") == 1
    assert not list(stack.stack.home.rglob("*.db")), "a server wrote its own database"


def count(port: int, name: str, query: LiteralString) -> int:
    """The one number that a query of a database finds."""
    address = f"postgresql://{name}@127.0.0.1:{port}/{name}"
    with psycopg.connect(address, password=PASSWORD) as connection:
        found = connection.execute(query).fetchone()
    assert found is not None
    return int(found[0])
