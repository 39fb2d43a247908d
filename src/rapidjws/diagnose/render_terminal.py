"""A report in colour on a terminal. Needs the extra ``cli`` (rich)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rapidjws import escaping
from rapidjws.diagnose.render_markdown import MARKS, WHO
from rapidjws.diagnose.values import SECTIONS

if TYPE_CHECKING:
    from rapidjws.diagnose.report_values import ReportValues
    from rapidjws.diagnose.values import Check
    from rapidjws.errors import SafeValue

_STYLES: Final = {"ok": "green", "fail": "bold red", "warn": "yellow", "info": "cyan", "skip": "dim"}
_COLOURS: Final = {"permit": "green", "deny": "red", "indeterminate": "yellow"}


def show(report: ReportValues, console: Console | None = None) -> None:
    """Print the report."""
    console = console or Console()
    table = Table(box=None, padding=(0, 1), show_header=False, expand=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for section in SECTIONS:
        checks = [check for check in report.checks if check.part == section]
        for index, check in enumerate(checks):
            style = _STYLES[check.status]
            first = Text(section if index == 0 else "", style="bold")
            table.add_row(first, Text(MARKS[check.status], style=style), _line(check, style))
    console.print(table)
    colour = _COLOURS[report.outcome]
    if report.code is None and not report.causes:
        console.print(Panel(Text("the engine accepts this token"), title="permit", border_style=colour))
        return
    lines = Text()
    if report.message:
        lines.append(f"{escaping.terminal(report.message)}\n\n", style="dim")
    if report.causes:
        cause = report.causes[0]
        lines.append(f"{cause.title}\n", style="bold")
        known = f"{cause.id} ({cause.certainty})"
        for name, words in (("cause", known), ("evidence", escaping.terminal(cause.evidence)),
                            ("fix", cause.fix), ("who", WHO[cause.escalate])):  # fmt: skip
            lines.append(f"{name:<9}", style="cyan")
            lines.append(f"{words}\n")
        for word, proven in (("proven", True), ("possible", False)):
            others = ", ".join(other.id for other in report.causes[1:6] if other.is_proven is proven)
            if others:
                lines.append(f"{word:<9}", style="cyan")
                lines.append(f"{others}\n", style="dim")
    title = report.outcome if report.code is None else f"{report.outcome}: {report.code}"
    console.print(Panel(lines, title=f"[bold {colour}]{title}[/]", border_style=colour, title_align="left"))


def _line(check: Check, style: str) -> Text:
    """Return one check as a line."""
    text = Text(escaping.terminal(check.text), style=style if check.status in ("fail", "warn") else "")
    for word, value in (("expected", check.expected), ("found", check.actual)):
        if value is not None:
            text.append(f"  {word} ", style="dim")
            text.append(_value(value))
    return text


def _value(value: SafeValue) -> str:
    """Return a value as one line."""
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return escaping.terminal(", ".join(map(str, value)) if isinstance(value, tuple) else str(value))
