"""Texts of the pages: complete in every language."""

import re

import pytest

from srgan.studies.texts import choose, languages


def test_every_language_has_the_same_texts_with_the_same_places_to_fill() -> None:
    english = languages()["en"]
    assert set(languages()) == {"en", "ko"}
    for name, texts in languages().items():
        assert texts.keys() == english.keys(), name
        for key, text in texts.items():
            assert text.strip(), f"{name}: {key}"
            found, expected = (set(re.findall(r"\{\w+\}", each)) for each in (text, english[key]))
            assert found == expected, f"{name}: {key}"


@pytest.mark.parametrize(
    ("wanted", "accepted", "language"),
    [
        ("ko", "en", "ko"),
        (None, "de-DE,ko-KR;q=0.8,en;q=0.7", "ko"),
        (None, "en-GB,ko;q=0.9", "en"),
        ("xx", "fr", "en"),
        (None, ";q=x,,*;q=", "en"),
        (None, "", "en"),
    ],
)
def test_the_language_is_the_wanted_one_or_the_browser_s(
    wanted: str | None, accepted: str, language: str
) -> None:
    assert choose(wanted, accepted) == language
