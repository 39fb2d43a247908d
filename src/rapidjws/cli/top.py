"""``rapidjws top``: what the status page shows, in a terminal."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rapidjws import escaping
from rapidjws.cli.admin_client import AdminFailed, ask, malformed
from rapidjws.cli.output import add_row, cell, complain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EVERY_S = 2.0
_BARS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, OSError)
"""What comes of a snapshot that is none, a time that no calendar has among it."""
_STYLES = {"ok": "bold green", "degraded": "bold yellow", "failing": "bold red"}


def top(
    admin: Annotated[
        str, typer.Option(help="The service's admin listener: unix:/path, a path, or http://host:port.")
    ],
    admin_token_file: Annotated[
        Path | None, typer.Option("--admin-token-file", help="The token it asks for, over a port.")
    ] = None,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.5, max=3600)] = EVERY_S,
    once: Annotated[bool, typer.Option("--once", help="Print once, for scripts.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the status once, as JSON.")] = False,
) -> None:
    """Show a running service's health, verdicts, latencies, keys, partners, workers and alerts, live.

    With --once or --json: exit 0 where no alert is active, 1 where one is; 2 where it cannot be asked.
    """
    if as_json or once:
        status = _requested(admin, admin_token_file)
        shown = _shown(admin, status)
        if as_json:
            print(json.dumps(status))
        else:
            Console().print(shown)
        raise typer.Exit(1 if status["alerts"] else 0)
    shown = _shown(admin, _requested(admin, admin_token_file))
    try:
        with Live(shown, console=Console(), screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(every)
                try:
                    shown = screen(ask(admin, "status.json", admin_token_file))
                except (AdminFailed, *_MALFORMED) as fault:
                    failed = fault if isinstance(fault, AdminFailed) else malformed(admin)
                    live.update(Group(cell(failed, "bold red"), shown), refresh=True)
                else:
                    live.update(shown, refresh=True)
    except KeyboardInterrupt:
        return


def _requested(admin: str, token_file: Path | None) -> dict[str, Any]:
    try:
        return ask(admin, "status.json", token_file)
    except AdminFailed as failed:
        _fail(failed)


def _shown(admin: str, status: Mapping[str, Any]) -> RenderableType:
    try:
        return screen(status)
    except _MALFORMED:
        _fail(malformed(admin))


def _fail(failed: AdminFailed) -> NoReturn:
    complain("top", failed)
    raise typer.Exit(2) from None


# --- the screen --------------------------------------------------------------------------------------------


def screen(status: Mapping[str, Any]) -> RenderableType:
    """Return a status as it looks in a terminal.

    Args:
        status: A snapshot of this version.

    Raises:
        KeyError: It is none; likewise TypeError, ValueError, AttributeError, IndexError,
            OverflowError, OSError.
    """
    parts: list[RenderableType] = [_head(status)]
    for alert in status["alerts"]:
        style = "bold red" if alert["severity"] == "page" else "yellow"
        line = f"{alert['severity']}: {alert['name']}: {alert['summary']} (runbook {alert['runbook']})"
        parts.append(cell(line, style))
    parts += [_traffic(status), _windows(status), _codes(status), _issuers(status), _partners(status)]
    parts += [_workers(status), _changes(status)]
    return Group(*parts)


def _head(status: Mapping[str, Any]) -> Text:
    health = status["health"]
    latency = status["latency_us"]
    text = Text.assemble(("rapidjws ", "bold"), (escaping.terminal(health), _STYLES.get(health, "bold")))
    ready = "ready" if status["ready"] else "NOT READY"
    frozen = ", plan frozen" if status["plan"]["frozen"] else ""
    times = "  ".join(f"{name} {_micros(latency[name])}" for name in ("p50", "p95", "p99"))
    text.append(f"  {_when(status['at_s'])}  {ready}{frozen}  {times}")
    return text


def _traffic(status: Mapping[str, Any]) -> Text:
    rates = [float(one["requests"]) for one in status["series"]]
    most = max(rates, default=0.0)
    bars = "".join(_BARS[round(rate / most * 8)] if most else " " for rate in rates)
    return Text.assemble("requests a second, 5 min: ", (bars, "cyan"), f" at most {most:.1f}")


def _windows(status: Mapping[str, Any]) -> Table:
    table = _table(
        "", "window", "requests", "a second", "verified", "refused", "no verdict", "refused in fact"
    )
    for one in status["windows"]:
        rate = one["requests"] / one["covered_s"] if one["covered_s"] else 0.0
        share = f"{one['permit'] / one['requests']:.2%}" if one["requests"] else "-"
        cells = (f"{rate:.1f}", share, one["deny"], one["indeterminate"], one["refused"])
        add_row(table, (_span(one["seconds"]), one["requests"], *cells))
    return table


def _codes(status: Mapping[str, Any]) -> Table:
    table = _table("why tokens did not verify, 5 min", "code", "verdict", "requests")
    for one in status["windows"][1]["codes"][:8]:
        add_row(table, (one["code"], one["verdict"], one["count"]))
    return table


def _issuers(status: Mapping[str, Any]) -> Table:
    table = _table("issuers", "issuer", "state", "keys", "age", "next refresh", "stale in", "last failure")
    for one in status["issuers"]:
        keys = ", ".join("(no kid)" if key["kid"] is None else key["kid"] for key in one["keys"]) or "none"
        differs = f"differs in {', '.join(map(str, one['differs']))}" if one["differs"] else "ok"
        state = one["code"] or differs
        ages = (_span(one.get(name)) for name in ("age_s", "next_refresh_s", "stale_in_s"))
        style = None if state == "ok" else "red"
        add_row(table, (one["issuer"] or "(any iss)", state, keys, *ages, one.get("failure") or "-"), style)
    return table


def _partners(status: Mapping[str, Any]) -> Table:
    table = _table("partners", "partner", "phase", "ready", "last day", "failed", "tomorrow")
    for one in status["partners"]:
        refused = one["refused_tomorrow"]
        verdict = f"{'refused' if refused else 'let through'}: {one['why']}"
        cells = ("yes" if one["ready"] else "no", one["recent"], one["recent_failed"], verdict)
        add_row(table, (one["partner"], one["phase"], *cells), "red" if refused else None)
    return table


def _workers(status: Mapping[str, Any]) -> Table:
    table = _table(
        "workers", "worker", "process", "up", "restarts", "connections", "loop lag", "change after"
    )
    for one in status["workers"]:
        up = _span(status["at_s"] - one["started_s"])
        lags = (_micros(one[name] * 1e6) for name in ("loop_lag_s", "change_lag_s"))
        add_row(table, (one["index"], one["pid"], up, one["restarts"], one["connections"], *lags))
    return table


def _changes(status: Mapping[str, Any]) -> Table:
    table = _table("recent changes", "when", "what", "of whom", "kid", "detail")
    for one in status["changes"][:8]:
        whom = " ".join(str(one[name]) for name in ("issuer", "partner", "route") if one.get(name))
        times = f" ({one['count']} times)" if one["count"] > 1 else ""
        add_row(
            table, (_when(one["last_s"]), f"{one['event']}{times}", whom, one.get("kid"), one.get("detail"))
        )
    return table


def _table(title: str, *heads: str) -> Table:
    named: Sequence[str] = heads
    return Table(
        *named, title=title or None, title_justify="left", title_style="bold", box=None, expand=False
    )


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for size, unit in ((172_800, "d"), (6000, "h"), (100, "min")):
        if abs(seconds) >= size:
            return f"{seconds / {'d': 86_400, 'h': 3600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


def _micros(value: float) -> str:
    return f"{value / 1000:.1f} ms" if value >= 1000 else f"{value:.0f} \u00b5s"


def _when(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
