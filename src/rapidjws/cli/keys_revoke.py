"""``rapidjws keys revoke`` and ``unrevoke``: by the running service where it answers, else by the store.

The service says how long it took until every worker refused (metric ``emergency_rotation_seconds``); who
writes the store beside it cannot know.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from rapidjws.cli.admin_client import Admin, AdminFailed, AdminToken, act
from rapidjws.cli.output import complain
from rapidjws.config.load import ConfigFile
from rapidjws.config.read import load_config
from rapidjws.errors import RapidJWSError
from rapidjws.sidecar.settings import absolute_address
from rapidjws.verify.revocations import Revocation

Config = Annotated[
    Path | None,
    typer.Option("--config", help="The engine's configuration, TOML or JSON: its listener, its store."),
]
Kid = Annotated[str | None, typer.Option(help="The key of this name.")]
Thumbprint = Annotated[str | None, typer.Option(help="The key with this RFC 7638 thumbprint.")]
IssuerName = Annotated[str | None, typer.Option("--issuer", help="This iss; alone, all of it.")]
Jti = Annotated[str | None, typer.Option(help="The token of this jti.")]
Sub = Annotated[str | None, typer.Option(help="The subject of this sub, with --issuer.")]
Sid = Annotated[str | None, typer.Option(help="The session of this sid, with --issuer.")]
IssuedBefore = Annotated[int | None, typer.Option(help="Tokens with an iat before, seconds since the epoch.")]
Drill = Annotated[bool, typer.Option("--drill", help="It is an exercise: measured as one.")]


def _fail(message: object) -> NoReturn:
    complain("keys", message)
    raise typer.Exit(2)


def _listener(config: Path, token_file: Path | None) -> tuple[str | None, Path | None]:
    """Return where the service of a configuration takes admin actions, or None, and the file of its token."""
    server = load_config(config).section("server")
    address, folder = server.get("admin_listen"), config.parent
    if token_file is None and "admin_token_file" in server:
        token_file = folder / server["admin_token_file"]
    return None if address is None else absolute_address(address, folder), token_file


def _change(
    config: Path | None,
    admin: str | None,
    token_file: Path | None,
    fields: dict[str, Any],
    *,
    drill: bool = False,
    lift: bool = False,
) -> None:
    """Make or lift a revocation: by the running service, then by the store where that does not answer."""
    if config is None and admin is None:
        _fail("--config or --admin")
    try:
        revocation = Revocation(**fields)
        if config is not None and "revocations" not in load_config(config).tables:
            _fail("nothing would keep it: write [revocations] with file or redis, and restart")
        if admin is None and config is not None:
            admin, token_file = _listener(config, token_file)
    except RapidJWSError as fault:
        _fail(fault)
    if admin is not None:
        try:
            _by_service(admin, token_file, revocation, drill=drill, lift=lift)
        except AdminFailed as failed:
            if config is None:
                _fail(failed)
            complain("keys", f"{failed}; written to the store alone, which workers read; not measured")
    if config is not None:
        _by_store(config, revocation, lift=lift)


def _by_service(
    admin: str, token_file: Path | None, revocation: Revocation, *, drill: bool, lift: bool
) -> NoReturn:
    """Ask the service; ends the command unless it could not be asked (AdminFailed)."""
    wanted = {**revocation.as_dict(), **({"drill": True} if drill else {})}
    status, answer = act(admin, "unrevoke" if lift else "revoke", wanted, token_file)
    workers = answer.get("workers")
    shown = {"unrevoked" if lift else "revoked": revocation.as_dict(), "by": "service"}
    print(json.dumps({**shown, "workers": len(workers) if isinstance(workers, list) else None}))
    if status == 200:
        raise typer.Exit(0)
    why = answer.get("detail") if answer.get("stored") is False else "a worker is behind; it follows"
    complain("keys", why)
    raise typer.Exit(1)


def _by_store(config: Path, revocation: Revocation, *, lift: bool) -> None:
    try:
        opened = ConfigFile(config)
        if lift:
            if not opened.engine.unrevoke(revocation):
                _fail("no such revocation")
        else:
            opened.engine.revoke(**revocation.as_dict())
    except (RapidJWSError, ImportError) as fault:
        _fail(fault)
    print(json.dumps({"unrevoked" if lift else "revoked": revocation.as_dict(), "by": "store"}))


def revoke(
    config: Config = None,
    kid: Kid = None,
    thumbprint: Thumbprint = None,
    issuer: IssuerName = None,
    jti: Jti = None,
    issued_before: IssuedBefore = None,
    sub: Sub = None,
    sid: Sid = None,
    drill: Drill = False,
    admin: Admin = None,
    admin_token_file: AdminToken = None,
) -> None:
    """Refuse a key, a token, or an issuer from now on, wherever this configuration is used.

    The service at --admin, or at admin_listen of the configuration, is asked first: it answers once every
    worker refuses. Where it does not answer the store is written, which workers read. Exit 0 when it holds,
    1 when a worker or the store is behind, 2 when nothing was changed.
    """
    fields = {"kid": kid, "thumbprint": thumbprint, "issuer": issuer, "jti": jti, "sub": sub, "sid": sid}
    _change(config, admin, admin_token_file, {**fields, "issued_before": issued_before}, drill=drill)


def unrevoke(
    config: Config = None,
    kid: Kid = None,
    thumbprint: Thumbprint = None,
    issuer: IssuerName = None,
    jti: Jti = None,
    issued_before: IssuedBefore = None,
    sub: Sub = None,
    sid: Sid = None,
    admin: Admin = None,
    admin_token_file: AdminToken = None,
) -> None:
    """Lift a revocation, named as it was made; by the running service first, as with revoke."""
    fields = {"kid": kid, "thumbprint": thumbprint, "issuer": issuer, "jti": jti, "sub": sub, "sid": sid}
    _change(config, admin, admin_token_file, {**fields, "issued_before": issued_before}, lift=True)
