"""``rapidjws incident timeline``: what happened when, on one line of time, for the postmortem."""

from __future__ import annotations

import enum
import json
import re
import time
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from rapidjws import _files
from rapidjws.cli.admin_client import AdminFailed, ask, malformed
from rapidjws.cli.output import add_row, cell, complain, print_line
from rapidjws.cli.rollout import shared_rollout
from rapidjws.config.read import load_config
from rapidjws.errors import RapidJWSError
from rapidjws.observe.log_reader import LogReader, seconds_of
from rapidjws.observe.timeline import KINDS, Timeline, times_of
from rapidjws.observe.timeline_markdown import span, timeline_markdown
from rapidjws.observe.timeline_plot import lanes_text, moment, timeline_svg
from rapidjws.rollout.report.readiness import UNKNOWN, readiness

app = typer.Typer(help="Look back at an incident.", no_args_is_help=True, add_completion=False)

_AGO: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]+)?)\s*(s|m|min|h|d)")
_UNITS_S: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
COMMAND: Final = "incident timeline"


class Format(str, enum.Enum):
    """How a timeline is written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


@app.callback()
def _group() -> None:
    """Look back at an incident."""


@app.command()
def timeline(
    since: Annotated[
        str, typer.Option(help="From when on: 2026-11-30T08:00Z, or how long ago: 90m, 2h, 1d.")
    ] = "1h",
    until: Annotated[str, typer.Option(help="Until when; likewise.")] = "0s",
    log: Annotated[list[Path] | None, typer.Option(help="File with JSON log lines, .gz too; repeat.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Configuration whose rollout's history and evidence are read."),
    ] = None,
    admin: Annotated[
        str | None, typer.Option(help="Admin listener of a service that runs: its last events and alerts.")
    ] = None,
    admin_token_file: Annotated[
        Path | None, typer.Option("--admin-token-file", help="The token it asks for, over a port.")
    ] = None,
    output: Annotated[Format, typer.Option("--format", "-f", help="How to write it.")] = Format.TEXT,
    plot: Annotated[Path | None, typer.Option(help="Write a picture, SVG, to this file.")] = None,
    step: Annotated[
        float | None, typer.Option(help="Count the same within so many seconds.", min=0.1)
    ] = None,
) -> None:
    """Put what happened on one line of time: keys, caches, fetches, refusals, promotions, alerts, restarts.

    At least one of --log, --config and --admin says where to read. Exit 0; 1 where nothing happened; 2 on
    wrong usage.
    """
    if not log and config is None and admin is None:
        _fail("one of --log, --config and --admin")
    now_s = time.time()
    since_s, until_s = _moment(since, now_s), _moment(until, now_s)
    if since_s >= until_s:
        _fail("--since lies after --until")
    found = Timeline(since_s, until_s, step)
    sources = [_read_log(path, found) for path in log or []]
    if config is not None:
        sources.append(_read_history(config, found))
    if admin is not None:
        sources.append(_read_service(admin, admin_token_file, found))
    if plot is not None:
        _files.write_output(plot, timeline_svg(found).encode())
    _write(found, sources, output, plot)
    raise typer.Exit(0 if found.entries() else 1)


def _fail(message: object) -> NoReturn:
    complain(COMMAND, message)
    raise typer.Exit(2) from None


def _moment(text: str, now_s: float) -> float:
    """Return seconds since the epoch of a time, or of so long ago."""
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now_s - float(ago[1]) * _UNITS_S[ago[2]]
    try:
        return seconds_of(text.strip())
    except (ValueError, OverflowError):
        _fail(f"{text}: a time such as 2026-11-30T08:00Z, or 90m, 2h, 1d for so long ago")


def _read_log(path: Path, found: Timeline) -> str:
    reader = LogReader()
    try:
        found.add_lines(reader.read(path, found.since_s, found.until_s))
    except (OSError, EOFError) as fault:
        _fail(f"{path}: {getattr(fault, 'strerror', None) or type(fault).__name__}")
    foreign = f", {reader.foreign} of them foreign" if reader.foreign else ""
    return f"{path.name} ({reader.lines} lines{foreign})"


def _read_history(config: Path, found: Timeline) -> str:
    try:
        rollout = shared_rollout(load_config(config))
        entries = rollout.history()
        seen = readiness(rollout, int(time.time())).partners
    except RapidJWSError as refused:
        _fail(refused)
    changes = []
    for one in entries:
        change = f"{one.before or '-'} -> {one.after or '-'}" if one.before or one.after else None
        named = {"partner": one.partner, "route": one.route, "by": one.by, "why": one.why, "detail": change}
        changes.append({"event": one.action, "at_s": one.at_s, **named})
    found.add_changes(changes, "history")
    for row in seen:
        partner = "" if row.partner == UNKNOWN else row.partner
        for code in row.failures:
            found.add_evidence(partner, code.name, code.count, code.first_s, code.last_s)
    return f"the rollout's history and evidence of {config.name} ({len(entries)} entries)"


def _read_service(admin: str, token_file: Path | None, found: Timeline) -> str:
    try:
        status = ask(admin, "status.json", token_file)
        found.add_changes(status["changes"], "service")
        alerts = [_alert(one) for one in status["alerts"]]
        found.add_changes(alerts, "service")
        started = [
            {
                "event": "worker_started",
                "at_s": one["started_s"],
                "worker": one["index"],
                "worker_pid": one["pid"],
            }
            for one in status["workers"]
        ]
        found.add_changes(started, "service")
    except AdminFailed as failed:
        _fail(failed)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        _fail(malformed(admin))
    return f"the service at {admin} ({len(status['changes'])} changes, {len(alerts)} alerts)"


def _alert(one: dict[str, Any]) -> dict[str, Any]:
    return {"event": "alert_started", "at_s": one["since_s"], "detail": f"{one['name']}: {one['summary']}"}


# --- how it looks ------------------------------------------------------------------------------------------


def _write(found: Timeline, sources: list[str], output: Format, plot: Path | None) -> None:
    if output is Format.MARKDOWN:
        print(timeline_markdown(found, sources, None if plot is None else plot.name), end="")
    elif output is Format.JSON:
        entries = found.entries()
        shown = {
            "since_s": found.since_s,
            "until_s": found.until_s,
            "step_s": found.step_s,
            "sources": sources,
        }
        shown |= {"times": times_of(entries).as_dict(), "left_out": found.left_out}
        print(json.dumps({**shown, "entries": [one.as_dict() for one in entries]}))
    else:
        _show(found, sources)


def _show(found: Timeline, sources: list[str]) -> None:
    console = Console()
    entries = found.entries()
    print_line(f"{moment(found.since_s)} to {moment(found.until_s)} UTC; read: {'; '.join(sources)}")
    lanes = Table(box=None, show_header=False)
    for name, drawn in lanes_text(found):
        lanes.add_row(cell(name), cell(drawn, "cyan"))
    console.print(lanes)
    table = Table("when (UTC)", "kind", "what", "of whom", "detail", "times", box=None)
    for one in entries:
        workers = f", {len(one.workers)} workers" if len(one.workers) > 1 else ""
        cells = (moment(one.at_s), KINDS[one.kind], one.what, one.whom, one.detail, f"{one.count}{workers}")
        add_row(table, cells)
    console.print(table)
    times = times_of(entries)
    if times.first_sign_s is not None:
        named = {"detected": times.detected_s, "acted": times.acted_s, "last sign": times.recovered_s}
        for name, at_s in named.items():
            after = "not in these sources" if at_s is None else f"after {span(at_s - times.first_sign_s)}"
            print_line(f"{name}: {after}")
