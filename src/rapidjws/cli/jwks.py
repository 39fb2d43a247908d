"""``rapidjws jwks lint``: what is wrong, or unwise, in a JWK Set before partners meet it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rapidjws.cli.files import read_octets
from rapidjws.cli.output import add_row
from rapidjws.jose.lint import Finding, lint_jwks

jwks = typer.Typer(help="Look at JWK Sets.", no_args_is_help=True, add_completion=False)

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


@jwks.callback()
def _group() -> None:
    """Look at JWK Sets."""


@jwks.command()
def lint(
    source: Annotated[Path, typer.Argument(help="JWK Set file, or - for stdin.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a finding.")] = False,
) -> None:
    """Check a JWK Set for publication: exit 0 without errors, 1 with errors, 2 on wrong usage."""
    findings = lint_jwks(read_octets("jwks lint", source))
    if as_json:
        for finding in findings:
            print(json.dumps(finding.as_dict()))
    else:
        _show(findings)
    raise typer.Exit(1 if any(finding.level == "error" for finding in findings) else 0)


def _show(findings: tuple[Finding, ...]) -> None:
    if not findings:
        print("nothing found", file=sys.stderr)
        return
    table = Table("level", "where", "code", "what", box=None)
    for finding in findings:
        row = (finding.level, finding.place, finding.code, finding.text)
        add_row(table, row, _STYLES[finding.level])
    Console().print(table)
