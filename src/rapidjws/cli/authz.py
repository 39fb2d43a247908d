"""``rapidjws authz``: try the rules of a configuration on the examples beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rapidjws.cli.authz_examples import ExamplesReport, run_examples
from rapidjws.cli.files import usage
from rapidjws.cli.output import add_row, print_line
from rapidjws.config.read import load_config
from rapidjws.errors import RapidJWSError

app = typer.Typer(help="Rules after the verdict: try them on examples.", no_args_is_help=True)


@app.callback()
def _authz() -> None:
    """Try rules that are applied after the verdict."""


@app.command("test")
def try_examples(
    file: Annotated[Path, typer.Argument(help="Configuration with authz.rules and authz.examples.")],
    coverage: Annotated[
        bool, typer.Option(help="Fail where a rule has no example that meets it, and one that does not.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Try each example: exit 0 where all get what they must, 1 where one does not, 2 on wrong usage."""
    try:
        report = run_examples(load_config(file))
    except RapidJWSError as fault:
        raise usage("authz test", str(fault)) from None
    if as_json:
        print(json.dumps(_as_dict(report)))
    else:
        _show(report)
    failed = not report.is_good or (coverage and bool(report.uncovered))
    raise typer.Exit(1 if failed else 0)


def _as_dict(report: ExamplesReport) -> dict[str, object]:
    names = ("name", "expected", "found", "rule", "is_good")
    return {
        "examples": [{name: getattr(one, name) for name in names} for one in report.results],
        "rules": {name: {"met": report.met[name], "unmet": report.unmet[name]} for name in report.met},
        "uncovered": report.uncovered,
        "good": report.is_good,
    }


def _show(report: ExamplesReport) -> None:
    console = Console()
    table = Table("example", "expected", "found", "rule", box=None)
    for one in report.results:
        style = None if one.is_good else "red"
        add_row(table, (one.name, one.expected, one.found, one.rule or "-"), style=style)
    console.print(table)
    rules = Table("rule", "examples that meet it", "examples that do not", box=None)
    for name in report.met:
        style = "yellow" if name in report.uncovered else None
        add_row(rules, (name, report.met[name], report.unmet[name]), style=style)
    console.print(rules)
    failed = sum(not one.is_good for one in report.results)
    covered = len(report.met) - len(report.uncovered)
    print_line(
        f"{len(report.results)} examples, {failed} failed; {covered} of {len(report.met)} rules covered"
    )
