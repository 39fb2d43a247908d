"""The list of commands, each imported when it is run."""

from __future__ import annotations

import functools
import importlib
import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SETTINGS: Final[dict[str, Any]] = {"add_completion": False, "pretty_exceptions_enable": False}


class _Listed(NamedTuple):
    """Where a command is defined, and what the list of commands says of it: its first paragraph."""

    module: str
    attribute: str
    help: str


COMMANDS: Final = {
    "verify": _Listed(
        "verify", "verify", "Verify tokens: exit 0 when all verify, 1 when any is refused, 2 on wrong usage."
    ),
    "attest": _Listed("attest", "app", "Sign statements about artifacts."),
    "bulk": _Listed("bulk", "app", "Verify tokens by the million."),
    "sign": _Listed("sign", "sign", "Sign a payload; print the token. Exit 2 on wrong usage."),
    "sign-log": _Listed(
        "signed_logs",
        "sign_log",
        "Sign what was added to a log since the last time: exit 0, or 2 on wrong usage.",
    ),
    "verify-log": _Listed(
        "signed_logs",
        "verify_log",
        "Verify a signed log: exit 0, or 1 where it was altered, naming where, 2 on wrong usage.",
    ),
    "keygen": _Listed("keygen", "keygen", "Make a key; print the public JWK (nothing, for a shared secret)."),
    "jwk": _Listed(
        "jwk",
        "jwk",
        "Convert a key. The public half is read from a private key unless --private is given.",
    ),
    "decode": _Listed(
        "decode",
        "decode",
        "Show header, claims and times of a token WITHOUT VERIFYING it: exit 0, or 1 where it is no JWS.",
    ),
    "migrate": _Listed(
        "migrate",
        "migrate",
        "List calls of PyJWT, python-jose and Authlib with their native form: exit 0 for none, 1 for some, 2"
        " where a file could not be looked at.",
    ),
    "diagnose": _Listed(
        "diagnose",
        "diagnose",
        "Explain a refusal: exit 0 for an accepted token, 1 for a refused one, 2 on wrong usage.",
    ),
    "diff": _Listed(
        "diff",
        "diff",
        "Compare: exit 0 where they are equal, 1 where they differ. The token is not verified.",
    ),
    "openssl": _Listed(
        "openssl",
        "openssl",
        "Write header, payload, signing input, key, signature, and verify.sh. The token is not verified.",
    ),
    "serve": _Listed(
        "serve",
        "serve",
        "Decide for a gateway over HTTP until SIGTERM: exit 0 after draining, 2 on a wrong configuration.",
    ),
    "runbook": _Listed(
        "runbook",
        "runbook",
        "Print a runbook as Markdown, or list them: exit 0, or 2 where there is none of the name.",
    ),
    "dashboard": _Listed("dashboards", "dashboard", "Print a dashboard as Grafana imports it."),
    "gameday": _Listed(
        "gameday",
        "gameday",
        "Run a fault against a service of its own: exit 0 where it passed, 1 where not, 2 on wrong usage.",
    ),
    "alerts": _Listed("alerts", "alerts", "Print the alert rules as YAML, with your addresses."),
    "top": _Listed(
        "top",
        "top",
        "Show a running service's health, verdicts, latencies, keys, partners, workers and alerts, live.",
    ),
    "demo": _Listed(
        "demo",
        "demo",
        "Make issuers and keys, verify a stream of good and bad tokens, show verdicts, speed and latency.",
    ),
    "version": _Listed(
        "version",
        "version",
        "Show the version, the libcrypto in use, and which library verifies which algorithm.",
    ),
    "jwks": _Listed("jwks", "jwks", "Look at JWK Sets."),
    "config": _Listed("config", "app", "Configuration files: check, show, init, schema."),
    "check": _Listed(
        "check",
        "check",
        "Look at key ages and ends, rotation, key sets, use of old keys, lifetimes, clocks and error rates.",
    ),
    "authz": _Listed("authz", "app", "Rules after the verdict: try them, compare two versions."),
    "lint": _Listed(
        "lint",
        "lint",
        "Hold a configuration against RFC 8725, 9068, 9700 and FAPI 2.0: exit 0 if none is broken, else 1.",
    ),
    "incident": _Listed("incident", "app", "Look back at an incident."),
    "contract": _Listed("contract", "contract", "Get a partner ready."),
    "rollout": _Listed("notify", "rollout", "Look at a rollout, and change it while it runs."),
    "audit": _Listed("audit", "app", "The audit trail: a tamper-evident log of decisions."),
    "issue": _Listed("issue", "app", "Keys that an issuer signs with, and when they change."),
    "keys": _Listed("keys", "app", "Keys of a configuration: status, compare, refresh, revoke, unrevoke."),
}


def load_command(name: str) -> Any:
    """Import a command; return its function, or the application that holds its own commands.

    Args:
        name: One of COMMANDS.
    """
    listed = COMMANDS[name]
    return getattr(importlib.import_module(f"rapidjws.cli.{listed.module}"), listed.attribute)


@functools.cache
def _built(name: str) -> Any:
    """Return a command as typer runs it."""
    loaded = load_command(name)
    if not isinstance(loaded, typer.Typer):
        alone = typer.Typer(**_SETTINGS)
        alone.command(name)(loaded)
        loaded = alone
    command = typer.main.get_command(loaded)
    command.name = name
    for leaf in _leaves(command):
        leaf.callback = _with_texts(leaf.callback)
    return command


def _leaves(command: Any) -> Iterator[Any]:
    """Yield the commands of a group and of the groups in it; a command that is none alone."""
    below = getattr(command, "commands", None)
    if below is None:
        yield command
        return
    for one in below.values():
        yield from _leaves(one)


def _with_texts(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command's function, refused values that are no text: octets that are not UTF-8.

    The name of a file that is there may have them; nothing else can be written, compared or signed with them.
    """

    @functools.wraps(run)
    def checked(**given: Any) -> Any:
        from rapidjws._checks import is_text

        for name, value in given.items():
            for one in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(one, str) and not is_text(one) and not os.path.lexists(one):
                    raise typer.BadParameter("text in UTF-8 is expected", param_hint=name.replace("_", "-"))
        return run(**given)

    return checked


class _Commands(TyperGroup):
    """A group that imports the command it runs and no other: its list of commands needs none of them."""

    def __init__(self, **attributes: Any) -> None:
        listed = {name: TyperCommand(name, help=one.help) for name, one in COMMANDS.items()}
        super().__init__(**{**attributes, "commands": listed})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name, the command and the rest of the words; raises click's UsageError."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, (listed if name is None else _built(name)), rest


app = typer.Typer(name="rapidjws", cls=_Commands, no_args_is_help=True, **_SETTINGS)


@app.callback()
def _rapidjws() -> None:
    """Verify JSON Web Signatures."""


def whole_app() -> typer.Typer:
    """Return the application with every command imported and registered, for pages that list them all."""
    whole = typer.Typer(name="rapidjws", help="Verify JSON Web Signatures.", **_SETTINGS)
    for name in COMMANDS:
        loaded = load_command(name)
        if isinstance(loaded, typer.Typer):
            whole.add_typer(loaded, name=name)
        else:
            whole.command(name)(loaded)
    return whole
