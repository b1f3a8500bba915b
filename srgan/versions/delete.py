"""Find and delete old versions and their data, unless the registry or Prefect needs them."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from srgan.bulk.run import BulkUse
from srgan.errors import ConfigError, OrchestratorError, RegistryError
from srgan.keys import batches_prefix, registration_key, spec_key
from srgan.promotion.cleanup import Plan, Rules, Version, last_champions, needed, plan_cleanup
from srgan.promotion.record import VersionRecord
from srgan.services.mlflow_models import parse_address
from srgan.services.mlflow_runs import mlflow_client, mlflow_errors
from srgan.services.prefect_runs import Running
from srgan.settings import Settings
from srgan.storage import ObjectStore, read_document
from srgan.studies.design import designs, find_end
from srgan.versions.services import Services

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MODEL_FOLDER = "model"
_HARMLESS = {"upscale", "revive"}
"""Flows whose new objects never look unused while they run."""


def plan(services: Services, running: list[Running], *, keep: int, before: float) -> Plan:
    """Plan what can be deleted now; `RegistryError` if MLflow does not answer."""
    settings, store = services.settings, services.store
    rules = Rules(keep=keep, before=before, in_use=_in_use(store, running))
    with _asking(settings):
        client = mlflow_client(settings)
        versions = [
            Version(record, _size_bytes(client, str(record.mlflow_run), _MODEL_FOLDER))
            for record in services.registry.all_versions()
        ]
    return plan_cleanup(store, versions, rules)


def refuse_while_busy(running: list[Running]) -> None:
    """Raise `OrchestratorError` if a running flow may be about to reuse what looks unused.

    A study waits for people, for weeks, and needs the versions of its design alone.
    """
    busy = [run for run in running if not (run.flow in _HARMLESS or _awaits_people(run))]
    if busy:
        listed = ", ".join(f"{run.flow} {run.name!r} ({run.run_id})" for run in busy)
        raise OrchestratorError(
            f"nothing is deleted while flows run that may reuse what looks unused: {listed}. Wait "
            "for them, or cancel a dead one: prefect flow-run cancel ID"
        )


def _awaits_people(run: Running) -> bool:
    return run.flow == "study" and run.waits


def delete(services: Services, found: Plan, running: list[Running]) -> None:
    """Delete what `plan` found, which may have taken minutes.

    `running` is asked again: `OrchestratorError`, before anything is deleted, if a flow that may
    reuse unused data has begun since, or something uses a version of the plan. A version that has
    got an alias since then stays with its data.
    """
    settings, store, registry = services.settings, services.store, services.registry
    refuse_while_busy(running)
    in_use = _in_use(store, running)
    for version in found.versions:
        if user := in_use.get((version.record.name, version.record.version)):
            raise OrchestratorError(
                f"{version.name} is needed after all ({user} uses it): the plan is out of date, "
                "and nothing was deleted. Run the command again"
            )
    client = mlflow_client(settings)
    for version in found.versions:
        with _asking(settings):
            record = registry.record(version.record.ref)
            champions = last_champions(store, record.name)
            if why := needed(record.aliases, record.version, champions):
                raise RegistryError(
                    f"{version.name} is needed after all ({why}): the plan is out of date. Run the "
                    "command again; everything deleted so far was unused"
                )
            _delete_files(client, settings, record)
            registry.delete(record.ref)
        services.log(record.name).note_deletion(record.ref)
        # Otherwise its run would look as if it still waited for the registry.
        store.delete(registration_key(record.run, record.name))
        services.say(f"deleted {version.name}")
    for each in found.waste:
        for key in each.keys:
            store.delete(key)
        services.say(f"deleted {each.kind} {each.name}")


def _in_use(store: ObjectStore, running: list[Running]) -> dict[tuple[str, int], str]:
    """Return who uses a version, by model and number: open studies and running bulk runs."""
    shown = {
        (method.version.name, method.version.version): f"study {design.name}, which is not closed,"
        for design in designs(store)
        if find_end(store, design.name) is None
        for method in design.methods
        if method.version
    }
    return shown | dict.fromkeys(_used_in_bulk(store, running), "a bulk run")


def _used_in_bulk(store: ObjectStore, running: list[Running]) -> set[tuple[str, int]]:
    """Return versions that running bulk runs use, by their batches and by their parameters."""
    used = set()
    for run in (run for run in running if run.flow == "upscale"):
        for info in store.list(batches_prefix(run.run_id)):
            if spec_key.names(info.key):
                model = read_document(store, info.key, BulkUse).model
                used.add((model.name, model.version))
        try:
            name, _, number = parse_address(str(run.parameters.get("model", "")))
        except ConfigError:
            continue  # the run itself will fail
        if number:
            used.add((name, number))
    return used


def _size_bytes(client: "MlflowClient", run_id: str, path: str) -> int:
    return sum(
        _size_bytes(client, run_id, each.path) if each.is_dir else each.file_size or 0
        for each in client.list_artifacts(run_id, path)
    )


def _delete_files(client: "MlflowClient", settings: Settings, version: VersionRecord) -> None:
    """Delete the version's files. The MLflow run stays, with its figures and pictures."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    sharing = [
        other
        for other in client.search_model_versions(f"run_id='{version.mlflow_run}'")
        if (settings.own(other.name), int(other.version)) != (version.name, version.version)
    ]
    if not sharing:
        root = client.get_run(str(version.mlflow_run)).info.artifact_uri
        uri = settings.require("mlflow_tracking_uri")
        repository = get_artifact_repository(root, tracking_uri=uri)
        repository.delete_artifacts(_MODEL_FOLDER)  # type: ignore[no-untyped-call]  # MLflow's


def _asking(settings: Settings) -> AbstractContextManager[None]:
    consequence = "Without it, what is needed is unknown, so nothing more is deleted"
    return mlflow_errors(explain=settings, consequence=consequence)
