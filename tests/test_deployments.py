"""prefect.yaml fits the flows that it deploys."""

import inspect
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.utilities.importtools import import_object
from prefect.utilities.templating import apply_values

from flows.prepare import GROWN
from srgan.recipes import tiny
from tests.support.checkout import DEPLOYMENTS, PROJECT, ROOT, defaults_of, flow_of


def run_step(kind: str) -> tuple[str, dict[str, str]]:
    """Run the one step of a kind in prefect.yaml; its id, if it has one, and what it returns."""
    (step,) = PROJECT[kind]
    ((name, given),) = step.items()
    return given.get("id", ""), import_object(name)()


def test_no_message_names_a_deployment_without_its_team() -> None:
    """`Settings.run_command` writes such commands; others would name another team's deployment."""
    sources = [path for folder in ("srgan", "flows") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    found = [path.name for path in sources if "deployment run" in path.read_text("utf-8")]
    assert found == ["settings.py"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_is_called_as_its_flow_and_says_what_it_does(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    assert flow_of(deployment).name == ("upscale" if name == "watch" else name)
    assert deployment["description"].endswith(".")
    assert deployment["tags"]
    assert deployment["work_pool"]["name"] == "srgan"


@pytest.mark.parametrize("name", sorted(set(DEPLOYMENTS) - {"revive"}))
def test_the_default_parameters_of_a_deployment_start_its_flow(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    flow_of(deployment).validate_parameters(defaults_of(deployment))
    assert deployment["concurrency_limit"] >= 1


@pytest.mark.parametrize(
    ("deployment", "given", "name"),
    [
        ("prepare", {}, "prepare demo"),
        ("prepare-eval", {}, "prepare-eval eval"),
        ("prepare-pairs", {}, "prepare-pairs pairs"),
        ("train-recipe", {}, "train-recipe demo on demo"),
        ("train-recipe", {"recipe": "a typing error"}, "train-recipe a typing error on demo"),
        ("train-recipe", {"recipe": tiny()}, "train-recipe tiny on demo"),
        ("evaluate-model", {}, "evaluate srgan-demo"),
        ("promote", {}, "promote srgan-demo"),
        ("promote", {"version": 3}, "promote srgan-demo/3"),
        ("study", {"name": "spring"}, "study spring of srgan-demo"),
        ("upscale", {"source": "s3://pets/{small}"}, "upscale s3://pets/{small}"),
        ("retrain", {}, "retrain srgan-demo"),
        ("revive", {"flow_run_id": "0c2d"}, "revive 0c2d"),
    ],
)
def test_a_run_of_a_deployment_is_named_by_what_it_does(
    deployment: str, given: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_of(DEPLOYMENTS[deployment])
    signature = inspect.signature(flow.fn).parameters
    defaults = {each: parameter.default for each, parameter in signature.items()}
    parameters = defaults | defaults_of(DEPLOYMENTS[deployment]) | given
    if isinstance(flow.flow_run_name, str):
        assert flow.flow_run_name.format(**parameters) == name
    else:
        # Prefect calls it within the flow run.
        running = SimpleNamespace(parameters=parameters)
        monkeypatch.setattr(import_module(flow.fn.__module__), "flow_run", running)
        assert flow.flow_run_name() == name


@pytest.mark.parametrize(
    ("set_to", "bucket"),
    [
        ({}, "srgan"),
        ({"SRGAN_BUCKET": "pets"}, "pets"),
        ({"SRGAN_BUCKET": "pets", "SRGAN_TEAM": "anna"}, "pets/teams/anna"),
    ],
)
def test_default_parameters_name_the_bucket_of_the_shell_that_deploys(
    set_to: dict[str, str], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SRGAN_BUCKET", "SRGAN_GPU"):
        monkeypatch.delenv(name, raising=False)
    for name, value in set_to.items():
        monkeypatch.setenv(name, value)
    outputs = dict([run_step("build")])
    assert apply_values(DEPLOYMENTS["watch"]["parameters"], outputs) == {
        "source": f"s3://{bucket}/small/demo",
        "destination": f"s3://{bucket}/upscaled/demo",
        "model": "srgan-demo",
        "config": {"only_new": True, "gpu": "auto"},
    }
    for name, one in DEPLOYMENTS.items():
        assert "{{" not in str(apply_values(one.get("parameters", {}), outputs)), name


def test_deployments_that_can_use_gpus_ask_for_them_as_the_shell_that_deploys_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SRGAN_GPU", "required")
    found = {name: defaults_of(one) for name, one in DEPLOYMENTS.items()}
    asking = {name for name, one in found.items() if (one | one.get("config", {})).get("gpu")}
    taking = {name for name, one in DEPLOYMENTS.items() if takes_gpu(flow_of(one))}
    assert asking == taking
    assert {(one | one.get("config", {})).get("gpu") for one in found.values()} == {
        None,
        "required",
    }


def takes_gpu(flow: Any) -> bool:
    """Whether a flow has the parameter, or a field of it in its `config`."""
    signature = inspect.signature(flow.fn).parameters
    return "gpu" in signature or "gpu" in getattr(
        signature["config"].annotation if "config" in signature else None, "model_fields", {}
    )


def test_a_run_begins_in_the_folder_of_the_flows_wherever_its_worker_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, outputs = run_step("pull")
    assert Path(outputs["directory"]) == Path.cwd() == ROOT
    assert str(ROOT) not in (ROOT / "prefect.yaml").read_text()


def test_no_variable_of_a_shell_is_written_into_a_deployment() -> None:
    assert "{{ $" not in (ROOT / "prefect.yaml").read_text()


def test_schedules_are_there_and_paused_and_keep_their_name() -> None:
    with_schedules = [name for name, one in DEPLOYMENTS.items() if "schedules" in one]
    assert with_schedules == ["watch", "retrain"]
    for name in with_schedules:
        (schedule,) = DEPLOYMENTS[name]["schedules"]
        assert schedule["active"] is False, name
        assert schedule["slug"], name


def test_revive_is_started_by_events_but_never_by_its_own_runs() -> None:
    (trigger,) = DEPLOYMENTS["revive"]["triggers"]
    by_role = {one["prefect.resource.role"]: one for one in trigger["match_related"]}
    assert by_role["deployment"]["prefect.resource.name"] == "!revive"
    pool = DEPLOYMENTS["revive"]["work_pool"]["name"]
    assert by_role["work-pool"]["prefect.resource.name"] == pool


def test_new_photos_of_its_dataset_start_retrain_where_somebody_has_enabled_that() -> None:
    deployment = DEPLOYMENTS["retrain"]
    (trigger,) = deployment["triggers"]
    assert trigger["enabled"] is False
    assert trigger["match"] == {
        "prefect.resource.id": f"srgan.dataset.{deployment['parameters']['dataset']}"
    }
    assert trigger["expect"] == [GROWN]
    with_triggers = [name for name, one in DEPLOYMENTS.items() if "triggers" in one]
    assert with_triggers == ["watch", "retrain", "revive"]


def test_new_photos_below_its_source_start_watch_where_somebody_has_enabled_that() -> None:
    deployment = DEPLOYMENTS["watch"]
    (trigger,) = deployment["triggers"]
    assert trigger["enabled"] is False
    assert trigger["match"] == {"prefect.resource.id": f"{deployment['parameters']['source']}/*"}
    assert trigger["schedule_after"] >= trigger["within"], "a run covers the events before it"
    assert deployment["concurrency_limit"] == 1, "two runs would do the same photos"
