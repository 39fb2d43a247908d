"""``rapidjws audit timestamp``, and the time stamps that ``audit verify`` checks (RFC 3161)."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rapidjws.audit.timestamp_files import timestamp_names
from rapidjws.audit.timestamps import TimestampAuthority, check_timestamps, read_roots
from rapidjws.audit.trail_reader import TrailReader
from rapidjws.cli.audit_archive import Key, note_key
from rapidjws.cli.audit_erase import fail
from rapidjws.cli.output import print_line
from rapidjws.errors import RapidJWSError
from rapidjws.keys.settings import Transport

if TYPE_CHECKING:
    from rapidjws.audit.verification import VerificationReport

Roots = Annotated[
    Path, typer.Option("--timestamp-roots", help="PEM file of the certificates trusted for time stamps.")
]


def timestamp(
    folder: Annotated[Path, typer.Argument(help="The folder of the trail.")],
    *,
    key: Key,
    url: Annotated[str, typer.Option(help="The time stamp authority.")],
    timestamp_roots: Roots,
    ca: Annotated[
        str | None, typer.Option(help="PEM file of the authorities trusted for the connection.")
    ] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds for the whole request.")] = 10.0,
    insecure_allow_http: Annotated[
        bool,
        typer.Option(
            "--insecure-allow-http", help="Allow http: the stamp is verified, what is asked is not hidden."
        ),
    ] = False,
) -> None:
    """Have the trail's checkpoint stamped, and store the stamp beside it: exit 0, 1 for no good stamp, 2."""
    try:
        transport = Transport(timeout_s=timeout_s, ca=ca, insecure_allow_http=insecure_allow_http)
        authority = TimestampAuthority(url, read_roots(timestamp_roots), transport)
        reader = TrailReader(folder, note_key(key))
    except (RapidJWSError, OSError, UnicodeError, ImportError) as fault:
        fail(fault)
    try:
        moment = authority.stamp(reader)
    except (RapidJWSError, OSError) as fault:
        fail(fault, 1 if getattr(fault, "code", "") == "timestamp_failed" else 2)
    print_line(f"{reader.size} records stamped at {shown(moment)}")


def shown(moment: float) -> str:
    """Return a moment as text."""
    return datetime.fromtimestamp(max(0.0, min(moment, 253_402_300_799)), timezone.utc).isoformat()


def add_timestamps(
    report: VerificationReport, reader: TrailReader, roots: Path | None, *, required: bool
) -> None:
    """Check a trail's time stamps as part of its verification; raises what that raises."""
    if roots is None:
        report.timestamps_unchecked = len(timestamp_names(reader.folder))
        return
    found = check_timestamps(reader, read_roots(roots), required=required)
    report.findings += found.findings
    report.timestamps, report.time_stamped = found.stamps, found.size
    report.time_stamped_at = None if found.newest_s is None else shown(found.newest_s)
