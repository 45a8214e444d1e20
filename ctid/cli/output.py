"""What the command prints: tables for a person, documents for a program; mistakes on standard error."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ctid.logs import clean

NARROW = 72
WIDE_WITHOUT_TERMINAL = 160
"""Columns when the output goes into a file or a pipe, where nothing has to fit."""


class Output:
    """Where answers go; `as_json` turns every answer and every mistake into one JSON document a line."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE_WITHOUT_TERMINAL
        self.console = Console(width=width, highlight=False, soft_wrap=False)
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)

    def document(self, document: Any) -> None:
        """Print a JSON document on one line."""
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        sys.stdout.flush()

    def show(self, renderable: RenderableType) -> None:
        """Print for a person."""
        self.console.print(renderable)

    def answer(self, document: Mapping[str, Any], renderable: RenderableType) -> None:
        """Print the document, or what a person reads instead of it."""
        if self.as_json:
            self.document(document)
        else:
            self.show(renderable)

    def fail(self, document: Mapping[str, Any], text: str) -> None:
        """Tell a mistake on standard error: the problem document, or its text."""
        if self.as_json:
            sys.stderr.write(msgspec.json.encode(document).decode() + "\n")
            return
        for line in text.splitlines():
            self._errors.print(Text.assemble(("ctid: ", "bold red"), clean(line)))


def table(columns: Sequence[str], rows: Iterable[Sequence[RenderableType]], *, title: str = "") -> Table:
    """A plain table; a column whose name begins with `>` is set to the right."""
    grid = Table(
        box=None,
        header_style="bold",
        title=title or None,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
    )
    for column in columns:
        right = column.startswith(">")
        grid.add_column(
            column.removeprefix(">"), justify="right" if right else "left", overflow="ellipsis", no_wrap=True
        )
    for row in rows:
        grid.add_row(*row)
    return grid
