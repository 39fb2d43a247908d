"""``rapidjws rollout``: look at a rollout, and change it while it runs."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from rapidjws import _files
from rapidjws.cli.admin_client import Admin, AdminFailed, AdminToken, ask, malformed
from rapidjws.cli.output import add_row, complain
from rapidjws.cli.rollout_show import show_report
from rapidjws.config.moments import moment_s
from rapidjws.config.read import load_config
from rapidjws.config.sections import rollout_of
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.rollout.plan import canary_position, checked_phase
from rapidjws.rollout.report.plots import when
from rapidjws.rollout.report.readiness import Readiness, readiness, uncertain_lines
from rapidjws.rollout.report.readiness_html import page
from rapidjws.rollout.report.readiness_json import readiness_of
from rapidjws.rollout.rollout import Rollout
from rapidjws.rollout.state import plan_members

if TYPE_CHECKING:
    from rapidjws.config.read import LoadedConfig

rollout = typer.Typer(
    help="Look at a rollout, and change it while it runs.", no_args_is_help=True, add_completion=False
)

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


def shared_rollout(loaded: LoadedConfig, *, for_reading: bool = True) -> Rollout:
    """Return the rollout of a configuration whose state is shared; raises ConfigurationError.

    Args:
        loaded: The configuration.
        for_reading: Whether nobody is promoted by it: then nothing need tell whose a request is.
    """
    if "state" not in loaded.section("rollout"):
        raise error_for("configuration_invalid", "rollout.state", "a folder that the workers share", "none")
    return rollout_of(loaded, for_reading=for_reading)


def _login() -> str:
    """Return who is logged in, or the number of a user that has no name here."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _change(command: str, config: Path, action: Callable[[Rollout, str], object], by: str | None) -> None:
    try:
        one = shared_rollout(load_config(config), for_reading=command != "promote")
        action(one, by or _login())
    except RapidJWSError as refused:
        print(f"rapidjws rollout {command}: {refused}", file=sys.stderr)
        raise typer.Exit(2 if command == "status" else 1) from None
    entry = one.history()[-1]
    phases = f": {entry.before or '-'} -> {entry.after or '-'}" if entry.before or entry.after else ""
    print(f"{entry.action}{phases} (revision {entry.revision})")


def _print_held(one: Rollout, partner: str | None, route: str) -> None:
    """Say what a promotion lacks, how much, until when, and how to override it."""
    for objection in one.objections(partner, route):
        print(f"  needed: {objection.expected}; found: {objection.actual}", file=sys.stderr)
        print(f"  may be met: {objection.until}", file=sys.stderr)
    for line in uncertain_lines(one, partner, int(time.time())):
        print(f"  {line}", file=sys.stderr)
    print("  override: --force; the history keeps that it was forced, and --why", file=sys.stderr)


def _print_after(one: Rollout, partner: str | None, route: str, canary: float) -> None:
    """Say who stays behind after a promotion for everyone, and what makes it uncertain."""
    for line in uncertain_lines(one, partner, int(time.time())):
        print(line)
    if partner is not None:
        return
    entries = one.history()[:-1]
    behind = one.left_behind(route)
    for left in behind:
        made = [one for one in entries if (one.partner, one.route) == (left.partner, left.route)]
        why = f", by {made[-1].action} of {made[-1].by}" if made else ""
        reason_text = f": {made[-1].why}" if made and made[-1].why else ""
        whose = left.partner or "everyone"
        where = f" on {left.route}" if left.route else ""
        print(f"stays behind: {whose}{where}, a stage of its own ({left.phase}{why}{reason_text})")
    if any(left.partner for left in behind):
        print("take partners along: --including-partners, or promote each with --partner")
    if canary < 100:
        outside = sum(canary_position(name) >= canary for name in one.partners)
        print(f"wait for the canary to grow: {outside} of {len(one.partners)} partners")


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
    including_partners: Annotated[
        bool,
        typer.Option("--including-partners", help="Take partners with milder stages of their own along."),
    ] = False,
) -> None:
    """Go on to a stricter phase: exit 0, or 1 where it is refused."""

    def act(one: Rollout, who: str) -> object:
        try:
            step(one, who)
        except RapidJWSError as refused:
            if refused.code == "guard_rails_not_met":
                done.append(one)
            raise
        done.append(one)
        return None

    def step(one: Rollout, who: str) -> object:
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
            including_partners=including_partners,
        )

    done: list[Rollout] = []
    try:
        _change("promote", config, act, by)
    except typer.Exit:
        if done:
            _print_held(done[0], partner, route)
        raise
    _print_after(done[0], partner, route, canary)


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


def _running_report(admin: str, token_file: Path | None) -> Readiness:
    """Return the report of a running service, and name its workers with another plan; exit 2 without."""
    try:
        running = ask(admin, "rollout", token_file)
        revisions = {one["pid"]: one["revision"] for one in running["workers"]}
        for pid in running["differs"]:
            complain("rollout report", f"worker {pid} holds revision {revisions[pid]} of the plan: "
                     f"others hold {max(revisions.values())}")  # fmt: skip
        return readiness_of(running["report"])
    except AdminFailed as failed:
        complain("rollout report", failed)
    except (KeyError, TypeError, ValueError, AttributeError):
        complain("rollout report", malformed(admin))
    raise typer.Exit(2)


def _read(command: str, config: Path) -> Rollout:
    try:
        return shared_rollout(load_config(config))
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
        row = (when(entry.at_s), entry.by, action, *names, entry.before, entry.after, entry.why)
        add_row(table, row)
    Console().print(table)


@rollout.command()
def report(
    config: Annotated[Path | None, typer.Option("--config", help="Configuration file, TOML or JSON.")] = None,
    as_json: AsJSON = False,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file.")] = None,
    admin: Admin = None,
    admin_token_file: AdminToken = None,
) -> None:
    """Say which partners are ready: exit 0 if nobody would be refused tomorrow, else 1.

    With --admin a running service answers, from the plan that its workers hold and from what they counted up
    to now; workers with another plan are named. Exit 2 where it cannot be asked.
    """
    if (config is None) == (admin is None):
        complain("rollout report", "one of --config and --admin")
        raise typer.Exit(2)
    if config is not None:
        found = readiness(_read("report", config), int(time.time()))
    elif admin is not None:
        found = _running_report(admin, admin_token_file)
    if html is not None:
        _files.write_output(html, page(found).encode())
    if as_json:
        print(json.dumps(found.as_dict()))
    elif html is None:
        show_report(found)
    raise typer.Exit(1 if any(one.rejected_tomorrow for one in found.partners) else 0)
