"""``rapidjws audit witness-request``, ``witness-add`` and ``witness-check``: cosignatures of checkpoints."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from rapidjws import _files
from rapidjws.audit.trail_reader import TrailReader
from rapidjws.audit.witnesses import WitnessKey, add_cosignatures, check_witnesses, witness_request
from rapidjws.cli.audit_archive import Key, note_key
from rapidjws.cli.audit_erase import fail
from rapidjws.cli.output import print_line
from rapidjws.errors import RapidJWSError

Trail = Annotated[Path, typer.Argument(help="The folder of the trail.")]
Witness = Annotated[list[str], typer.Option("--witness", help="Public key of a witness; repeat for several.")]


def witness_request_(
    folder: Trail,
    *,
    key: Key,
    old: Annotated[int, typer.Option(help="The size that the witness knows.", min=0)] = 0,
) -> None:
    """Print what a witness's add-checkpoint takes (C2SP tlog-witness): exit 0, or 2."""
    try:
        sys.stdout.write(witness_request(TrailReader(folder, note_key(key)), old).decode("utf-8"))
    except (RapidJWSError, OSError, UnicodeError) as fault:
        fail(fault)


def witness_add(
    folder: Trail,
    *,
    key: Key,
    witness: Witness,
    request: Annotated[
        Path | None, typer.Option(help="What was sent; needed where the trail has grown since.")
    ] = None,
) -> None:
    """Store the cosignatures on stdin beside the trail, where they are good: exit 0, or 2."""
    try:
        keys = [WitnessKey.from_text(one) for one in witness]
        lines = sys.stdin.buffer.read(1 << 16)
        sent = None if request is None else _files.read_trusted(request, 1 << 17)
        _show(add_cosignatures(TrailReader(folder, note_key(key)), lines, keys, request=sent))
    except (RapidJWSError, OSError, UnicodeError) as fault:
        fail(fault)


def witness_check(
    folder: Trail,
    *,
    key: Key,
    witness: Witness,
    needed: Annotated[int, typer.Option(help="How many must have signed.", min=1)] = 1,
) -> None:
    """Show up to where enough witnesses signed the trail: exit 0, 1 where none did or the tree differs."""
    try:
        keys = [WitnessKey.from_text(one) for one in witness]
        reader = TrailReader(folder, note_key(key))
    except (RapidJWSError, OSError, UnicodeError) as fault:
        fail(fault)
    try:
        size, found = check_witnesses(reader, keys, needed)
    except (RapidJWSError, OSError) as fault:
        fail(fault, 1)
    print_line(f"{size} of {reader.size} records are witnessed")
    _show(found)


def _show(found: dict[str, int]) -> None:
    for name, time_s in sorted(found.items()):
        moment = datetime.fromtimestamp(min(time_s, 253_402_300_799), timezone.utc)
        print_line(f"{name} at {moment.isoformat()}")
