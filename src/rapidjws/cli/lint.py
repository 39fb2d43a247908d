"""``rapidjws lint``: a configuration against best current practice, row by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from rapidjws.cli.config_check import problems_of
from rapidjws.cli.files import usage
from rapidjws.cli.lint_rows import (
    ERROR,
    FAILS,
    HOLDS,
    NOTE,
    SPECIFICATIONS,
    WARNING,
    Finding,
    findings_in,
)
from rapidjws.cli.lint_sarif import sarif_of
from rapidjws.cli.output import cell, complain, print_line
from rapidjws.config.locate import line_of
from rapidjws.config.read import load_config
from rapidjws.errors import RapidJWSError
from rapidjws.sidecar.settings import settings_from

_STYLES = {ERROR: "bold red", WARNING: "yellow", NOTE: "dim"}


def lint(
    *,
    config: Annotated[Path, typer.Option(help="The configuration, TOML or JSON.")],
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="rfc8725, rfc9068, rfc9700 or fapi2, several times; by default all, some with notes alone."
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="End with 1 for warnings as well.")] = False,
    output: Annotated[
        Literal["text", "json", "sarif"],
        typer.Option("--format", help="A table, JSON, or SARIF 2.1.0 for CI."),
    ] = "text",
) -> None:
    """Hold a configuration against RFC 8725, 9068, 9700 and FAPI 2.0: exit 0 if none is broken, else 1.

    Wrong usage, or a configuration with faults, ends with 2. Nothing is fetched.
    """
    unknown = sorted(set(against or ()) - set(SPECIFICATIONS))
    if unknown:
        raise usage("lint", f"--against {unknown[0]}: one of {', '.join(SPECIFICATIONS)} expected")
    problems = problems_of(config, lambda table: settings_from(table, config.parent), files=False)
    for problem in problems:
        complain("lint", f"{config}:{problem}")
    if problems:
        raise typer.Exit(2)
    try:
        loaded = load_config(config)
    except RapidJWSError as fault:
        raise usage("lint", str(fault)) from None
    findings = findings_in(loaded.tables, against or tuple(SPECIFICATIONS), demanded=bool(against))
    text = loaded.text

    def line(setting: tuple[str | int, ...]) -> int | None:
        return line_of(text.text, setting, is_json=text.is_json)

    if output == "sarif":
        print(json.dumps(sarif_of(findings, config, line), indent=2))
    elif output == "json":
        print(json.dumps([_as_dict(one, loaded.issuers, line(one.setting)) for one in findings], indent=2))
    else:
        _show(findings, loaded.issuers)
    failing = {ERROR, WARNING} if strict else {ERROR}
    failed = any(one.status == FAILS and one.level in failing for one in findings)
    raise typer.Exit(1 if failed else 0)


def _issuer(one: Finding, issuers: list[dict[str, Any]]) -> str | None:
    if one.issuer is None:
        return None
    table = issuers[one.issuer]
    iss = table.get("iss", table.get("trust_domain"))
    return str((iss[0] if isinstance(iss, list) and iss else iss) or f"issuers[{one.issuer}]")


def _as_dict(one: Finding, issuers: list[dict[str, Any]], line: int | None) -> dict[str, Any]:
    row = one.row
    return {
        "id": row.name,
        "specification": SPECIFICATIONS[row.source],
        "section": row.section,
        "asks": row.asks,
        "status": one.status,
        "level": one.level,
        "issuer": _issuer(one, issuers),
        "setting": "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in one.setting).lstrip("."),
        "line": line,
        "found": one.found,
        "mend": None if one.status == HOLDS else row.mend,
    }


def _show(findings: list[Finding], issuers: list[dict[str, Any]]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for one in findings:
        row, is_broken = one.row, one.status == FAILS
        word = one.level if is_broken else one.status
        source = f"{SPECIFICATIONS[row.source]} {row.section}"
        whose = _issuer(one, issuers)
        asks = row.asks if whose is None else f"{whose}: {row.asks}"
        found = "" if one.found == "always" else f" ({one.found})"
        mend = f"; mend: {row.mend}" if is_broken else ""
        style = _STYLES[one.level] if is_broken else ""
        console.print(cell(f"{word:<15}{source:<24}{asks}{found}{mend}", style=style))
    counts = {level: sum(one.status == FAILS and one.level == level for one in findings) for level in _STYLES}
    held = sum(one.status == HOLDS for one in findings)
    print_line(
        f"{len(findings)} rows: {held} hold, {counts[ERROR]} errors, {counts[WARNING]} warnings, "
        f"{counts[NOTE]} notes"
    )
