"""`srgan trace` and `srgan gc`: JSON, and a shell where services are missing or wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from srgan.cli import app
from srgan.promotion.cleanup import Plan, Waste
from srgan.report.chain import Link
from srgan.services.prefect_runs import Running
from srgan.versions.services import Services
from tests.support.commands import srgan

AWAY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def services_are_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names an MLflow that does not answer, and no Prefect."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", AWAY)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


def test_trace_of_what_is_no_address_says_what_one_is() -> None:
    done = srgan("trace", "photo.png/")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: 'photo.png/' is not a model's address; expected NAME, models:/"
    )
    assert "s3://" in done.stderr


def test_gc_without_prefect_deletes_nothing_and_says_what_is_missing() -> None:
    done = srgan("gc", "--delete")
    assert done.returncode == 2
    assert "PREFECT_API_URL is not set" in done.stderr


def test_gc_refuses_where_prefect_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    # Imported here: most tests do without, and it costs seconds.
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("PREFECT_API_URL", f"{AWAY}/api")
    with temporary_settings({PREFECT_API_URL: f"{AWAY}/api"}):  # it reads the environment once
        done = srgan("gc")
    assert done.returncode == 1
    assert "error: Prefect's server does not say which flows are running" in done.stderr
    assert "nothing was deleted" in done.stderr


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[object, str]]:
    """`answer("gc", …)`: the JSON that the command prints, and what it says on stderr."""

    def run(*arguments: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as done:
            app([*arguments, "--json"])
        said = capsys.readouterr()
        assert done.value.code in (0, None), said.err
        return json.loads(said.out), said.err

    return run


def test_a_trace_in_json_is_the_chain_and_the_photos_and_nothing_else(
    answer: Callable[..., tuple[object, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Link("model", "models:/a/1", {"recipe": "demo"}, (Link("code", "1a2b"),))

    def find(services: Services, address: str) -> Link:
        services.say("the alias was left behind")
        return chain

    monkeypatch.setattr("srgan.services.mlflow_runs.require_answer", lambda settings: None)
    monkeypatch.setattr("srgan.versions.trace.trace", find)
    monkeypatch.setattr("srgan.versions.trace.source_keys", lambda *_: ["s3://b/raw/1.png"])
    drawing = tmp_path / "chain.svg"
    found, said = answer("trace", "models:/a/1", "--sources", "--svg", str(drawing))
    assert found == {
        "chain": {
            "kind": "model",
            "title": "models:/a/1",
            "facts": {"recipe": "demo"},
            "origins": [{"kind": "code", "title": "1a2b", "facts": {}, "origins": []}],
        },
        "photos": ["s3://b/raw/1.png"],
    }
    assert "the alias was left behind" in said
    assert str(drawing) in said
    assert answer("trace", "models:/a/1")[0]["photos"] is None  # type: ignore[index]


def test_a_clean_up_in_json_lists_what_goes_and_what_stays(
    answer: Callable[..., tuple[object, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    waste = Waste("run", "pretrain-1", "no version needs it", ("runs/pretrain-1/a",), 5000)
    plan = Plan((), (waste,), {"models:/a/1": "champion"}, ("MLflow is away",))
    monkeypatch.setenv("PREFECT_API_URL", AWAY)
    monkeypatch.setattr("srgan.services.prefect_runs.running_flow_runs", list)
    monkeypatch.setattr("srgan.versions.delete.plan", lambda *_, **__: plan)
    assert answer("gc")[0] == {
        "deleted": False,
        "total_bytes": 5000,
        "kept": {"models:/a/1": "champion"},
        "unread": ["MLflow is away"],
        "things": [
            {
                "kind": "run",
                "name": "pretrain-1",
                "size_bytes": 5000,
                "num_objects": 1,
                "why": "no version needs it",
            }
        ],
    }
    deleted: list[object] = []
    begun = Running("retrain", "1", "brave-fox", {})
    looks = iter([[], [begun]])  # it has begun while the plan was made
    monkeypatch.setattr("srgan.services.prefect_runs.running_flow_runs", lambda: next(looks))

    def delete(services: Services, found: Plan, running: list[Running]) -> None:
        deleted.extend((found, running))
        services.say("deleted run pretrain-1")

    monkeypatch.setattr("srgan.versions.delete.delete", delete)
    found, said = answer("gc", "--delete")
    assert found["deleted"]  # type: ignore[index]
    assert deleted == [plan, [begun]]
    assert said == "deleted run pretrain-1\n"
