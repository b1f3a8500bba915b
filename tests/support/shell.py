"""Commands in shell text, as pages of documentation write it."""

import re
import shlex
from collections.abc import Iterator
from itertools import dropwhile
from typing import NamedTuple

SUBSTITUTED = "SUBSTITUTED"
"""Stands in a word for what ``$(…)`` would print."""
_STDIN = "STDIN"
_ENDS = set(";|&\n()")
_REDIRECTIONS = {"<", ">", ">>"}


class Command(NamedTuple):
    """One program with its arguments."""

    words: tuple[str, ...]
    stdin: str | None = None
    """The here-document that it reads."""

    @property
    def text(self) -> str:
        """The command in one line, for people."""
        return shlex.join(self.words)


def commands(text: str, functions: frozenset[str] = frozenset()) -> Iterator[Command]:
    """Every command of a script: of pipes, lists, ``$(…)`` and functions; without assignments.

    `functions` are those that the script around it has. Not a whole shell: loops, conditions and
    arrays are not understood. `ValueError` for a quote that is not closed.
    """
    text = re.sub(r"(?m)(^|\s)#.*$", r"\1", text)
    text = re.sub(r"(?m)^(.*)<<'?(\w+)'?(.*)\n((?:.*\n)*?)\s*\2$", _as_words, text)
    text = text.replace("\\\n", " ")
    functions |= set(re.findall(r"(?m)^\s*(\w+)\(\)", text))
    text, inner = _without_substitutions(text)
    for each in inner:
        yield from commands(each, functions)
    text = re.sub(r"(?m)^\s*\w+\(\) *\{(.*)\}\s*$", r"\1", text)
    for tokens in _split(text):
        words = list(dropwhile(re.compile(r"\w+=").match, tokens))
        if words and words[0] not in functions:
            stdin = words.index(_STDIN) if _STDIN in words else len(words)
            body = words[stdin + 1] if stdin < len(words) else None
            yield Command(tuple(words[:stdin]), body)


def _as_words(found: re.Match[str]) -> str:
    """Put a here-document into its line, as two words."""
    return f"{found[1]} {found[3]} {_STDIN} {shlex.quote(found[4])}"


def _without_substitutions(text: str) -> tuple[str, list[str]]:
    """The text with `SUBSTITUTED` for each outermost ``$(…)``, and what stood in these."""
    inner: list[str] = []
    while (start := text.find("$(")) >= 0:
        depth, end = 1, start + 2
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        if depth:
            raise ValueError(f"$( is not closed: {text[start:]}")
        inner.append(text[start + 2 : end - 1])
        text = text[:start] + SUBSTITUTED + text[end:]
    return text, inner


def _split(text: str) -> Iterator[list[str]]:
    """Words of each simple command; redirections to and from files are left out."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=";|&()<>\n")
    reader.whitespace, reader.whitespace_split, reader.commenters = " \t\r", True, ""
    words: list[str] = []
    tokens = iter(reader)
    for token in tokens:
        if token and set(token) <= _ENDS:
            yield words
            words = []
        elif token in _REDIRECTIONS:
            next(tokens)
        else:
            words.append(token)
    yield words
