"""Alerts of a file, applied to a real Prefect server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.settings import PREFECT_API_URL, temporary_settings

from srgan.errors import ConfigError, OrchestratorError, RefusedError
from srgan.services.prefect_alerts import BLOCK, AppliedAlerts, apply_alerts
from tests.support.passwords import password_wanted
from tests.support.ports import free_ports

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of the block's own client
]

NAMES = ("apply-both", "apply-message")
TRIGGER = """
    trigger:
      type: event
      match: {"prefect.resource.id": "prefect.flow-run.*"}
      match_related: [{"prefect.resource.role": deployment}]
      after: [prefect.flow-run.Running]
      expect: [prefect.flow-run.Completed, prefect.flow-run.Failed]
      for_each: [prefect.resource.id]
      posture: Proactive
      within: 900
"""
SEND = "{type: send-notification, subject: slow, body: '{{ flow_run.name }}'}"
TEXT = f"""
automations:
  - name: apply-both
    {TRIGGER.strip()}
    actions:
      - {{type: change-flow-run-state, state: CRASHED}}
      - {SEND}
  - name: apply-message
    {TRIGGER.strip()}
    actions: [{SEND}]
"""


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    """A client; what a test makes is gone after it, because the server is shared."""
    with get_client(sync_client=True) as client:
        yield client
        for name in NAMES:
            for automation in client.read_automations_by_name(name):
                client.delete_automation(automation.id)


@pytest.fixture
def block(client: SyncPrefectClient) -> Iterator[None]:
    """A block that sends messages, of any type."""
    made = CustomWebhookNotificationBlock(name="t", url="http://127.0.0.1:9", json_data={})
    block_id = made.save(BLOCK, overwrite=True)
    yield
    client.delete_block_document(block_id)


def apply(tmp_path: Path, text: str = TEXT) -> AppliedAlerts:
    file = tmp_path / "alerts.yaml"
    file.write_text(text)
    return apply_alerts(file)


def outcomes(done: AppliedAlerts) -> dict[str, str]:
    return {each.name: each.outcome for each in done.automations}


def test_the_alerts_of_a_file_are_created_once_and_changed_where_the_file_has_changed(
    client: SyncPrefectClient, block: None, tmp_path: Path
) -> None:
    done = apply(tmp_path)
    assert done.sends
    assert outcomes(done) == dict.fromkeys(NAMES, "created")
    assert outcomes(apply(tmp_path)) == dict.fromkeys(NAMES, "as it was")
    changed = TEXT.replace("within: 900", "within: 60", 1)
    assert outcomes(apply(tmp_path, changed)) == {
        "apply-both": "changed",
        "apply-message": "as it was",
    }
    (found,) = client.read_automations_by_name("apply-both")
    assert found.trigger.within.total_seconds() == 60
    assert [action.type for action in found.actions] == [
        "change-flow-run-state",
        "send-notification",
    ]


def test_without_a_block_what_does_more_than_send_is_applied_without_its_message(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    done = apply(tmp_path)
    assert not done.sends
    assert outcomes(done) == {"apply-both": "created", "apply-message": "left out"}
    (found,) = client.read_automations_by_name("apply-both")
    assert [action.type for action in found.actions] == ["change-flow-run-state"]


def test_one_that_was_created_twice_by_hand_is_there_once(
    client: SyncPrefectClient, block: None, tmp_path: Path
) -> None:
    apply(tmp_path)
    (found,) = client.read_automations_by_name("apply-both")
    again = AutomationCore.model_validate(found.model_dump(exclude={"id"}))
    client.create_automation(again)
    assert len(client.read_automations_by_name("apply-both")) == 2
    apply(tmp_path)
    assert len(client.read_automations_by_name("apply-both")) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("automations: [", "is not a list of automations"),
        ("alerts: []", "is not a list of automations with names below `automations`"),
        ("automations: [{enabled: true}]", "is not a list of automations with names"),
        (TEXT.replace("within: 900", "within: soon"), r"apply-both: .*within"),
        (TEXT.replace("within: 900", "withn: 900"), r"apply-both: trigger has no withn"),
        (TEXT.replace("actions:", "action:"), r"apply-both: an automation has no action"),
        (TEXT.replace("subject:", "subjct:"), r"apply-both: send-notification has no subjct"),
    ],
)
def test_a_file_that_is_not_valid_changes_nothing_and_says_where(
    client: SyncPrefectClient, block: None, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)alerts\.yaml.*{message}"):
        apply(tmp_path, text)
    assert not [name for name in NAMES if client.read_automations_by_name(name)]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml cannot be read: No such file"):
        apply_alerts(tmp_path / "gone.yaml")


def test_a_server_that_does_not_answer_is_named_with_what_to_do(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_ports(1)[0]}/api"
    with (
        temporary_settings({PREFECT_API_URL: address}),
        pytest.raises(OrchestratorError, match=r"did not take the alerts.*PREFECT_API_URL"),
    ):
        apply(tmp_path)


def test_a_wrong_password_is_named_and_not_the_address(tmp_path: Path) -> None:
    with (
        password_wanted() as address,
        temporary_settings({PREFECT_API_URL: address}),
        pytest.raises(RefusedError, match="Set PREFECT_API_AUTH_STRING") as refused,
    ):
        apply(tmp_path)
    assert "PREFECT_API_URL" not in str(refused.value)
