"""How the command speaks: help at any width, errors in one line, tables, JSON for programs."""

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from srgan.logs import hidden, own_secrets

if TYPE_CHECKING:
    from rich.table import Table

_PLAIN_WIDTH = 160
_MIN_WIDTH = 76  # or a title over a narrow table is folded
_NARROW = 60
"""Columns below which an option's text does not fit beside its name any more."""
_NARROW_NAMES = 8

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs")]


class Commands(typer.Typer):
    """A group of commands. Its help is plain text: the same in a pipe, at any width, in any font.

    typer's own boxes cut the names of options in narrow terminals.
    """

    def __init__(self, help: str) -> None:
        super().__init__(
            cls=_Group,
            help=help,
            no_args_is_help=True,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
        )

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        return super().command(name, cls=_Command, **options)


class _PlainHelp:
    """Help of a command or group of typer, beside which it is a base."""

    help: str | None

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _fit(formatter)
        super().format_help(ctx, formatter)  # type: ignore[misc]  # of typer's class

    def get_short_help_str(self, limit: int = 0) -> str:
        """The first line of the docstring; typer would cut it and end it with dots."""
        return (self.help or "").splitlines()[0]


class _Command(_PlainHelp, TyperCommand): ...


class _Group(_PlainHelp, TyperGroup): ...


def _fit(formatter: Any) -> None:
    """Make a formatter of help fit a narrow terminal; by default it writes 50 columns at least."""
    columns = shutil.get_terminal_size().columns
    if columns < _NARROW:
        formatter.width = max(columns - 1, 20)
        formatter.write_dl = partial(formatter.write_dl, col_max=_NARROW_NAMES)


def say(line: str) -> None:
    """Print a line about the work on stderr, which leaves stdout to the results."""
    typer.echo(line, err=True)


def complain(text: str) -> None:
    """Print an error on stderr, in red where that is a terminal with colours."""
    _print(text, "red")


def warn(text: str) -> None:
    """Print on stderr what is not as it should be, in yellow where that is possible."""
    _print(text, "yellow")


def _print(text: str, style: str) -> None:
    # rich knows NO_COLOR and dumb terminals.
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True).print(Text(hidden(text, own_secrets()), style=style))


def print_json(value: Any) -> None:
    """Print models, dataclasses and plain values as JSON; an infinite number becomes null."""
    from pydantic_core import to_jsonable_python

    plain = to_jsonable_python(value, inf_nan_mode="null")
    # Escaped, because names of files may not be UTF-8; Python's json gives them back as they were.
    typer.echo(json.dumps(plain, indent=1, allow_nan=False))


def show_tables(*tables: "Table") -> None:
    """Print tables; those that go into a pipe are not cut at the terminal's width."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _PLAIN_WIDTH
    # Cells are what people wrote: "[bob]" and ":tea:" are names here, not styles and pictures.
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    for table in tables:
        console.print(table)


def empty_table(*columns: str, title: str | None) -> "Table":
    """Return a table for people with these columns."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(
        title=title,
        box=SIMPLE,
        title_justify="left",
        caption_justify="left",
        min_width=_MIN_WIDTH if title else None,
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
