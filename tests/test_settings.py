"""Settings from the environment: sizes with units, and errors that name the variable."""

import os
import pwd
import socket

import pytest

from srgan.errors import ConfigError
from srgan.settings import Settings, reference_table
from tests.support.checkout import ROOT


@pytest.mark.parametrize(
    ("text", "num_bytes"),
    [
        ("20GiB", 20 * 2**30),
        ("1500 MB", 1_500_000_000),
        ("2.5tb", 2_500_000_000_000),
        ("4096", 4096),
    ],
)
def test_the_cache_takes_a_size_with_its_unit(
    text: str, num_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRGAN_CACHE_BYTES", text)
    assert Settings().cache_bytes == num_bytes


@pytest.mark.parametrize("text", ["20GIGS", "-1GiB", "0", ""])
def test_what_is_not_a_size_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRGAN_CACHE_BYTES", text)
    with pytest.raises(ConfigError, match=rf"^SRGAN_CACHE_BYTES: .*, got '?{text}'?$"):
        Settings()


def test_all_wrong_variables_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRGAN_STALL_S", "soon")
    monkeypatch.setenv("SRGAN_CLUSTER_WAIT_S", "late")
    with pytest.raises(ConfigError, match=r"SRGAN_CLUSTER_WAIT_S: .*; SRGAN_STALL_S: "):
        Settings()


def test_a_missing_setting_names_its_variable() -> None:
    with pytest.raises(ConfigError, match="SRGAN_BUCKET is not set"):
        Settings(bucket="").require("bucket")
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI is not set"):
        Settings(MLFLOW_TRACKING_URI=None).require("mlflow_tracking_uri")


@pytest.mark.parametrize("team", ["Anna", "a~b", "a/b", "-a", "a b", "a" * 32])
def test_what_cannot_be_a_team_is_refused(team: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRGAN_TEAM", team)
    with pytest.raises(ConfigError, match="SRGAN_TEAM: "):
        Settings()


def test_a_command_runs_the_teams_own_deployment() -> None:
    assert Settings(team="").run_command("upscale/watch") == "prefect deployment run upscale/watch"
    assert Settings(team="anna").run_command("promote/promote", model="pets", version=3) == (
        "prefect deployment run promote/anna~promote --param model=pets --param version=3"
    )
    quoted = Settings(team="anna").run_command("upscale/upscale", source="s3://b/my photos")
    assert quoted.endswith("upscale/anna~upscale --param 'source=s3://b/my photos'")


def test_a_shared_name_is_the_teams_or_nobody_elses() -> None:
    anna, alone = Settings(team="anna"), Settings(team="")
    assert (anna.shared("pets"), alone.shared("pets")) == ("anna~pets", "pets")
    assert (anna.own("anna~pets"), alone.own("pets")) == ("pets", "pets")
    others = [anna.own("pets"), anna.own("ben~pets"), alone.own("anna~pets")]
    assert others == [None, None, None]


def test_who_acts_is_said_or_the_user_of_the_process_on_its_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = pwd.getpwuid(os.getuid()).pw_name
    assert Settings().who == f"{user}@{socket.gethostname()}"
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    assert Settings().who == f"{2**31 - 7}@{socket.gethostname()}"
    monkeypatch.setenv("SRGAN_ACTOR", "nightly-retraining")
    assert Settings().who == "nightly-retraining"


def test_a_public_address_is_an_http_address_without_a_slash_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SRGAN_MLFLOW_PUBLIC_URL", "https://mlflow.example/")
    monkeypatch.setenv("SRGAN_PREFECT_PUBLIC_URL", "")
    assert Settings().mlflow_public_url == "https://mlflow.example"
    assert Settings().prefect_public_url is None
    monkeypatch.setenv("SRGAN_PREFECT_PUBLIC_URL", "prefect.example:4200")
    with pytest.raises(ConfigError, match=r"SRGAN_PREFECT_PUBLIC_URL: .*prefect\.example:4200"):
        Settings()


def test_every_setting_says_what_it_is() -> None:
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert not silent, f"no docstring: {silent}"


def test_the_reference_page_has_the_table_of_the_settings() -> None:
    page = (ROOT / "docs" / "reference.md").read_text()
    assert reference_table() in page, (
        "put this into docs/reference.md, section Settings (it is printed by "
        "`python -c 'from srgan.settings import *; print(reference_table())'`):\n"
        + reference_table()
    )
