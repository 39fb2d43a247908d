"""The list of commands."""

from __future__ import annotations

import typer

from rapidjws.cli.demo import demo
from rapidjws.cli.verify import verify
from rapidjws.cli.version import version

app = typer.Typer(
    name="rapidjws",
    help="Verify JSON Web Signatures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(verify)
app.command()(demo)
app.command()(version)
