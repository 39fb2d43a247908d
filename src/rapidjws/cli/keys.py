"""``rapidjws keys``: look at, refresh, revoke and restore the keys of a configuration."""

from __future__ import annotations

import json
from concurrent import futures
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, cast

import typer
from rich.console import Console
from rich.table import Table

from rapidjws.cli.admin_client import Admin, AdminFailed, AdminToken, ask, malformed
from rapidjws.cli.keys_compare import compare_keys
from rapidjws.cli.keys_revoke import revoke, unrevoke
from rapidjws.cli.keys_running import is_same, show_running
from rapidjws.cli.output import add_row, complain, print_line
from rapidjws.config.load import ConfigFile
from rapidjws.errors import RapidJWSError
from rapidjws.keys.fetched import FetchedKeys
from rapidjws.sidecar.key_status import key_row

app = typer.Typer(
    help="Keys of a configuration: status, compare, refresh, revoke, unrevoke.",
    no_args_is_help=True,
    add_completion=False,
)

OWN_KEYS: Final = (
    "fetched by this command alone; a running service keeps its own keys: rapidjws runbook cache-flush"
)

Config = Annotated[Path, typer.Option("--config", help="The engine's configuration, TOML or JSON.")]
MaybeConfig = Annotated[
    Path | None, typer.Option("--config", help="The engine's configuration, TOML or JSON.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object an issuer.")]
Wait = Annotated[float, typer.Option(help="Longest wait for an issuer, in seconds.", min=0.1, max=60)]


def _fail(message: str) -> NoReturn:
    complain("keys", message)
    raise typer.Exit(2)


def _open(config: Path) -> ConfigFile:
    try:
        return ConfigFile(config)
    except (RapidJWSError, ImportError) as fault:
        _fail(str(fault))


def _rows(opened: ConfigFile, wait_s: float, *, refresh: bool) -> list[dict[str, Any]]:
    """Fetch every source once and return what there is to see of each issuer."""
    rows: list[dict[str, Any]] = []
    for issuer in opened.engine.issuers:
        source = opened.engine.source_of(issuer.name)
        answered = True
        if isinstance(source, FetchedKeys):
            answered = source.refresh(wait_s) if refresh else _first_answer(source, wait_s)
        rows.append({**key_row(opened.engine, issuer.name), "answered": answered})
    return rows


def _first_answer(source: FetchedKeys, wait_s: float) -> bool:
    answered = source.next_answer()
    if source.status().fetches and source.ready:
        return True
    futures.wait((answered,), wait_s)
    return source.ready


def _seconds(value: float | None) -> str:
    return "-" if value is None else str(value)


def _show(rows: list[dict[str, Any]], revocations: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    table = Table("issuer", "kids", "age s", "stale in s", "state", box=None)
    for row in rows:
        state = row["code"] or (row.get("failure") or "ok")
        kids = " ".join("(no kid)" if kid is None else str(kid) for kid in row["kids"])
        ages = (_seconds(row.get(name)) for name in ("age_s", "stale_in_s"))
        add_row(table, (row["issuer"] or "(any iss)", kids or "none", *ages, state))
    console = Console()
    console.print(table)
    for revocation in revocations:
        print_line(f"revoked: {json.dumps(revocation)}")


def _revoked(opened: ConfigFile) -> list[dict[str, Any]]:
    return [one.as_dict() for one in opened.engine.revocations()]


@app.command()
def status(
    config: MaybeConfig = None,
    wait: Wait = 10.0,
    as_json: AsJson = False,
    admin: Admin = None,
    admin_token_file: AdminToken = None,
    fresh: Annotated[
        bool, typer.Option("--fresh/--no-fresh", help="With --admin: compare with a fresh fetch.")
    ] = True,
) -> None:
    """Show each issuer's keys; exit 1 where one that is required has none, or where keys differ.

    With --config the keys are fetched now. With --admin a running service is asked for those that each of
    its workers uses, with their ages; it fetches each set once more, beside them, and workers that differ
    from one another or from that are named. Exit 2 where the service cannot be asked.
    """
    if (config is None) == (admin is None):
        _fail("one of --config and --admin")
    if admin is not None:
        _show_running(admin, admin_token_file, as_json=as_json, fresh=fresh)
        return
    opened = _open(cast("Path", config))
    rows = _rows(opened, wait, refresh=False)
    _show(rows, _revoked(opened), as_json=as_json)
    raise typer.Exit(0 if opened.engine.ready else 1)


def _show_running(admin: str, token_file: Path | None, *, as_json: bool, fresh: bool) -> None:
    try:
        running = ask(admin, "keys?fresh=1" if fresh else "keys", token_file)
        good = running["ready"] is True and is_same(running)
        show_running(running, as_json=as_json)
    except AdminFailed as failed:
        _fail(str(failed))
    except (KeyError, TypeError, ValueError, AttributeError):
        _fail(str(malformed(admin)))
    raise typer.Exit(0 if good else 1)


app.command("compare")(compare_keys)


@app.command()
def refresh(config: Config, wait: Wait = 10.0, as_json: AsJson = False) -> None:
    """Fetch each issuer's keys now, for this command alone; exit 1 where one did not answer.

    A running service does not hear of it and keeps what it has: have its workers fetch by
    POST /hooks/jwks-rotated, as the runbook cache-flush does, and look with `keys status --admin`.
    """
    opened = _open(config)
    rows = _rows(opened, wait, refresh=True)
    _show(rows, _revoked(opened), as_json=as_json)
    typer.echo(OWN_KEYS, err=True)
    raise typer.Exit(0 if all(row["answered"] for row in rows) else 1)


app.command()(revoke)
app.command()(unrevoke)
