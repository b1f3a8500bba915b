"""Self-contained HTML pages: the sections of a report in its template."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from srgan.mos.results import RatingResults
from srgan.report.content import Content
from srgan.report.sections import (
    dataset_section,
    figures_section,
    headline,
    times_section,
    viewers_section,
)
from srgan.report.study import (
    StudyContent,
    agreement_section,
    differences_section,
    head_section,
    raters_section,
    scores_section,
    strengths_section,
)
from srgan.report.training import training_section


def render(content: Content) -> str:
    """Render the report of a retraining."""
    decision = content.decision
    return _page(
        "retraining.html",
        _file("report.js"),
        decision=decision,
        verdict="is the champion" if decision.promoted else "was refused",
        made_at=content.made_at,
        rule=content.evidence.rule,
        links={
            words: address
            for words, address in content.links.items()
            if address.startswith(("http://", "https://"))
        },
        headline=headline(content),
        lineage=Markup(content.lineage),  # noqa: S704  # drawn by `chain`, which escapes
        **figures_section(content),
        **viewers_section(content),
        **training_section(content),
        **dataset_section(content),
        **times_section(content),
    )


def render_study(content: StudyContent) -> str:
    """Render the report of a study in which people judged pictures. It needs no script."""
    found = content.results
    sections = (
        {**scores_section(found), **agreement_section(found)}
        if isinstance(found, RatingResults)
        else strengths_section(found)
    )
    return _page(
        "study.html",
        "",
        title=content.title,
        made_at=content.made_at,
        facts=content.facts,
        sources=content.sources,
        images=content.images,
        **head_section(content),
        **sections,
        **differences_section(found),
        **raters_section(found),
    )


def _page(template: str, script: str, **values: Any) -> str:
    """Render a page. It loads nothing, and its policy allows only its own script to run.

    The template escapes everything that comes from users (names, keys, sentences).
    """
    css = _file("report.css")
    return _template(template).render(
        policy=(
            f"default-src 'none'; img-src data:; style-src '{_hash(css)}'; "
            + (f"script-src '{_hash(script)}'; " if script else "")
            + "base-uri 'none'; form-action 'none'"
        ),
        # Both are our own and contain no closing tag; escaping would change what was hashed.
        css=Markup(css),  # noqa: S704  # not from users
        js=Markup(script),  # noqa: S704  # not from users
        **values,
    )


@cache
def _template(name: str) -> Template:
    loader = PackageLoader("srgan.report.page", "")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template(name)


def _file(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the policy's source expression that allows exactly this inline text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
