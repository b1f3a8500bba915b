"""The words of the pages, from `texts.json`: one object for each language, all with the same names.

Another language is another object in that file; nothing else changes.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

DEFAULT_LANGUAGE = "en"


@cache
def languages() -> dict[str, dict[str, str]]:
    """Texts by name, by language."""
    text = (files("srgan.studies.page") / "texts.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found


def choose(wanted: str | None, accepted: str) -> str:
    """Pick a language: the wanted one, or the first of `Accept-Language` that there is."""
    ranked = [(wanted or "", 2.0), *_ranked(accepted), (DEFAULT_LANGUAGE, -1.0)]
    for name, _ in sorted(ranked, key=lambda each: -each[1]):
        language = name.partition("-")[0].strip().lower()
        if language in languages():
            return language
    raise AssertionError("the default language is there")


def texts_of(language: str) -> Mapping[str, str]:
    return languages()[language]


def _ranked(accepted: str) -> list[tuple[str, float]]:
    found = []
    for each in accepted.split(",")[:20]:
        name, _, quality = each.partition(";q=")
        try:
            found.append((name.strip(), min(float(quality or 1), 1.0)))
        except ValueError:
            continue
    return found
