"""``rapidjws rollout``: look at a rollout, and change it while it runs."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rapidjws.cli.rollout_show import show_report
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.policy.config import read_file
from rapidjws.policy.plots import when
from rapidjws.policy.readiness import readiness
from rapidjws.policy.readiness_html import page
from rapidjws.policy.rollout import Rollout
from rapidjws.policy.sections import key_sources_of, moment_s, rollout_from
from rapidjws.policy.stages import checked_phase
from rapidjws.policy.state import plan_members

rollout = typer.Typer(help="Look at a rollout, and change it while it runs.", no_args_is_help=True)

Config = Annotated[Path, typer.Option("--config", help="Configuration file, TOML or JSON.")]
Partner = Annotated[str | None, typer.Option(help="One partner; by default everyone.")]
Route = Annotated[str, typer.Option(help="One route, /like/this; by default all.")]
To = Annotated[str | None, typer.Option(help="detection, warning, allow_list or enforcement.")]
Why = Annotated[str, typer.Option(help="The reason, for the history.")]
By = Annotated[str | None, typer.Option(help="Who does it; by default your login.")]
AsJSON = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


@rollout.callback()
def _group() -> None:
    """Look at a rollout, and change it while it runs."""


def load(config: Path) -> Rollout:
    """Return the rollout of a configuration whose state is shared; raises ConfigurationError."""
    found = read_file(config)[1]
    if "state" not in found.get("rollout", {}):
        raise error_for("configuration_invalid", "rollout.state", "a folder that the workers share", "none")
    leeway_s = min(issuer.get("leeway_s", 60) for issuer in found["issuers"])
    partners = found.get("partners", [])
    return rollout_from(
        found["rollout"],
        partners,
        folder=config.parent,
        issuer_leeway_s=leeway_s,
        key_sources=key_sources_of(found["issuers"]),
    )


def _login() -> str:
    """Return who is logged in, or the number of a user that has no name here."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _change(command: str, config: Path, action: Callable[[Rollout, str], object], by: str | None) -> None:
    try:
        one = load(config)
        action(one, by or _login())
    except RapidJWSError as refused:
        print(f"rapidjws rollout {command}: {refused}", file=sys.stderr)
        raise typer.Exit(2 if command == "status" else 1) from None
    entry = one.history()[-1]
    print(f"{entry.action}: {entry.before or '-'} -> {entry.after or '-'} (revision {entry.revision})")


@rollout.command()
def promote(
    config: Config,
    partner: Partner = None,
    route: Route = "",
    to: To = None,
    canary: Annotated[float, typer.Option(help="Percent of partners that go on.")] = 100.0,
    enforce_on: Annotated[str | None, typer.Option(help="The announced date, 2027-01-31.")] = None,
    if_revision: Annotated[int | None, typer.Option(help="Only on this revision of the plan.")] = None,
    why: Why = "",
    by: By = None,
    force: Annotated[bool, typer.Option("--force", help="Override the guard rails.")] = False,
) -> None:
    """Go on to a stricter phase: exit 0, or 1 where it is refused."""

    def act(one: Rollout, who: str) -> object:
        return one.promote(
            by=who,
            partner=partner,
            route=route,
            to=None if to is None else checked_phase(to),
            canary_percent=canary,
            enforce_on_s=None if enforce_on is None else moment_s("enforce_on", enforce_on),
            if_revision=if_revision,
            why=why,
            force=force,
        )

    _change("promote", config, act, by)


@rollout.command()
def rollback(
    config: Config, partner: Partner = None, route: Route = "", to: To = None, why: Why = "", by: By = None
) -> None:
    """Go back to a milder phase, at once and frozen or not: exit 0, or 1 where it is refused."""

    def act(one: Rollout, who: str) -> object:
        phase = None if to is None else checked_phase(to)
        return one.rollback(by=who, partner=partner, route=route, to=phase, why=why)

    _change("rollback", config, act, by)


@rollout.command()
def freeze(config: Config, why: Why = "", by: By = None) -> None:
    """Refuse promotions and automatic rollbacks."""
    _change("freeze", config, lambda one, who: one.freeze(by=who, why=why), by)


@rollout.command()
def thaw(config: Config, why: Why = "", by: By = None) -> None:
    """Allow promotions and automatic rollbacks again."""
    _change("thaw", config, lambda one, who: one.thaw(by=who, why=why), by)


def _read(command: str, config: Path) -> Rollout:
    try:
        return load(config)
    except RapidJWSError as refused:
        print(f"rapidjws rollout {command}: {refused}", file=sys.stderr)
        raise typer.Exit(2) from None


@rollout.command()
def status(config: Config) -> None:
    """Print the plan as JSON."""
    print(json.dumps(plan_members(_read("status", config).state.plan()), indent=1))


@rollout.command()
def history(config: Config, as_json: AsJSON = False) -> None:
    """Print who changed what when, the oldest first."""
    entries = _read("history", config).history()
    if as_json:
        for entry in entries:
            print(json.dumps(entry.as_dict()))
        return
    table = Table("when", "who", "what", "partner", "route", "from", "to", "why", box=None)
    for entry in entries:
        action = f"{entry.action}, forced" if entry.forced else entry.action
        names = (entry.partner or "all", entry.route or "all")
        table.add_row(when(entry.at_s), entry.by, action, *names, entry.before, entry.after, entry.why)
    Console().print(table)


@rollout.command()
def report(
    config: Config,
    as_json: AsJSON = False,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file.")] = None,
) -> None:
    """Say which partners are ready: exit 0 if nobody would be refused tomorrow, else 1."""
    found = readiness(_read("report", config), int(time.time()))
    if html is not None:
        html.write_text(page(found), encoding="utf-8")
    if as_json:
        print(json.dumps(found.as_dict()))
    elif html is None:
        show_report(found)
    raise typer.Exit(1 if any(one.rejected_tomorrow for one in found.partners) else 0)
