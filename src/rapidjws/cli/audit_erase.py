"""``rapidjws audit erase``: contents of records erased, the records kept."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from rapidjws.cli.output import complain, print_line
from rapidjws.errors import RapidJWSError

if TYPE_CHECKING:
    from rapidjws.audit.settings import AuditSettings


def fail(message: object, status: int = 2) -> NoReturn:
    """Say what is wrong on stderr, and end with a status."""
    complain("audit", message)
    raise typer.Exit(status)


def moment_us(text: str | None) -> int | None:
    """Return a date or a moment in microseconds since the epoch."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        found = int(moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        fail(f"{text}: a date or a moment expected, as 2027-01-31T08:00:00Z")
    return found


def erase(
    *,
    config: Annotated[Path, typer.Option("--config", help="Configuration file with the section audit.")],
    reason: Annotated[str, typer.Option(help="Why, for the record: a ticket, a rule.")],
    issuer: Annotated[str | None, typer.Option(help="The issuer of --subject.")] = None,
    subject: Annotated[
        list[str] | None, typer.Option(help="All of this subject; repeat for several.")
    ] = None,
    month: Annotated[
        list[str] | None, typer.Option(help="All under the key of a month, as 2027-01; repeat for several.")
    ] = None,
    record: Annotated[list[int] | None, typer.Option(help="Of this record; repeat for several.")] = None,
    before: Annotated[
        str | None, typer.Option(help="Of all records before a moment: 2027-01-31 or 2027-01-31T08:00:00Z.")
    ] = None,
) -> None:
    """Erase what is stored beside records for good; the log keeps them and says so: exit 0, or 2.

    The sequencer does it where it runs; where it does not, this command takes its place.
    """
    from rapidjws.audit.erasure import ErasureRequest
    from rapidjws.errors import DependencyUnavailable

    if bool(subject) != (issuer is not None):
        fail("--issuer and --subject belong together")
    try:
        settings = configured(config)
        request = ErasureRequest(
            subjects=tuple((issuer or "", one) for one in subject or ()),
            months=tuple(month or ()),
            records=tuple(record or ()),
            before_us=moment_us(before) or 0,
            reason=reason,
        )
        try:
            settings.client().erase(request)
        except DependencyUnavailable as fault:
            if not isinstance(fault.__cause__, (FileNotFoundError, ConnectionRefusedError)):
                raise
            sequencer = settings.sequencer()
            try:
                sequencer.erase(request)
            finally:
                sequencer.close()
    except RapidJWSError as fault:
        fail(fault)
    print_line(f"{settings.folder}: erased; the log has a record of it")


def configured(config: Path) -> AuditSettings:
    """Return the settings of the trail of a configuration; exit 2 where it has none.

    Raises:
        ConfigurationError: The file, or ``configuration_invalid``.
    """
    from rapidjws.config.audit_section import audit_settings_from
    from rapidjws.config.read import load_config

    loaded = load_config(config, check=False)
    settings = audit_settings_from(loaded.section("audit"), loaded.folder)
    if settings is None:
        fail(f"{config}: no section audit")
    return settings
