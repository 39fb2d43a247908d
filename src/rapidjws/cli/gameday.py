"""``rapidjws gameday``: a fault in a service of its own, its alerts, its runbook, and how long each took."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rapidjws.cli.output import add_row, complain, print_line
from rapidjws.config.read import load_config
from rapidjws.errors import RapidJWSError
from rapidjws.gameday.exercise import Exercise, Outcome
from rapidjws.gameday.scenarios import GAME_DAYS, SCENARIOS

MOVED_SHOWN = 12


def gameday(
    name: Annotated[str | None, typer.Argument(help="The fault; without one, all are listed.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Configuration to exercise with: its rules, with issuers and stores made for the day."
        ),
    ] = None,
    scale: Annotated[
        float, typer.Option(help="Divide the durations of rules by this, to be done sooner.", min=1, max=1000)
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Run a fault against a service of its own: exit 0 where it passed, 1 where not, 2 on wrong usage.

    Nothing of a running service is touched. The rules are evaluated by a Prometheus, where one is installed,
    else by the service's own thresholds.
    """
    if name is None:
        _show_list()
        return
    if name not in GAME_DAYS:
        complain("gameday", f"one of {', '.join(GAME_DAYS)} expected")
        raise typer.Exit(2)
    try:
        tables = None if config is None else load_config(config).tables
        with tempfile.TemporaryDirectory(prefix="gameday") as folder:
            steps = (lambda line: print(f"  {line}", file=sys.stderr, flush=True)) if not as_json else _silent
            outcome = Exercise(name, Path(folder), tables, scale=scale, say=steps).run()
    except (RapidJWSError, ImportError, OSError, RuntimeError) as fault:  # the last: no thread to be had
        complain("gameday", fault)
        raise typer.Exit(2) from None
    if as_json:
        print(json.dumps(outcome.as_dict()))
    else:
        _show(outcome)
    raise typer.Exit(0 if outcome.passed else 1)


def _silent(line: str) -> None:
    """Write nothing."""


def _show_list() -> None:
    table = Table("game day", "fault", "runbook", box=None)
    for name in GAME_DAYS:
        add_row(table, (name, SCENARIOS[name].title, SCENARIOS[name].runbook))
    Console().print(table)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"


def _show(outcome: Outcome) -> None:
    console = Console()
    series = Table("series that the fault moved", "by", box=None)
    for name, change in list(outcome.moved.items())[:MOVED_SHOWN]:
        add_row(series, (name, f"{change:+g}"))
    console.print(series)
    alerts = Table("alert", "after", "summary", box=None)
    for name, after_s in outcome.alerts.items():
        add_row(alerts, (name, _seconds(after_s), outcome.summaries[name]))
    console.print(alerts)
    print_line(f"rules by {outcome.rules}, durations divided by {outcome.scale:g}; runbook {outcome.runbook}")
    print_line(f"detect {_seconds(outcome.detect_s)}, name {_seconds(outcome.named_s)} (objective 300 s), "
        f"recover {_seconds(outcome.recover_s)} (objective 1800 s)")  # fmt: skip
    for fault in outcome.faults:
        print_line(f"fault: {fault}")
    print_line(f"{outcome.name}: {'passed' if outcome.passed else 'failed'}")
