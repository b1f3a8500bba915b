"""The commands in the documentation are ones that their programs take."""

import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.checkout import ROOT
from tests.support.programs import compiles, understands
from tests.support.shell import Command, commands

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "srgan/models/shipped/card.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
"""Everything that people read but the changelog, whose commands are those of their time."""

ONLY_SPELLED = {
    "aws": "a client of S3",
    "cat": "a program of every system",
    "cp": "a program of every system",
    "curl": "asks services",
    "date": "a program of every system",
    "eval": "a word of the shell",
    "export": "a word of the shell",
    "jq": "a program for JSON",
    "git": "a program of every developer",
    "mkdir": "a program of every system",
    "openssl": "draws passwords",
    "pgloader": "moves a database",
    "tar": "a program of every system",
    "unzip": "a program of every system",
}
"""Programs whose arguments no test reads, and what they are."""

UNFINISHED = ("MissingParameter", "BadOptionUsage", "NoArgsIsHelpError")
"""Errors of typer for a command or an option that has not got its value."""

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.M | re.S)
OURS = ("srgan", "prefect", "make", "python", ".venv/bin/srgan", ".venv/bin/python", "kubectl")
"""Programs that a command within a sentence begins with."""


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Where a fenced block of a language stands, and its text."""
    for page in PAGES:
        text = page.read_text()
        for found in FENCE.finditer(text):
            if found[2] == language:
                line = text.count("\n", 0, found.start()) + 2
                yield f"{page.relative_to(ROOT)}:{line}", found[3]


def in_blocks() -> Iterator[tuple[str, Command]]:
    """Where a command of a block stands, and the command."""
    for where, text in blocks("sh"):
        for command in commands(text):
            yield where, command


def in_sentences() -> Iterator[tuple[str, Command]]:
    """The same of commands of ours within sentences, without those that leave something open."""
    for page in PAGES:
        text = FENCE.sub(lambda found: "\n" * found[0].count("\n"), page.read_text())
        for found in re.finditer(r"`([^`]+)`", text):
            line = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}"
            is_open = re.search(r"[…|\[]", found[1])
            if found[1].split()[0] in OURS and " " in found[1].strip() and not is_open:
                for command in commands(found[1].replace("\n", " ")):
                    yield line, command


def named(found: Iterator[tuple[str, Command]]) -> list[object]:
    return [pytest.param(each, id=f"{where} {each.text}"[:90]) for where, each in found]


@pytest.mark.parametrize("text", [pytest.param(text, id=where) for where, text in blocks("sh")])
def test_a_block_is_what_a_shell_can_read(text: str) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", named(in_blocks()))
def test_a_program_takes_its_command(command: Command) -> None:
    program = command.words[0]
    if program not in ONLY_SPELLED and not program.startswith("$"):
        understands(command.words, command.stdin)


@pytest.mark.parametrize("command", named(in_sentences()))
def test_a_program_takes_a_command_that_a_sentence_names(command: Command) -> None:
    try:
        understands(command.words, command.stdin)
    except Exception as error:
        # A sentence may name `srgan models register` without saying of what.
        if type(error).__name__ not in UNFINISHED:
            raise


@pytest.mark.parametrize("text", [pytest.param(text, id=where) for where, text in blocks("python")])
def test_python_compiles_and_takes_from_srgan_what_is_there(text: str) -> None:
    compiles(text)


@pytest.mark.parametrize("text", [pytest.param(text, id=where) for where, text in blocks("json")])
def test_json_is_json(text: str) -> None:
    json.loads(text)


def test_programs_whose_arguments_nobody_reads_are_in_use_and_contributors_know_them() -> None:
    used = {command.words[0] for _, command in in_blocks()}
    assert ONLY_SPELLED.keys() <= used
    page = (ROOT / "CONTRIBUTING.md").read_text()
    (section,) = re.findall(r"^## Commands in the docs$(.*?)^## ", page, re.M | re.S)
    assert ONLY_SPELLED.keys() <= set(re.findall(r"`(\w+)`", section))


@pytest.mark.parametrize(
    "line",
    [
        "srgan upscale PHOTOS LARGE --modle bicubic",
        "srgan modles list",
        "srgan upscale PHOTOS",
        "prefect deployment run upscale/upsacle",
        "prefect deployment run upscale/upscale --param sauce=s3://srgan/raw",
        """prefect deployment run retrain/retrain --param policy='{"age": 3}'""",
        "prefect --no-prompt deploy --everything",
        "make tests",
        "make test-slow GROPU=bulk",
        "python -m benchmarks.mos.sped",
        "python -m benchmarks.quality --trian PHOTOS",
        "kubectl -n srgan get pods --selecto app=mlflow",
        "docker compose -f infra/docker/compose.yaml exec wroker prefect worker ls",
        "python -c 'from srgan.settings import Setting'",
        "pip install 'srgan[onnx]'",
    ],
)
def test_a_typing_error_in_a_command_is_found(line: str) -> None:
    (command,) = commands(line)
    with pytest.raises(Exception, match=r"(?s).*"):
        understands(command.words)


def test_the_commands_of_a_script_are_found() -> None:
    script = """
# a comment
ID=$(curl -s "$URL/x" | python -c 'print("(a)")')   # another
draw() { openssl rand 3; }
srgan recipes demo | jq '.a | .b' > demo.json && make demo \\
  PHOTOS="$(draw)"
python - <<'PY'
print("x")  # y
PY
"""
    found = [(*each.words, each.stdin) for each in commands(script)]
    assert found == [
        ("curl", "-s", "$URL/x", None),
        ("python", "-c", 'print("(a)")', None),
        ("openssl", "rand", "3", None),
        ("srgan", "recipes", "demo", None),
        ("jq", ".a | .b", None),
        ("make", "demo", "PHOTOS=SUBSTITUTED", None),
        ("python", "-", 'print("x")  \n'),
    ]
