"""Plain words: the patterns that crept into pages, comments and docstrings do not come back."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

DONE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Makefile",
    "README.md",
    "benchmarks",
    "docs",
    "flows",
    "infra",
    "prefect.yaml",
    "pyproject.toml",
    "srgan",
    "tests",
)
"""Everything that people read."""

SUFFIXES = {".conf", ".css", ".env", ".html", ".js", ".md", ".py", ".toml", ".yaml"}
NAMES = {"Dockerfile", "Makefile"}

PATTERNS = {
    # "there is no network", "is no longer" and "is no more than" are plain.
    r"(?<![Tt]here )\b(?:is|are|was|were) no (?!longer\b|more\b|less\b|fewer\b)\w+": "say `not a`",
    r"\banew\b": "write `again`",
    r"[,;:] for (?:it|its|they|there|then|nobody|what|else)\b": "write `because`",
    r"(?i:\bwhoever\b)": "say who",
    r"\bnone of ours\b": "write `not one of ours`",
    r"\bthat is none\b": "name what it is",
    r'(?<!not )\bat all\."""': "leave `at all` out",
    r"\bof (?:its|their|our|your) own\b": "write `its own …`, or leave `own` out",
    r'(?:^|"""|[.;:!?|] |- )Of (?!course\b)': "begin with a verb or a plain noun",
    r'"""What\b': "begin with a verb or a plain noun",
    r'^"""Who ': "begin with a verb or a plain noun",
}
"""What is looked for in the text, with the remedy."""

ALLOWED: set[tuple[str, str]] = set()
"""Paths, and the text found there, where English really wants it."""


def findings(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, found text and remedy of every pattern, also across the end of a line."""
    # Comment signs go, so that a sentence goes on in its next line; the line numbers stay.
    prose = re.sub(r"[ \t]*\n[ \t]*(?:(?:#+|;|>)[ \t]*)?", "\n", f"\n{text}")
    for pattern, remedy in PATTERNS.items():
        for match in re.finditer(pattern.replace(" ", r"[ \n]"), prose, re.MULTILINE):
            found = match.group().replace("\n", " ").strip()
            yield prose.count("\n", 0, match.start() + 1), found, remedy


def files() -> list[Path]:
    """Every text file below the places of `DONE` but this one, which holds the patterns."""
    places = [ROOT / name for name in DONE]
    found = [path for place in places for path in [place, *sorted(place.rglob("*"))]]
    return [path for path in found if path.is_file() and _is_text(path) and path != Path(__file__)]


def _is_text(path: Path) -> bool:
    return path.suffix in SUFFIXES or path.name in NAMES


def test_all_reworded_files_keep_to_plain_words() -> None:
    found = []
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        for line, text, remedy in findings(path.read_text()):
            if (name, text) not in ALLOWED:
                found.append(f"{name}:{line}: {text!r}: {remedy}")
    assert not found, "not in plain words:\n" + "\n".join(found)


def test_the_places_exist_and_have_text() -> None:
    missing = [name for name in DONE if not (ROOT / name).exists()]
    assert not missing
    assert len(files()) > len(DONE)


@pytest.mark.parametrize(
    "text",
    [
        "A copied file is no change.",
        "where the values\n# are no numbers",
        '"""What a stage is made of."""',
        '"""Of a version, its files."""',
        "- Of imported models nobody knows that.",
        "It is drawn anew.",
        "Wait, for it may come back.",
        "It tells whoever asks.",
        "Whoever asks is told.",
        "It names\n# none of ours.",
        "an address that is none",
        '"""Another password, or one at all."""',
        '"""Who reaches it."""',
        "a folder of their own",
    ],
)
def test_an_accent_is_found(text: str) -> None:
    assert len(list(findings(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "There is no network, there is no page; it is no longer there, is no more than a page",
        "A version of the dataset. Of course, for example, for their sake.",
        "What you get depends on it.",
        "for photos, for models and for it",
        '"""A file is written whole or not at all."""',
    ],
)
def test_plain_english_is_left_alone(text: str) -> None:
    assert not list(findings(text))


def test_a_finding_names_its_line() -> None:
    assert [line for line, _, _ in findings("one\ntwo\n  # and this\n  # is no change")] == [4]
