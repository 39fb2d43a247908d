"""What commands print: foreign text always goes through one escaping helper on its way to a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rapidjws import escaping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text


def cell(value: object, style: str = "") -> Text:
    """Return a value as a table cell or line: no markup, no control characters."""
    from rich.text import Text  # loaded where a table is drawn: a service starts without

    return Text("" if value is None else escaping.terminal(value), style=style)


def add_row(table: Table, values: Sequence[object], style: str | None = None) -> None:
    """Add foreign values as a row; what finds no room in a line goes on in the next one, whole."""
    from rich.text import Text

    for column in table.columns:
        column.overflow = "fold"
    table.add_row(*(value if isinstance(value, Text) else cell(value) for value in values), style=style)


def print_line(text: object) -> None:
    """Print one line to stdout."""
    print(escaping.terminal(text, 2000))


def complain(command: str, message: object) -> None:
    """Print one line about a command to stderr."""
    print(f"rapidjws {command}: {escaping.terminal(message, 2000)}", file=sys.stderr)
