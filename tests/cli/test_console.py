"""How the command speaks: help at any width, errors in one line, JSON, colours."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from srgan.cli import app
from srgan.cli.console import complain, print_json
from srgan.images import Photo, encode
from srgan.images.entries import FORMATS
from srgan.version import release_version
from tests.support.commands import srgan
from tests.support.image_files import picture
from tests.support.terminal import Terminal


def commands() -> Iterator[list[str]]:
    """Every command and group by its words, such as `models list`."""
    waiting: list[tuple[list[str], object]] = [([], get_command(app))]
    while waiting:
        words, command = waiting.pop()
        yield words
        below = getattr(command, "commands", {})
        waiting += [([*words, name], each) for name, each in below.items()]


def printed(*arguments: str, columns: int = 80) -> str:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": str(columns)}).output


def test_an_error_does_not_show_passwords_and_secret_keys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:pass-word@db/mlflow")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sEcReT/key")
    complain("error: the registry at postgresql://me:pass-word@db/mlflow refuses sEcReT/key")
    expected = "error: the registry at postgresql://me:***@db/mlflow refuses ***\n"
    assert capsys.readouterr().err == expected
    monkeypatch.setenv("SRGAN_STALL_S", "soon")
    complain("error: SRGAN_STALL_S: it is not a number")
    assert capsys.readouterr().err == "error: SRGAN_STALL_S: it is not a number\n"


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_help_fits_the_terminal_and_cuts_no_word(columns: int) -> None:
    for words in commands():
        text = printed(*words, "--help", columns=columns)
        # A name or a list of choices that is wider than the terminal stays whole.
        wide = [line for line in text.splitlines() if len(line) > columns and " " in line.strip()]
        assert not [line for line in wide if not line.strip().startswith(("--", "name <"))], text
        assert "..." not in text.replace("[ARGS]...", "").replace("]...", ""), text


def test_help_names_every_option_in_full_at_40_columns() -> None:
    text = printed("upscale", "--help", columns=40)
    for name in ("--self-ensemble", "--subsampling", "--precision", "--oversize", "[required]"):
        assert name in text


def test_help_names_the_formats_whose_colours_are_subsampled() -> None:
    photo = Photo(picture())

    def coded(format: str, subsampling: str) -> bytes:
        return encode(photo, format=format, jpeg_quality=80, jpeg_subsampling=subsampling)

    differ = {each for each in FORMATS.values() if coded(each, "4:4:4") != coded(each, "4:2:0")}
    assert differ == {"jpeg", "avif"}
    text = " ".join(printed("upscale", "--help").split())
    assert "Colour subsampling of JPEG and AVIF results" in text


def test_a_list_of_commands_says_their_whole_purpose() -> None:
    text = " ".join(printed("--help", columns=40).split())
    assert "Print the chain from an upscaled image to its model, runs, dataset, photos and" in text


def test_version_prints_the_release_that_flows_and_nodes_compare() -> None:
    assert printed("--version") == f"srgan {release_version()}\n"


def test_a_team_is_told_its_own_deployment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SRGAN_TEAM", "anna")
    with pytest.raises(SystemExit):
        app(["upscale", "s3://shop/photos", "/mnt/large"])
    assert "deployment run upscale/anna~upscale --param" in " ".join(
        capsys.readouterr().err.split()
    )


def test_the_shell_completes_commands_and_options() -> None:
    for typed, found in (("srgan ups", "upscale"), ("srgan upscale --self", "--self-ensemble")):
        words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
        answer = CliRunner().invoke(
            app, env={**words, "_SRGAN_COMPLETE": "complete_bash"}, prog_name="srgan"
        )
        assert answer.output.split() == [found]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recipes", "nope"], "unknown recipe 'nope'"),
        (["upscale", "S3://shop/photos", "/mnt/large"], "deployment run upscale/upscale"),
        (["upscale", "s3://shop/photos", "/mnt/large"], "--param source=s3://shop/photos --param"),
        (
            ["upscale", "photo.png", "s3://shop/large"],
            "--param destination=s3://shop/large --param",
        ),
        (["upscale", "-", "large.png"], "reads and writes files, not pipes"),
        (["upscale", "photo.png", "-"], "reads and writes files, not pipes"),
        (["degrade", "https://a.example/photo.png", "small"], "copy the photos to this disk first"),
        (["degrade", "s3://shop/photos", "small"], "copy the photos to this disk first"),
        (["upscale", "/nowhere", "large"], "/nowhere does not exist"),
        (["evaluate", "--hr", "/nowhere", "--sr", "/"], "'/nowhere' does not exist"),
        (["export", "lanczos", "--to", "model.onnx"], "no model 'lanczos'"),
        (["trace", "photo.png/"], "is not a model's address"),
        (["stack", "logs", "rye"], "no service 'rye'"),
        (["upscale"], "Missing argument 'SRC'"),
        (["enlarge"], "No such command 'enlarge'"),
    ],
)
def test_a_mistake_in_the_command_line_is_one_line_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", "bicubic"] if arguments[0] == "upscale" and len(arguments) > 1 else []
    with pytest.raises(SystemExit) as stopped:
        app([*arguments, *model])
    said = capsys.readouterr()
    assert (stopped.value.code, said.out) == (2, "")
    assert message in said.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SRGAN_CACHE_BYTES": "lots"}, "error: SRGAN_CACHE_BYTES: not a size; write it as 20GiB"),
        ({"SRGAN_STALL_S": "0"}, "error: SRGAN_STALL_S: Input should be greater than 0, got '0'"),
        ({"AWS_PROFILE": "nobody"}, "error: AWS_PROFILE: The config profile (nobody) could not be"),
        ({"AWS_ACCESS_KEY_ID": "key"}, "error: AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_variable_and_status_2(
    variables: dict[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "SRGAN_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    # A process keeps its clients: this is not one of another test's.
    monkeypatch.setenv("AWS_DEFAULT_REGION", "of-this-test")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        # Reads the mirrored weights from the bucket.
        app(["evaluate", "--hr", str(tmp_path), "--sr", str(tmp_path), "--distance", "vgg19"])
    said = capsys.readouterr()
    assert (stopped.value.code, said.out) == (2, "")
    assert said.err.startswith(message)
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("variables", "is_red"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False)],
)
def test_errors_are_red_only_where_the_terminal_has_colours_and_nobody_forbids_them(
    variables: dict[str, str], is_red: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    complain("error: it went wrong, and the text about it is [bold] and longer than 80 columns")
    assert ("\x1b[31m" in terminal.getvalue()) == is_red
    assert "[bold] and longer than 80 columns" in terminal.getvalue()


def test_json_holds_names_that_are_not_utf_8_and_no_infinity(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    print_json({"name": name, "psnr": math.inf, "path": Path("a")})
    said = capsys.readouterr().out
    assert json.loads(said) == {"name": name, "psnr": None, "path": "a"}
    assert said.isascii()


def test_the_installed_command_has_one_way_to_say_its_version() -> None:
    assert srgan("--version").stdout.startswith("srgan 0.")
