"""Log lines: time and level on each, JSON by a setting, nothing secret, and nothing by import."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from srgan.logs import (
    JsonFormatter,
    TextFormatter,
    configure,
    hidden,
    hide_in,
    parse,
    secrets_of,
    without_password,
)
from srgan.settings import Settings
from tests.support.commands import SRGAN

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def record(message: str, level: int = logging.WARNING, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("srgan.bulk", level, __file__, 1, message, (), None)
    vars(made).update(extra)
    return made


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in its own process, where no other logging is set up."""
    setup = (
        "import logging, sys\n"
        "from srgan.logs import configure\n"
        "from srgan.settings import Settings\n"
    )
    return subprocess.run(
        [sys.executable, "-c", setup + code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_each_line_of_text_has_time_and_level() -> None:
    text = TextFormatter(()).format(record("stalled\nrank 0 waits"))
    assert re.fullmatch(rf"{TIME} WARNING stalled\n{TIME} WARNING rank 0 waits", text)
    assert re.fullmatch(f"{TIME} INFO ", TextFormatter(()).format(record("", logging.INFO)))


def test_a_json_line_has_the_fields_of_the_process_and_of_the_record() -> None:
    formatter = JsonFormatter((), {"run": "pretrain-1a2b", "stage": "pretrain"})
    line = formatter.format(record("step\ndone", step=50, key="runs/x", colour="red"))
    assert "\n" not in line
    found = json.loads(line)
    assert re.fullmatch(TIME, found.pop("time"))
    assert found == {
        "level": "WARNING",
        "logger": "srgan.bulk",
        "message": "step\ndone",
        "run": "pretrain-1a2b",
        "stage": "pretrain",
        "step": 50,
        "key": "runs/x",
    }


@pytest.mark.parametrize("formatter", [TextFormatter(()), JsonFormatter((), {"run": "r"})])
def test_a_line_of_a_job_is_read_back_with_its_level(formatter: logging.Formatter) -> None:
    line = formatter.format(record("disk is full", logging.ERROR))
    assert parse(line) == (logging.ERROR, "disk is full")


def test_a_line_that_ray_has_folded_keeps_its_level() -> None:
    line = JsonFormatter([], {}).format(record("disk is\u2028full", logging.ERROR))
    assert len(line.splitlines()) == 1
    level, text = parse(f"{line} [repeated 3x across cluster]")
    assert (level, text) == (logging.ERROR, "disk is\u2028full [repeated 3x across cluster]")


def test_an_empty_line_of_a_message_keeps_its_level() -> None:
    lines = TextFormatter([]).format(record("one\n\nthree", logging.ERROR)).splitlines()
    assert [parse(line.rstrip()) for line in lines] == [
        (logging.ERROR, text) for text in ("one", "", "three")
    ]


@pytest.mark.parametrize(
    "line", ["printed by a library", '{"time": "cut o', '{"time": 1}', "2026-11-30 INFO no"]
)
def test_any_other_line_is_information_as_it_is(line: str) -> None:
    assert parse(line) == (logging.INFO, line)


def test_secrets_that_an_error_quotes_are_hidden() -> None:
    settings = Settings(
        AWS_SECRET_ACCESS_KEY="sEcReT/key",
        MLFLOW_TRACKING_URI="http://team:pass-word@mlflow:5000",
    )
    quoted = record("no answer from http://team:pass-word@mlflow:5000, signed with sEcReT/key")
    for formatter in (
        TextFormatter(secrets_of(settings)),
        JsonFormatter(secrets_of(settings), {}),
    ):
        line = formatter.format(quoted)
        assert "http://team:***@mlflow:5000, signed with ***" in line


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:s3cret@mlflow:5000/api", "http://mlflow:5000/api"),
        ("http://s3cret@mlflow", "http://mlflow"),
        ("http://me:s3cret@host:port", "http://host:port"),
        ("http://me:s3cret@[::1", "http://[::1"),
        ("postgresql+psycopg://me:s3/cr?e@t@db/mlflow", "postgresql+psycopg://db/mlflow"),
        ("http://mlflow:5000", "http://mlflow:5000"),
        ("http://me:s3cret@mlflow:5000/team@x", "http://mlflow:5000/team@x"),
        ("http://me:s3/cr?et@mlflow", "http://mlflow"),
        ("http://mlflow:5000/team@x", "http://mlflow:5000/team@x"),
        ("https://mlflow/a:b@x", "https://mlflow/a:b@x"),
        ("http://[::1]:5000/team@x", "http://[::1]:5000/team@x"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
    ],
)
def test_an_address_is_shown_without_its_password_also_a_damaged_one(
    address: str, shown: str
) -> None:
    assert without_password(address) == shown
    if ":s3" in address:
        quoted = hidden(f"cannot parse {address!r}", secrets_of(Settings(RAY_ADDRESS=address)))
        assert "***" in quoted
        assert "s3" not in quoted


def test_a_part_of_a_path_is_not_a_secret() -> None:
    assert secrets_of(Settings(MLFLOW_TRACKING_URI="http://mlflow:5000/team@x")) == []


def test_secrets_are_taken_out_of_an_error_and_of_those_behind_it() -> None:
    behind, error = ValueError("pass-word", 5), OSError("no answer from http://me:pass-word@host")
    error.__cause__, behind.__context__ = behind, error
    hide_in(error, ["pass-word"])
    assert str(error) == "no answer from http://me:***@host"
    assert behind.args == ("***", 5)


def test_where_logging_is_set_up_already_nothing_changes() -> None:
    before = logging.getLogger().handlers[:]
    assert before, "pytest's own"
    configure(Settings(), sys.stdout)
    assert logging.getLogger().handlers == before


def test_importing_modules_sets_up_nothing() -> None:
    done = run(
        "import srgan.cli, srgan.jobs.train, srgan.jobs.upscale\n"
        "print(logging.getLogger().handlers, logging.getLogger('srgan').handlers, "
        "sys.excepthook is sys.__excepthook__)"
    )
    assert done.stdout == "[] [] True\n", done.stderr


def test_our_own_records_are_written_from_the_level_that_is_set_and_libraries_warnings() -> None:
    code = (
        "configure(Settings(), sys.stdout)\n"
        "for name in ('srgan.jobs', 'botocore'):\n"
        "    for level in ('debug', 'info', 'warning'):\n"
        "        getattr(logging.getLogger(name), level)(f'{name} {level}')\n"
    )

    def messages(level: str) -> list[str]:
        lines = run(code, SRGAN_LOG_LEVEL=level).stdout.splitlines()
        return [parse(line)[1] for line in lines]

    assert messages("info") == ["srgan.jobs info", "srgan.jobs warning", "botocore warning"]
    assert messages("DEBUG")[0] == "srgan.jobs debug"
    assert messages("error") == ["botocore warning"]


def test_an_error_that_nobody_catches_is_one_line_of_json() -> None:
    code = "configure(Settings(), sys.stdout, run='r', stage='pretrain')\nraise KeyError('lost')"
    done = run(code, SRGAN_LOG_FORMAT="json")
    assert (done.returncode, done.stderr) == (1, "")
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert (found["level"], found["run"], found["stage"]) == ("CRITICAL", "r", "pretrain")
    assert found["exception"].splitlines()[-1] == "KeyError: 'lost'"


def test_a_level_that_does_not_exist_is_refused_by_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [SRGAN, "recipes"],
        env={**os.environ, "SRGAN_LOG_LEVEL": "loud"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: SRGAN_LOG_LEVEL: ")
