"""One self-contained HTML page: `render` puts the sections of a report into the template."""

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from srgan.report.content import Content
from srgan.report.sections import (
    dataset_section,
    figures_section,
    headline,
    times_section,
    viewers_section,
)
from srgan.report.training import training_section


def render(content: Content) -> str:
    """Render the page. It loads nothing, and its policy allows only its own script to run.

    The template escapes everything that comes from users (names, keys, sentences).
    """
    decision = content.decision
    css, script = _file("report.css"), _file("report.js")
    return _template().render(
        policy=(
            "default-src 'none'; img-src data:; "
            f"style-src '{_hash(css)}'; script-src '{_hash(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        # Both are our own and contain no closing tag; escaping would change what was hashed.
        css=Markup(css),  # noqa: S704  # not from users
        js=Markup(script),  # noqa: S704  # not from users
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


@cache
def _template() -> Template:
    loader = PackageLoader("srgan.report.page", "")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template("report.html")


def _file(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the policy's source expression that allows exactly this inline text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
