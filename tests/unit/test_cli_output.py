"""How commands print tables: nothing is cut off, at whatever width."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from rapidjws.cli.output import add_row


def test_a_long_value_is_whole_in_a_narrow_terminal() -> None:
    """A code, a kid or an issuer that finds no room goes on in the next line: none of it is left out."""
    names = (
        "malformed_base64url",
        "https://issuer.example/tenants/one",
        "2026-11-30T08:00:00Z-key-of-the-day",
    )
    table = Table("what", "of whom", "kid", box=None)
    add_row(table, names)
    out = io.StringIO()
    Console(file=out, width=40).print(table)
    lines = [line for line in out.getvalue().splitlines()[1:] if line.strip()]
    assert "…" not in out.getvalue()
    shown = "".join(line.replace(" ", "") for line in lines)
    assert sorted(shown) == sorted("".join(names))
