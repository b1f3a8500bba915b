"""Pages of the documentation site that are not files below docs/, and links that lead to them.

MkDocs imports this file (mkdocs.yml names it).
"""

import inspect
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from srgan.config import Recipe, SetConfig, UpscaleConfig

_ROOT = Path(__file__).parents[2]
_ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "srgan/models/shipped/card.md": "shipped.md",
}
"""Pages of the site by the file that they are."""
_API = ("srgan.upscaling", "srgan.recipes", "srgan.errors")
"""Modules that a user imports."""
_CSS = """/* Names of fields stay in one line. */
.md-typeset td:first-child code { white-space: nowrap; word-break: normal; }
"""
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from elsewhere, and those that are generated from the code."""
    generated = {page: (_ROOT / file).read_text() for file, page in _ELSEWHERE.items()}
    generated["site.css"] = _CSS
    generated["configs.md"] = _configs()
    generated["api.md"] = "# Python\n\n" + "\n\n".join(f"::: {module}" for module in _API)
    for page, text in generated.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to files of the checkout to the pages that those are."""
    here = {site: file for file, site in _ELSEWHERE.items()}.get(
        page.file.src_uri, f"docs/{page.file.src_uri}"
    )

    def lead(found: re.Match[str]) -> str:
        target, mark, anchor = found[1].partition("#")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
        wanted = _ELSEWHERE.get(file, file.removeprefix("docs/"))
        relative = posixpath.relpath(wanted, posixpath.dirname(page.file.src_uri) or ".")
        return f"]({relative}{mark}{anchor})"

    return _LINK.sub(lead, markdown)


def _configs() -> str:
    """Tables of all fields of all configs, with the descriptions that Prefect's forms show."""
    parts = [
        "# Fields of recipes and configs",
        "A recipe is JSON; `srgan recipes NAME` prints one. `prefect deployment run` takes the "
        "same fields.",
    ]
    for model in dict.fromkeys(each for top in _TOPS for each in _models(top)):
        parts += [f"## {model.__name__}", inspect.cleandoc(model.__doc__ or ""), _table(model)]
    return "\n\n".join(parts)


_TOPS: tuple[type[BaseModel], ...] = (Recipe, SetConfig, UpscaleConfig)


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The model and all that its fields hold, from the outside inwards."""
    yield model
    for field in model.model_fields.values():
        for kind in _types(field.annotation):
            yield from _models(kind)


def _types(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _types(each)


def _table(model: type[BaseModel]) -> str:
    rows = ["| field | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        meaning = " ".join((field.description or "").split()).replace("``", "`")
        rows.append(f"| `{name}` | {_default(field)} | {meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return f"[{type(value).__name__}](#{type(value).__name__.lower()})"
    return f"`{value}`"
