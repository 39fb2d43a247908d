"""``rapidjws diff``: whether a body is, byte for byte, what a token signed; and how it differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rapidjws.cli.files import read_octets, usage
from rapidjws.cli.output import cell
from rapidjws.cli.token_input import read_token
from rapidjws.diagnose.lenient import read
from rapidjws.diagnose.payload_diff import PayloadDiff, payload_diff


def diff(
    token: Annotated[str, typer.Argument(help="A token, or a file with one.")],
    body: Annotated[Path, typer.Argument(help="File with the request body, - for stdin.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, without the payloads.")] = False,
) -> None:
    """Compare: exit 0 where they are equal, 1 where they differ. The token is not verified."""
    payload = read(read_token("diff", token)).decoded[1]
    if payload is None:
        raise usage("diff", "the token's payload cannot be decoded")
    found = payload_diff(payload, read_octets("diff", body))
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        _show(found)
    raise typer.Exit(0 if found.equal else 1)


def _show(found: PayloadDiff) -> None:
    console = Console()
    if found.equal:
        console.print(f"equal, {len(found.body)} bytes", style="green", highlight=False)
        return
    console.print(Text(f"different: {', '.join(found.kinds)}", style="bold red"))
    for place in found.places:
        console.print(cell(f"  at {place}"))
    signed, body, signed_hex, body_hex = found.windows()
    table = Table("", "bytes", f"around byte {found.offset}", "hexadecimal", box=None)
    table.add_row("signed", str(len(found.signed)), cell(signed), Text(signed_hex), style="green")
    table.add_row("body", str(len(found.body)), cell(body), Text(body_hex), style="red")
    console.print(table)
