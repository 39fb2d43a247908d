"""``rapidjws config``: check a configuration without serving it, show it, begin one, print its schema."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from rapidjws.cli.admin_client import Admin, AdminFailed, AdminToken, ask, malformed
from rapidjws.cli.config_check import problems_of
from rapidjws.cli.config_schema import defaults_of, json_schema
from rapidjws.cli.output import complain, print_line
from rapidjws.config import schema
from rapidjws.config.effective import REDACTED, differences, settings_of, without_secrets
from rapidjws.config.read import load_config
from rapidjws.errors import RapidJWSError
from rapidjws.sidecar.settings import absolute_address, settings_from

app = typer.Typer(
    help="Configuration files: check, show, init, schema.", no_args_is_help=True, add_completion=False
)

File = Annotated[Path, typer.Argument(help="The configuration, TOML or JSON.")]
IgnoreFiles = Annotated[
    bool,
    typer.Option(
        "--ignore-files",
        help="Leave aside the files, folders and modules it names: it is for another machine.",
    ),
]
_STAND_IN: Final = re.compile(r"\([0-9a-f]{32}\)")

STARTER: Final = """\
# A configuration of rapidjws: `rapidjws config check FILE`, then `rapidjws serve --config FILE`.
# Paths are relative to this file's folder. Issuers may change while it is served; the rest needs a restart.

[[issuers]]
iss = "https://issuer.example"                        # exactly as in the tokens
jwks_url = "https://issuer.example/.well-known/jwks.json"
algorithms = ["ES256"]                                # nothing is allowed by default
audience = ["https://api.example"]                    # what the tokens call this service
# leeway_s = 60                                       # clock difference forgiven, seconds
# typ = "at+jwt"                                      # the typ that tokens must have

[rollout]
state = "state"                                       # a folder that all workers share; made at the start
phase = "detection"                                   # refuses nothing; `rapidjws rollout promote` goes on
unattributed = "default"                              # or "strictest"

# [[partners]]
# name = "shop"
# issuers = ["https://issuer.example"]

[revocations]
file = "revocations.json"                             # `rapidjws keys revoke` writes it

[server]
listen = "127.0.0.1:8088"
workers = 1
admin_listen = "unix:admin.sock"                      # for its owner only
# partner_header = "X-Partner"                        # the gateway must overwrite it
"""


def _settings(folder: Path) -> Any:
    return lambda table: settings_from(table, folder)


@app.command()
def check(
    file: File,
    ignore_files: IgnoreFiles = False,
    admin: Admin = None,
    admin_token_file: AdminToken = None,
) -> None:
    """List all that is wrong, with line, setting and what is allowed: exit 0 when nothing is, else 1.

    With --admin, also list what a good file would change in a running service: exit 0 when nothing, 3 when
    something, 2 when the service cannot be asked.
    """
    problems = problems_of(file, _settings(file.parent), files=not ignore_files)
    for one in problems:
        print_line(f"{file}:{one}")
    if problems:
        raise typer.Exit(1)
    print(f"{file}: good")
    if admin is not None:
        raise typer.Exit(3 if _compare(file, admin, admin_token_file) else 0)


def _compare(file: Path, admin: str, token_file: Path | None) -> bool:
    """Print what a file would change in a running service; return whether that is anything."""
    try:
        running = ask(admin, "config", token_file)
        salt, tables = bytes.fromhex(running["salt"]), dict(running["tables"])
        mine = without_secrets(load_config(file).tables, salt)
        defaults = {name: defaults_of(name) for name in schema.TABLES}
        found = differences(*(settings_of(_addresses(one, file.parent), defaults) for one in (tables, mine)))
    except (RapidJWSError, AdminFailed) as refused:
        complain("config", refused)
        raise typer.Exit(2) from None
    except (KeyError, TypeError, ValueError, AttributeError):
        complain("config", malformed(admin))
        raise typer.Exit(2) from None
    for one in found:
        before, after = _value(one.before), _value(one.after)
        words = {"added": after, "removed": before, "changed": f"{before} -> {after}"}[one.kind]
        print_line(f"{one.kind} {one.setting}: {words} ({one.needs})")
    restarts = sum(one.needs == "restart" for one in found)
    if found:
        print(f"{len(found)} settings would change, {restarts} of them with a restart only")
    else:
        print("the running service has all of it")
    return bool(found)


def _addresses(tables: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return tables whose Unix sockets have absolute paths, as the service has them from its command line."""
    server = dict(tables.get("server", {}))
    for name in schema.ADDRESSES:
        if name in server:
            server[name] = absolute_address(server[name], folder)
    return {**tables, "server": server}


def _value(value: Any) -> str:
    """Return a value on a line, without what stands for a password."""
    return _STAND_IN.sub(REDACTED, json.dumps(value, default=str))


@app.command()
def show(file: File) -> None:
    """Print the settings that hold, defaults filled in, as JSON; secrets are redacted."""
    problems = problems_of(file, _settings(file.parent), files=False)
    for one in problems:
        complain("config", f"{file}:{one}")
    if problems:
        raise typer.Exit(1)
    tables = without_secrets(load_config(file).tables)
    shown: dict[str, Any] = {name: {**defaults_of(name), **tables.get(name, {})} for name in schema.SECTIONS}
    shown["server"]["body"] = shown.pop("server.body")  # it stands within the other one
    shown["issuers"] = [{**defaults_of("issuers"), **one} for one in tables.get("issuers", ())]
    shown["partners"] = tables.get("partners", [])
    print(json.dumps(shown, indent=2, default=str))


@app.command()
def init(file: File) -> None:
    """Write a commented configuration to begin with; a file that is there stays as it is."""
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(STARTER)
    except OSError as fault:
        complain("config", f"{file}: {fault.strerror}")
        raise typer.Exit(2) from None
    print_line(f"{file}: written; next: rapidjws config check {file}")


@app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of configuration files, for editors."""
    print(json.dumps(json_schema(), indent=2))
