"""How ``rapidjws rollout report`` looks on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from rapidjws import escaping
from rapidjws.cli.output import add_row
from rapidjws.rollout.report.plots import when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.rollout.report.notices import Notice
    from rapidjws.rollout.report.readiness import Readiness


_FAILS = ("partner", "code", "count", "first seen", "last seen")
_TAKEN_UP = ("partner", "contact", "what", "count", "first seen", "last seen", "evidence")
_SHADOW = ("partner", "route", "outcome", "count", "first seen", "last seen")


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    table = Table(*heads, box=None, title=title, title_justify="left")
    for row in rows:
        add_row(table, row)
    return table


def show_report(found: Readiness) -> None:
    """Print the report: a row a partner, then what fails and since when, what to take up, what differs."""
    console = Console()
    table = Table(
        "partner",
        "phase",
        "requests",
        "verified",
        "last day",
        "failed",
        "p50 / p99 \u00b5s",
        "tomorrow",
        box=None,
    )
    for one in found.partners:
        style = "bold red" if one.rejected_tomorrow else None if one.recent else "dim"
        counts = (one.requests, one.verified, one.recent, one.recent_failed)
        latency = f"{one.p50_us:.0f} / {one.p99_us:.0f}"
        verdict = f"{'refused' if one.rejected_tomorrow else 'let through'}: {one.why}"
        cells = (one.partner, one.phase, *counts, latency, verdict)
        add_row(table, cells, style)
    console.print(table)
    print_unattributed(console, found)
    failures = [
        (one.partner, seen.name, seen.count, when(seen.first_s), when(seen.last_s))
        for one in found.partners
        for seen in one.failures
    ]
    if failures:
        console.print(_table("what fails", _FAILS, failures))
    taken_up = [
        (one.partner or "-", one.contact or "-", one.summary, one.count, when(one.first_s), when(one.last_s),
         "; ".join(f"{name}: {value}" for name, value in one.evidence))
        for one in found.escalations
    ]  # fmt: skip
    if taken_up:
        console.print(_table("to take up", _TAKEN_UP, taken_up))
    shadow = [
        (one.partner, one.route or "all others", one.seen.name.replace("_", " "), one.seen.count,
         when(one.seen.first_s), when(one.seen.last_s))
        for one in found.shadow
    ]  # fmt: skip
    if shadow:
        console.print(_table("beside the incumbent", _SHADOW, shadow))


def print_unattributed(console: Console, found: Readiness) -> None:
    """Say how many requests nobody could be attributed to, and which promotions that makes uncertain."""
    total, failed = found.unattributed, found.unattributed_failed
    console.print(f"attributed to nobody: {total} requests, {failed} without a good token")
    claims = [
        (one.partner, seen.name, seen.count, when(seen.first_s), when(seen.last_s))
        for one in found.partners
        for seen in one.claims
    ]
    if claims:
        console.print(_table("claimed: unverified tokens that name a partner", _FAILS, claims))
    uncertain = [(one.partner, one.uncertain) for one in found.partners if one.uncertain]
    if uncertain:
        console.print(_table("uncertain promotions", ("partner", "why"), uncertain))


def show_notice(notice: Notice) -> None:
    """Print a notice as it would be sent, without its HTML part."""
    print(escaping.terminal_lines(f"To: {notice.to}\nSubject: {notice.subject}\n\n{notice.text}"))
