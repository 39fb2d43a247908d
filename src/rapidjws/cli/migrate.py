"""``rapidjws migrate``: the calls of PyJWT, python-jose and Authlib in a code base, and what they become."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from rapidjws.cli.output import complain, print_line
from rapidjws.compat.source_findings import Finding, look_at


def migrate(
    paths: Annotated[list[Path], typer.Argument(help="Python files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """List calls of PyJWT, python-jose and Authlib with their native form: exit 0 for none, 1 for some, 2
    where a file could not be looked at.

    Sources are parsed, never imported or executed. Links in folders are not followed.
    """
    found, unread, count = look_at(paths)
    if as_json:
        members = {
            "files": count,
            "findings": [one.as_dict() for one in found],
            "not_looked_at": [{"file": one.file, "reason": one.reason} for one in unread],
        }
        print(json.dumps(members))
    else:
        for one in found:
            _show(one)
        print_line(f"files: {count}, places to change: {len(found)}")
    for each in unread:
        complain("migrate", f"{each.file}: not looked at: {each.reason}")
    sys.stdout.flush()
    raise typer.Exit(1 if found else 2 if unread else 0)


def _show(one: Finding) -> None:
    """Print one place to change, a line a fact."""
    print_line(f"{one.file}:{one.line}:{one.column}: {one.library} {one.kind} {one.name}")
    print_line(f"    now:  {one.native}")
    print_line(f"    note: {one.what}")
    for note in one.notes:
        print_line(f"    WARNING: {note}")
