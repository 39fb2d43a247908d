"""``rapidjws runbook``: print what to do when an alert fires."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rapidjws.cli.output import add_row, complain
from rapidjws.errors import RapidJWSError
from rapidjws.observe.runbooks import runbook as read_runbook
from rapidjws.observe.runbooks import runbook_names


def runbook(
    name: Annotated[
        str | None, typer.Argument(help="The name that an alert gives; without one, all are listed.")
    ] = None,
) -> None:
    """Print a runbook as Markdown, or list them: exit 0, or 2 where there is none of the name."""
    if name is None:
        table = Table("runbook", "for", box=None)
        for each in runbook_names():
            add_row(table, (each, read_runbook(each).title))
        Console().print(table)
        return
    try:
        print(read_runbook(name).text, end="")
    except RapidJWSError as refused:
        complain("runbook", refused)
        raise typer.Exit(2) from None
