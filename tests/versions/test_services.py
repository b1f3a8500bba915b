"""Services are opened when they are first asked for, and once."""

import pytest

from srgan.errors import ConfigError
from srgan.refs import ModelRef
from srgan.settings import Settings
from srgan.versions import services as module
from srgan.versions.services import Services, open_services


def test_the_registry_is_opened_only_by_those_who_ask_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    services = open_services()
    assert services.store.bucket == services.settings.bucket
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI is not set"):
        _ = services.registry


def test_a_service_is_opened_once(monkeypatch: pytest.MonkeyPatch, s3_settings: Settings) -> None:
    opened: list[Settings] = []
    monkeypatch.setattr(module, "Registry", lambda settings: opened.append(settings) or object())
    services = Services(s3_settings, say=print)
    assert services.registry is services.registry
    assert services.store is services.store
    assert opened == [s3_settings]


def test_an_alias_that_was_corrected_is_told_to_the_opener(
    monkeypatch: pytest.MonkeyPatch, s3_settings: Settings
) -> None:
    found = ModelRef(name="pets", version=2, run="r", weights_digest="ab")

    def find_version(_registry: object, _store: object, address: str, say: module.Say) -> ModelRef:
        say(f"alias of {address} corrected")
        return found

    monkeypatch.setattr(module, "Registry", lambda _: object())
    monkeypatch.setattr(module, "find_version", find_version)
    told: list[str] = []
    assert Services(s3_settings, told.append).version("pets") == found
    assert told == ["alias of pets corrected"]
