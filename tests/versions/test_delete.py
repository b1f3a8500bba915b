"""Deleting old versions, on a real registry and object store."""

import json
import secrets
import time
from dataclasses import replace

import pytest
from mlflow.exceptions import MlflowException

from srgan.errors import OrchestratorError, RegistryError
from srgan.keys import study_end_key
from srgan.promotion.cleanup import Plan
from srgan.promotion.log import PromotionLog
from srgan.refs import ModelRef
from srgan.services import packaging
from srgan.services.mlflow_models import CHAMPION, Registry
from srgan.services.mlflow_runs import mlflow_client
from srgan.services.prefect_runs import Running
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.storage import write_document
from srgan.studies.design import Closed, Method, publish_design
from srgan.versions.delete import delete, plan, refuse_while_busy
from srgan.versions.register import Registrar
from srgan.versions.services import Services
from tests.support.studies import design_by_hand
from tests.support.versions import LITTLE_CODE, lineage, weights

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")

LATER = time.time() + 3600


@pytest.fixture(scope="module")
def versions(mlflow_settings: Settings) -> list[ModelRef]:
    """Four versions of one model; the first is champion and the last challenger."""
    model = f"gc-{secrets.token_hex(4)}"
    registry = Registrar(mlflow_settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packaging, "SERVED_CORE", LITTLE_CODE)
        made = [
            registry.register(model, weights(n), lineage(f"adversarial-{model}-{n}", weights(n)))
            for n in range(1, 5)
        ]
    registry.set_alias(model, CHAMPION, 1)
    return made


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def services(
    s3_settings: Settings, mlflow_settings: Settings, object_store: S3Store, said: list[str]
) -> Services:
    """The empty bucket and the registry that all tests share."""
    address = mlflow_settings.require("mlflow_tracking_uri")
    return Services(s3_settings.model_copy(update={"mlflow_tracking_uri": address}), said.append)


def find(services: Services, model: str, *running: Running) -> Plan:
    """The plan of this model alone."""
    found = plan(services, list(running), keep=1, before=LATER)
    versions = [each for each in found.versions if each.record.name == model]
    return replace(found, versions=versions)


def numbers(found: Plan) -> set[int]:
    return {each.record.version for each in found.versions}


def files(settings: Settings, version: ModelRef) -> list[str]:
    client = mlflow_client(settings)
    run_id = client.search_runs(
        [client.get_experiment_by_name("srgan").experiment_id],
        f"tags.`srgan.key` = '{version.run}'",
    )[0].info.run_id
    return [each.path for each in client.list_artifacts(run_id, "model")]


def test_a_version_that_a_batch_of_a_running_bulk_run_uses_stays(
    services: Services, object_store: S3Store, versions: list[ModelRef]
) -> None:
    model = versions[2].name
    spec: dict[str, object] = {
        "run": "f00-12345678",
        "source": "s3://b/photos",
        "destination": "s3://b/up",
    }
    spec |= {"model": {"name": model, "version": 3, "run": "r"}, "workers": 7}
    object_store.put("runs/upscale-f00-12345678/spec.json", json.dumps(spec).encode())
    by_name = Running("upscale", "f00", "n", {"model": model})
    assert numbers(find(services, model, by_name)) == {2}
    assert numbers(find(services, model)) == {2, 3}


def test_versions_of_a_study_that_is_not_closed_stay(
    services: Services, object_store: S3Store, versions: list[ModelRef]
) -> None:
    by_hand = design_by_hand(methods=("nearest", "original", "shown"))
    shown = Method(name="shown", source="s", version=versions[2])
    design = by_hand.model_copy(update={"methods": (*by_hand.methods[:2], shown)})
    object_store.put(f"runs/{versions[2].run}/result.json", b"{}")
    before = find(services, versions[2].name)
    assert numbers(before) == {2, 3}
    publish_design(object_store, design)
    found = find(services, versions[2].name)
    assert numbers(found) == {2}
    assert found.kept[versions[2].uri] == "study spring, which is not closed, uses it"
    assert not [each for each in found.waste if each.name == versions[2].run], "nor its stages"
    with pytest.raises(OrchestratorError, match=r"study spring.*nothing was deleted"):
        delete(services, before, [])
    end = Closed(closed_at="now", num_raters=0, num_judgements=0)
    write_document(object_store, study_end_key("spring"), end)
    assert numbers(find(services, versions[2].name)) == {2, 3}


def test_what_has_begun_while_the_plan_was_made_stops_the_deletion(
    services: Services, object_store: S3Store, versions: list[ModelRef]
) -> None:
    object_store.put("runs/pretrain-1/result.json", b"{}")
    found = find(services, versions[2].name)
    for run, why in (
        (Running("retrain", "1", "brave-fox", {}), "retrain 'brave-fox'"),
        (Running("upscale", "2", "n", {"model": versions[2].uri}), "a bulk run uses it"),
    ):
        with pytest.raises(OrchestratorError, match=why):
            delete(services, found, [run])
    assert object_store.head("runs/pretrain-1/result.json") is not None
    assert Registry(services.settings).load_generator_bytes(versions[2]) == weights(3)


def test_a_version_that_got_an_alias_after_the_look_stays(
    services: Services, mlflow_settings: Settings, versions: list[ModelRef]
) -> None:
    kept = versions[1]
    found = find(services, kept.name)
    alone = [each for each in found.versions if each.record.version == kept.version]
    registry = Registry(mlflow_settings)
    registry.set_alias(kept.name, "back", 2)
    try:
        with pytest.raises(RegistryError, match=rf"{kept.uri} is needed after all \(back\)"):
            delete(services, replace(found, versions=alone), [])
    finally:
        mlflow_client(mlflow_settings).delete_registered_model_alias(kept.name, "back")
    assert registry.load_generator_bytes(kept) == weights(2)


# The last of those that share the versions.
def test_old_versions_go_with_their_files_and_the_rest_stays_usable(
    services: Services,
    object_store: S3Store,
    mlflow_settings: Settings,
    versions: list[ModelRef],
    said: list[str],
) -> None:
    for version in versions:
        object_store.put(f"runs/{version.run}/result.json", b"{}")
    object_store.put("runs/pretrain-1/result.json", b"{}")
    bulk = Running("upscale", "f00", "n", {"model": versions[2].uri})
    found = find(services, versions[0].name, bulk)
    assert numbers(found) == {2}
    assert found.versions[0].size_bytes > 1000
    delete(services, found, [bulk])
    assert said == [f"deleted {versions[1].uri}", f"deleted run {versions[1].run}"]
    (deletion,) = PromotionLog(object_store, versions[1].name).deletions()
    assert (deletion.version, deletion.by) == (2, mlflow_settings.who)
    registry = Registry(mlflow_settings)
    with pytest.raises(RegistryError, match="has no model"):
        registry.resolve(versions[1].uri)
    assert files(mlflow_settings, versions[1]) == []
    for number in (0, 2, 3):
        assert registry.load_generator_bytes(versions[number]) == weights(number + 1)
    left = {info.key.split("/")[1] for info in object_store.list("runs/")}
    assert left == {"pretrain-1", *(versions[number].run for number in (0, 2, 3))}


def test_a_registry_that_does_not_answer_is_an_error(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = services.settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    with pytest.raises(RegistryError, match="nothing more is deleted") as caught:
        plan(replace(services, settings=away), [], keep=1, before=LATER)
    assert isinstance(caught.value.__cause__, MlflowException)


def test_nothing_is_deleted_while_a_flow_may_reuse_it() -> None:
    with pytest.raises(OrchestratorError, match="retrain 'brave-fox'"):
        refuse_while_busy([Running("retrain", "1", "brave-fox", {})])
    refuse_while_busy([Running("upscale", "1", "n", {}), Running("revive", "2", "n", {})])


def test_a_study_that_waits_for_people_does_not_keep_old_versions_from_being_deleted() -> None:
    refuse_while_busy([Running("study", "1", "study spring of pets", {}, waits=True)])
    for run in (
        Running("study", "1", "study spring of pets", {}),  # it renders, or hands over
        Running("retrain", "2", "brave-fox", {}, waits=True),  # somebody has paused it
    ):
        with pytest.raises(OrchestratorError, match=run.name):
            refuse_while_busy([run])
