"""Alerts: automations of a YAML file, applied to Prefect's server. Safe to repeat."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import yaml
from pydantic import BaseModel, ValidationError

from srgan.errors import ConfigError, OrchestratorError, RefusedError, explain
from srgan.services.prefect_setup import asking

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

ALERTS = Path(__file__).with_name("alerts.yaml")
"""Our own alerts, about all runs of the deployments."""
BLOCK = "srgan-alerts"
"""Name of the notification block, of any type, through which messages go."""
_PAGE = 200


@dataclass(frozen=True)
class Applied:
    """An automation of the file, and how the server has it now."""

    name: str
    outcome: Literal["created", "changed", "as it was", "left out"]
    """``left out``: it only sends a message, and there is no block to send it through."""


@dataclass(frozen=True)
class AppliedAlerts:
    """All automations of the file, and whether messages can be sent."""

    automations: tuple[Applied, ...]
    sends: bool
    """False if there is no block, and nothing of the file sends a message."""


def apply_alerts(path: Path) -> AppliedAlerts:
    """Create or change the automations that a file describes, found by their names.

    One that is as the file says is left alone, because a changed one counts its time again from the
    beginning. `ConfigError` if the file is not valid, and nothing is changed then;
    `OrchestratorError` if the server does not answer.
    """
    described = _read(path)
    try:
        with asking() as client:
            block = _find_block(client)
            wanted = {name: _automation(path, each, block) for name, each in described.items()}
            done = tuple(Applied(name, _apply(client, name, each)) for name, each in wanted.items())
    except RefusedError:
        raise
    except OrchestratorError as error:
        raise OrchestratorError(
            f"Prefect's server did not take the alerts: {error}. Is PREFECT_API_URL right and the "
            "server up? Then repeat the command"
        ) from error
    return AppliedAlerts(done, sends=block is not None)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Descriptions of automations by their names."""
    try:
        found = yaml.safe_load(path.read_text())["automations"]
        return {str(each["name"]): each for each in found}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is not a list of automations with names below `automations`: {error}"
        ) from error


def _find_block(client: "SyncPrefectClient") -> UUID | None:
    """The id of the block that sends messages."""
    found: list[Any] = []
    while page := client.read_block_documents(
        offset=len(found), limit=_PAGE, include_secrets=False
    ):
        found += page
    blocks = [each for each in found if each.name == BLOCK]
    if len(blocks) > 1:
        kinds = ", ".join(sorted(each.block_type_name or "?" for each in blocks))
        raise ConfigError(f"there are blocks {BLOCK} of several types ({kinds}): keep one of them")
    return blocks[0].id if blocks else None


def _automation(
    path: Path, described: dict[str, Any], block: UUID | None
) -> "AutomationCore | None":
    """The automation, with the block in its messages or without them; None if nothing is left."""
    from prefect.events.schemas.automations import AutomationCore

    where = f"{path}, {described['name']}"
    _refuse_unknown(f"{where}: an automation", described, AutomationCore)
    actions = [
        {**action, "block_document_id": block} if _sends(action) else action
        for action in described.get("actions", [])
        if block or not _sends(action)
    ]
    if not actions:
        return None
    try:
        automation = AutomationCore.model_validate({**described, "actions": actions})
    except ValidationError as error:
        raise ConfigError(f"{where}: {explain(error)}") from error
    except TypeError as error:  # Prefect compares `within` before it looks whether it is a time
        raise ConfigError(
            f"{where}: a value, such as `within`, has a wrong type: {error}"
        ) from error
    _refuse_unknown(f"{where}: trigger", described["trigger"], type(automation.trigger))
    for given, action in zip(actions, automation.actions, strict=True):
        _refuse_unknown(f"{where}: {action.type}", given, type(action))
    return automation


def _sends(action: Any) -> bool:
    return isinstance(action, dict) and action.get("type") == "send-notification"


def _refuse_unknown(what: str, given: dict[str, Any], kind: type[BaseModel]) -> None:
    """Prefect itself ignores what it does not know, such as ``withn: 900``."""
    unknown = given.keys() - kind.model_fields.keys()
    if unknown:
        raise ConfigError(f"{what} has no {', '.join(sorted(map(str, unknown)))}")


def _apply(
    client: "SyncPrefectClient", name: str, wanted: "AutomationCore | None"
) -> Literal["created", "changed", "as it was", "left out"]:
    if wanted is None:
        return "left out"
    known = client.read_automations_by_name(name)
    if not known:
        client.create_automation(wanted)
        return "created"
    first, *others = known
    for each in others:  # made by `prefect automation create`, which never looks
        client.delete_automation(each.id)
    fields = set(type(wanted).model_fields)
    if first.model_dump(include=fields) == wanted.model_dump():
        return "as it was"
    client.update_automation(first.id, wanted)
    return "changed"
