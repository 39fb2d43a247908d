"""``rapidjws check``: the weekly and monthly look at keys and traffic, for cron."""

from __future__ import annotations

import enum
import json
import math
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from rapidjws.cli.admin_client import AdminFailed, ask, malformed
from rapidjws.cli.configured_keys import ConfiguredIssuer, find_keys, registry_issuers, source_of
from rapidjws.cli.output import add_row, complain, print_line
from rapidjws.cli.rollout import shared_rollout
from rapidjws.config.read import load_config
from rapidjws.contract.fetch import Fetched, fetch
from rapidjws.contract.routine import Limits, RoutineFinding, in_order
from rapidjws.contract.routine_keys import (
    KeyMemory,
    PublishedKey,
    key_findings,
    published_keys,
    sums_of,
    withdrawn_findings,
)
from rapidjws.contract.routine_traffic import traffic_findings, traffic_members
from rapidjws.errors import RapidJWSError
from rapidjws.rollout.counters import Counts
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY: str = "check.json"
_AS_CONFIGURED: Final = ("proxy", "authorization_file", "header_files")
"""Settings without which an address answers somebody else: its keys are fetched as the service does it."""


class Period(str, enum.Enum):
    """Which look it is."""

    WEEK = "week"
    MONTH = "month"


def check(
    config: Annotated[Path, typer.Option("--config", help="Configuration file, TOML or JSON.")],
    period: Annotated[Period, typer.Option(help="What is compared with the times before it.")] = Period.WEEK,
    rotate_after: Annotated[
        float, typer.Option(help="Days until a key should have a successor.", min=1)
    ] = 90.0,
    expires_within: Annotated[float, typer.Option(help="Days before an end that is named.", min=0)] = 21.0,
    unused_after: Annotated[
        float, typer.Option(help="Days without a token until a key is unused.", min=1)
    ] = 30.0,
    memory: Annotated[
        Path | None, typer.Option(help="File that remembers keys between looks; by default in rollout.state.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Longest wait for an address, seconds.", min=0.1, max=60)
    ] = 10.0,
    admin: Annotated[str | None, typer.Option(help="Admin listener of the service: its alerts too.")] = None,
    admin_token_file: Annotated[
        Path | None, typer.Option("--admin-token-file", help="The token it asks for, over a port.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look at key ages and ends, rotation, key sets, use of old keys, lifetimes, clocks and error rates.

    For cron: exit 0 where nothing wants attention, 1 where something does (an error or a warning), 2 where it
    cannot be looked at.
    """
    days = 7 if period is Period.WEEK else 30
    limits = Limits(
        rotate_days=rotate_after, expires_days=expires_within, unused_days=unused_after, period_days=days
    )
    look = Look(config, limits, memory)
    found = [*look.at_keys(timeout), *look.at_traffic()]
    if admin is not None:
        found += _of_service(admin, admin_token_file)
    look.remember()
    ordered = in_order(found)
    if as_json:
        members = {"at_s": round(look.now_s, 3), "period_days": days, "issuers": look.shown}
        members |= {"partners": traffic_members(look.counts, limits, int(look.now_s))}
        print(json.dumps({**members, "findings": [one.as_dict() for one in ordered]}))
    else:
        _show(look, ordered)
    raise typer.Exit(1 if any(one.level != "note" for one in ordered) else 0)


def _fail(message: object) -> NoReturn:
    complain("check", message)
    raise typer.Exit(2) from None


class Look:
    """One look: what is configured, what was counted, and what was seen before.

    Args:
        config: The configuration.
        limits: From where on something is named.
        memory: The file that remembers, or None for the one in the rollout's folder.
    """

    def __init__(self, config: Path, limits: Limits, memory: Path | None) -> None:
        self.now_s = time.time()
        self.shown: list[dict[str, Any]] = []
        self._limits = limits
        try:
            loaded = load_config(config)
            state = loaded.section("rollout").get("state")
            self._rollout = None if state is None else shared_rollout(loaded)
        except RapidJWSError as refused:
            _fail(refused)
        self.issuers = [ConfiguredIssuer(table, config.parent) for table in loaded.issuers]
        self._registry_faults: list[str] = []
        self._left_out = 0
        registry = loaded.section("registry").get("folder")
        if registry is not None:
            try:
                found, self._registry_faults, self._left_out = registry_issuers(config.parent / registry)
            except OSError as fault:
                _fail(f"{registry}: {fault.strerror or type(fault).__name__}")
            self.issuers += found
        self.counts = Counts() if self._rollout is None else self._rollout.evidence.counts()
        self._path = memory or (None if state is None else config.parent / state / MEMORY)
        try:
            self._memory = KeyMemory() if self._path is None else KeyMemory.read(self._path)
        except OSError as fault:
            _fail(f"{self._path}: {fault.strerror or type(fault).__name__}")
        except (ValueError, RecursionError):
            _fail(f"{self._path}: not what `rapidjws check` wrote; move it away, and looks begin anew")

    def at_keys(self, timeout_s: float) -> Iterator[RoutineFinding]:
        """Yield what there is to say of each issuer's keys, those of a registry's folder among them."""
        rows = list(self.counts.rows.values())
        used, unknown = sums_of(row.keys for row in rows), sums_of(row.kids for row in rows)
        yield from self._registry_findings()
        for one, (got, body, fault) in zip(self.issuers, _seen(self.issuers, timeout_s), strict=True):
            issuer = one.name or "(any iss)"
            keys = [] if body is None else published_keys(issuer, body, self._memory, used, self.now_s)
            limits = (
                self._limits if "x5c_roots" not in one.table else replace(self._limits, rotate_days=math.inf)
            )
            if got is not None or body is not None:
                yield from key_findings(issuer, got, keys, limits, self.now_s)
                if keys:
                    yield from withdrawn_findings(issuer, keys, self._memory, unknown, self.now_s)
            else:
                yield RoutineFinding(level="error", area="jwks", subject=issuer, code="no_answer",
                                     text=f"{source_of(one.table)}: {fault}")  # fmt: skip
            self.shown.append(_issuer_members(issuer, keys, self.now_s))

    def _registry_findings(self) -> Iterator[RoutineFinding]:
        for fault in self._registry_faults:
            yield RoutineFinding(level="error", area="keys", subject="registry", code="issuer_file_refused",
                                 text=fault)  # fmt: skip
        if self._left_out:
            text = f"{self._left_out} more issuers of the folder were not looked at"
            yield RoutineFinding(level="note", area="keys", subject="registry", code="issuers_left_out",
                                 text=text)  # fmt: skip

    def at_traffic(self) -> Iterator[RoutineFinding]:
        """Yield what the evidence tells; without a shared state there is none."""
        if self._rollout is None:
            yield RoutineFinding(level="note", area="errors", subject="rollout.state", code="no_evidence",
                                 text="nothing is counted beyond a process: name a folder")  # fmt: skip
        else:
            yield from traffic_findings(self._rollout, self.counts, self._limits, int(self.now_s))

    def remember(self) -> None:
        """Write down which keys were seen."""
        if self._path is None:
            return
        try:
            self._memory.write(self._path)
        except OSError as fault:
            _fail(f"{self._path}: {fault.strerror}")


def _issuer_members(issuer: str, keys: list[PublishedKey], now_s: float) -> dict[str, Any]:
    return {"issuer": issuer, "keys": [key.as_dict(now_s) for key in keys]}


class Seen(NamedTuple):
    """What an issuer's source gave.

    Attributes:
        got: The whole answer of a ``jwks_url``, or None.
        body: The JWK Set, or None.
        fault: Why there is none, where there is no ``got`` that says so.
    """

    got: Fetched | None
    body: bytes | None
    fault: str | None = None


def _seen(issuers: list[ConfiguredIssuer], timeout_s: float) -> list[Seen]:
    """Return what each issuer's source gives, in their order; all are asked at the same time."""
    tasks = [Task(partial(_one, issuer, timeout_s)) for issuer in issuers]
    waiting = []
    for task in tasks:
        if not submit(task) and (call := task.take_back()) is not None:
            waiting.append((task, call))
    for task, call in waiting:
        task.future.set_result(call())
    return [task.future.result() for task in tasks]


def _one(issuer: ConfiguredIssuer, timeout_s: float) -> Seen:
    table = issuer.table
    if "jwks_url" in table and not any(name in table for name in _AS_CONFIGURED):
        given = table.get("ca")
        ca = given if given is None or "-----BEGIN" in given else str(issuer.folder / given)
        got = fetch(table["jwks_url"], ca_file=ca, timeout_s=timeout_s)
        return Seen(got, got.body if got.fault is None else None)
    found = find_keys(issuer, timeout_s)
    return Seen(None, found.body, found.fault)


def _of_service(admin: str, token_file: Path | None) -> list[RoutineFinding]:
    """Return the alerts of a running service, and issuers whose keys its workers do not agree on."""
    try:
        status = ask(admin, "status.json", token_file)
        found = [
            RoutineFinding(
                level="error" if one["severity"] == "page" else "warning",
                area="service",
                subject=admin,
                code=one["name"],
                text=f"{one['summary']} (runbook {one['runbook']})",
            )
            for one in status["alerts"]
        ]
        apart = [(one["issuer"], one["differs"]) for one in status["issuers"] if one["differs"]]
    except AdminFailed as failed:
        _fail(failed)
    except (KeyError, TypeError, ValueError, AttributeError):
        _fail(malformed(admin))
    found += [
        RoutineFinding(level="warning", area="service", subject=str(issuer), code="workers_differ",
                       text=f"workers {', '.join(map(str, pids))} have other keys")
        for issuer, pids in apart
    ]  # fmt: skip
    return found


def _show(look: Look, found: list[RoutineFinding]) -> None:
    console = Console()
    keys = Table("issuer", "kid", "age days", "ends in days", "tokens", box=None)
    for issuer in look.shown:
        for key in issuer["keys"]:
            ends = "-" if key["expires_in_days"] is None else key["expires_in_days"]
            add_row(keys, (issuer["issuer"], key["kid"] or "(no kid)", key["age_days"], ends, key["tokens"]))
    console.print(keys)
    table = Table("level", "area", "of whom", "what", "code", box=None)
    for one in found:
        style = {"error": "bold red", "warning": "yellow", "note": "dim"}[one.level]
        add_row(table, (one.level, one.area, one.subject, one.text, one.code), style)
    if found:
        console.print(table)
    counts = [sum(one.level == level for one in found) for level in ("error", "warning", "note")]
    print_line("{} errors, {} warnings, {} notes".format(*counts))
