"""``rapidjws diagnose``: why a token is refused; ``rapidjws diagnose key``: whether a key is there."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from rapidjws.cli.admin_client import Admin, AdminFailed, AdminToken, ask, malformed
from rapidjws.cli.diagnose_running import running_keys, show_running_keys
from rapidjws.cli.files import read_octets, usage
from rapidjws.cli.output import add_row, cell
from rapidjws.cli.token_input import read_jwks, read_token, surroundings
from rapidjws.contract.fetch import fetch
from rapidjws.diagnose.availability import STALE_AFTER_S, KeyAvailability, key_availability
from rapidjws.diagnose.face import diagnose as diagnose_token
from rapidjws.diagnose.report import Report


class Format(str, enum.Enum):
    """How a report is written."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def diagnose(
    token: Annotated[
        str, typer.Argument(help="A token, a file with one, - for stdin; or the word 'key'.")
    ] = "-",
    jwks: Annotated[str | None, typer.Option(help="Keys in use: a JWK Set file or URL.")] = None,
    alg: Annotated[list[str] | None, typer.Option(help="Allowed algorithm; repeat for several.")] = None,
    issuer: Annotated[str | None, typer.Option(help="iss that tokens must have; checks claims.")] = None,
    audience: Annotated[list[str] | None, typer.Option(help="Accepted aud; repeat for several.")] = None,
    leeway: Annotated[int, typer.Option(help="Clock leeway in seconds.", min=0)] = 60,
    crit: Annotated[
        list[str] | None, typer.Option(help="Critical extension that is understood, such as b64; repeat.")
    ] = None,
    body: Annotated[Path | None, typer.Option(help="File with the request body.")] = None,
    fresh: Annotated[str | None, typer.Option(help="JWK Set file or URL fetched just now.")] = None,
    also: Annotated[list[str] | None, typer.Option(help="NAME=JWKS of another environment.")] = None,
    now: Annotated[float | None, typer.Option(help="Judge at this time, seconds since 1970.")] = None,
    cache_age: Annotated[float | None, typer.Option(help="Age of the keys in use, seconds.")] = None,
    output: Annotated[Format, typer.Option("--format", "-f", help="How to write the report.")] = Format.TEXT,
    show_token: Annotated[bool, typer.Option("--show-token", help="Do not redact the token.")] = False,
    kid: Annotated[str | None, typer.Option(help="For 'key': the kid to look for.")] = None,
    admin: Admin = None,
    admin_token_file: AdminToken = None,
) -> None:
    """Explain a refusal: exit 0 for an accepted token, 1 for a refused one, 2 on wrong usage.

    'rapidjws diagnose key --kid KID --jwks IN_USE --fresh URL' tells whether a key is available. With --admin
    instead of --jwks, each worker of a running service is looked at, and the service fetches once more.
    """
    if token == "key" and admin is not None:
        _running_key(kid, jwks, fresh, issuer, admin, admin_token_file, output)
    if jwks is None:
        raise usage("diagnose", "--jwks names the keys in use")
    if token == "key":
        _key(kid, jwks, fresh, issuer, cache_age, output)
    others = dict(_named(text) for text in also or [])
    report = diagnose_token(
        read_token("diagnose", token),
        surroundings(
            "diagnose", read_jwks("diagnose", jwks), alg or [], issuer, audience or [], leeway, crit or []
        ),
        algorithms=alg,
        body=None if body is None else read_octets("diagnose", body),
        now=now,
        fresh=None if fresh is None else read_jwks("diagnose", fresh),
        also=others,
        cache_age_s=cache_age,
        show_token=show_token,
    )
    _write(report, output)
    raise typer.Exit(0 if report.accepted else 1)


def _named(text: str) -> tuple[str, bytes]:
    name, found, source = text.partition("=")
    if not found:
        raise usage("diagnose", "--also takes NAME=JWKS")
    return name, read_jwks("diagnose", source)


def _write(report: Report, output: Format) -> None:
    if output is Format.JSON:
        print(report.to_json())
    elif output is Format.MARKDOWN:
        print(report.to_markdown())
    else:
        report.to_terminal(Console())


def _running_key(
    kid: str | None,
    jwks: str | None,
    fresh: str | None,
    issuer: str | None,
    admin: str,
    token_file: Path | None,
    output: Format,
) -> NoReturn:
    """Answer for ``diagnose key --admin`` and leave: 0 where every worker can use the key, else 1."""
    if kid is None:
        raise usage("diagnose key", "--kid names the key")
    if jwks is not None or fresh is not None:
        raise usage("diagnose key", "--admin takes the keys in use and fresh ones from the service")
    try:
        found = running_keys(ask(admin, "keys?fresh=1&jwks=1", token_file), kid, issuer)
    except AdminFailed as failed:
        raise usage("diagnose key", str(failed)) from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise usage("diagnose key", str(malformed(admin))) from None
    if not found:
        raise usage("diagnose key", "--issuer: the service has no such issuer")
    show_running_keys(found, as_json=output is not Format.TEXT)
    raise typer.Exit(0 if any(one.is_available for one in found) else 1)


def _key(
    kid: str | None, jwks: str, fresh: str | None, issuer: str | None, age: float | None, output: Format
) -> None:
    """Answer for ``diagnose key`` and leave: 0 where the key can be used, else 1."""
    if kid is None:
        raise usage("diagnose key", "--kid names the key")
    body, fault = None, None
    if fresh is not None:
        if fresh.startswith(("http://", "https://")):
            got = fetch(fresh)
            body, fault = (got.body if got.fault is None else None), got.fault
        else:
            body = read_octets("diagnose key", Path(fresh))
    found = key_availability(
        kid,
        read_jwks("diagnose key", jwks),
        body,
        issuer=issuer,
        cache_age_s=age,
        stale_after_s=STALE_AFTER_S,
        fetch_fault=fault,
    )
    if output is Format.TEXT:
        _show_key(found)
    else:
        print(json.dumps(found.as_dict(), indent=2))
    raise typer.Exit(0 if found.state == "available" else 1)


def _show_key(found: KeyAvailability) -> None:
    console = Console()
    style = "green" if found.state == "available" else "bold red"
    console.print(f"[{style}]{found.state}[/]", highlight=False)
    console.print(cell(found.text))
    table = Table("set", "kids", box=None)
    add_row(table, ("in use", ", ".join(map(str, found.kids_in_use)) or "none"))
    if found.kids_fresh is not None:
        add_row(table, ("fresh", ", ".join(map(str, found.kids_fresh)) or "none"))
    console.print(table)
    for line in found.left_out:
        console.print(cell(f"left out, {line}", "yellow"))
    if found.fetch_fault is not None:
        console.print(cell(f"no fresh keys: {found.fetch_fault}", "yellow"))
