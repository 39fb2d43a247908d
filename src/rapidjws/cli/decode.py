"""``rapidjws decode``: what a token says, without keys; nothing of it is verified."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rapidjws.cli.output import add_row, cell
from rapidjws.cli.token_input import read_token
from rapidjws.diagnose.decode import NOT_VERIFIED, Decoded
from rapidjws.diagnose.decode import decode as decode_token

_VALUE_MAX_CHARS = 500


def decode(
    token: Annotated[str, typer.Argument(help="A token, a file with one, or - for stdin.")] = "-",
    now: Annotated[
        float | None, typer.Option(help="Tell times from this moment, seconds since 1970.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show header, claims and times of a token WITHOUT VERIFYING it: exit 0, or 1 where it is no JWS."""
    found = decode_token(read_token("decode", token), now_s=now)
    if as_json:
        print(json.dumps(found.as_dict(), allow_nan=False))
    else:
        _show(found)
    raise typer.Exit(0 if found.is_jws else 1)


def _show(found: Decoded) -> None:
    console = Console()
    console.print(Text(NOT_VERIFIED, style="bold yellow"))
    console.print(cell(found.looks_like))
    for kind, likeness in (("provider", found.provider), ("profile", found.profile)):
        if likeness is not None:
            console.print(cell(f"{kind}: looks like {likeness.name}, by {likeness.why}"))
    sizes = ", ".join(
        f"{name} {'?' if size is None else size}"
        for name, size in zip(("header", "payload", "signature"), found.part_bytes, strict=True)
    )
    decoded = "" if found.part_bytes == (None, None, None) else f"; decoded: {sizes}"
    console.print(cell(f"{found.size_bytes} bytes{decoded}"))
    for fault in found.faults:
        console.print(cell(f"fault: {fault}", "yellow"))
    for step in found.next_steps:
        console.print(cell(f"next: {step}", "bold"))
    _members(console, "header, not verified", found.unverified_header, {})
    for number, header in enumerate(found.other_headers, 2):
        _members(console, f"header of signature {number}, not verified", header, {})
    _members(console, "claims, not verified", found.unverified_claims, found.times)
    sys.stdout.flush()


def _members(console: Console, title: str, value: Any, times: dict[str, str]) -> None:
    """Print the members of an object, a date with its words."""
    if not isinstance(value, dict):
        if value is not None:
            console.print(cell(f"{title}: {json.dumps(value, ensure_ascii=False)[:_VALUE_MAX_CHARS]}"))
        return
    console.print(cell(title, "italic"))
    table = Table(show_header=False, box=None)
    for name, item in value.items():
        text = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
        add_row(table, (name, text[:_VALUE_MAX_CHARS], times.get(name, "")))
    console.print(table)
