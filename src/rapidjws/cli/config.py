"""``rapidjws config``: check a configuration without serving it, show it, begin one, print its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from rapidjws.cli.config_check import problems_of
from rapidjws.cli.config_schema import json_schema
from rapidjws.cli.output import complain, say
from rapidjws.cli.serve import settings_from
from rapidjws.errors import RapidJWSError
from rapidjws.policy import schema
from rapidjws.policy.config import load_config

app = typer.Typer(help="Configuration files: check, show, init, schema.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="The configuration, TOML or JSON.")]
IgnoreFiles = Annotated[
    bool,
    typer.Option(
        "--ignore-files",
        help="Leave aside the files, folders and modules it names: it is for another machine.",
    ),
]
_REDACTED: Final = "(redacted)"

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
phase = "detection"                                   # begins so; `rapidjws rollout promote` goes on
unattributed = "default"                              # or "strictest"

# [[partners]]
# name = "shop"
# issuers = ["https://issuer.example"]

[server]
listen = "127.0.0.1:8088"
workers = 1
admin_listen = "unix:admin.sock"                      # for its owner only
# partner_header = "X-Partner"                        # the gateway must overwrite it
"""


def _settings(folder: Path) -> Any:
    return lambda table: settings_from(table, folder)


@app.command()
def check(file: File, ignore_files: IgnoreFiles = False) -> None:
    """List all that is wrong, with line, setting and what is allowed: exit 0 when nothing is, else 1."""
    problems = problems_of(file, _settings(file.parent), files=not ignore_files)
    for one in problems:
        say(f"{file}:{one}")
    if not problems:
        print(f"{file}: good")
    raise typer.Exit(1 if problems else 0)


@app.command()
def show(file: File) -> None:
    """Print the settings that hold, defaults filled in, as JSON; secrets are redacted."""
    try:
        loaded = load_config(file)
        settings = settings_from(loaded.tables.get("server", {}), file.parent)
    except RapidJWSError as refused:
        complain("config", str(refused))
        raise typer.Exit(1) from None
    described = json_schema()["properties"]
    shown: dict[str, Any] = {}
    for name in schema.SECTIONS:
        fields = described[name]["properties"]
        defaults = {key: one["default"] for key, one in fields.items() if "default" in one}
        shown[name] = {**defaults, **loaded.tables.get(name, {})}
    shown["server"]["listen"] = settings.listen
    issuer = described["issuers"]["items"]["properties"]
    defaults = {key: one["default"] for key, one in issuer.items() if "default" in one}
    shown["issuers"] = [{**defaults, **one} for one in loaded.tables["issuers"]]
    shown["partners"] = loaded.tables.get("partners", [])
    for table in (shown["revocations"], shown["replay"]):
        if "redis" in table:
            table["redis"] = _without_password(table["redis"])
    print(json.dumps(shown, indent=2, default=str))


def _without_password(url: str) -> str:
    start, at, host = url.rpartition("@")
    scheme = start.partition("://")[0]
    return f"{scheme}://{_REDACTED}@{host}" if at else url


@app.command()
def init(file: File) -> None:
    """Write a commented configuration to begin with; a file that is there stays as it is."""
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(STARTER)
    except OSError as fault:
        complain("config", f"{file}: {fault.strerror}")
        raise typer.Exit(2) from None
    print(f"{file}: written; next: rapidjws config check {file}")


@app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of configuration files, for editors."""
    print(json.dumps(json_schema(), indent=2))
