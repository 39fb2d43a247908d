"""A report as Markdown, to paste into a ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws import escaping
from rapidjws.diagnose.values import SECTIONS

if TYPE_CHECKING:
    from rapidjws.diagnose.report_values import ReportValues
    from rapidjws.diagnose.values import Cause
    from rapidjws.errors import SafeValue

MARKS: Final = {"ok": "✓", "fail": "✗", "warn": "!", "info": "·", "skip": "-"}
WHO: Final = {
    "partner": "the partner must act: escalate",
    "client": "the sender must act",
    "operator": "we must act",
    "security": "security must look at it",
}


def markdown(report: ReportValues) -> str:
    """Return the report as Markdown."""
    verdict = "accepted" if report.code is None else f"{report.outcome}: `{report.code}`"
    lines = [f"## Token {verdict}", ""]
    if report.message:
        lines += [f"- engine: {escaping.markdown(report.message)}"]
    lines += [
        f"- judged at: {report.now:.0f}",
        f"- token: `{escaping.printable(report.token, 70_000).replace('`', '')}`",
        "",
    ]
    if report.causes:
        lines += _cause(report.causes[0], "Probable cause")
    if len(report.causes) > 1:
        lines += _others([one for one in report.causes[1:6] if one.is_proven], "Proven as well")
        lines += _others([one for one in report.causes[1:6] if not one.is_proven], "Possible, not proven")
    for section in SECTIONS:
        checks = [check for check in report.checks if check.part == section]
        if not checks:
            continue
        lines += [
            f"### {section}",
            "",
            "| | check | | expected | actual |",
            "| --- | --- | --- | --- | --- |",
        ]
        for check in checks:
            cells = (check.name, escaping.markdown(check.text), shown(check.expected), shown(check.actual))
            lines.append(f"| {MARKS[check.status]} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _others(causes: list[Cause], heading: str) -> list[str]:
    """Return the lines of further causes."""
    if not causes:
        return []
    return [f"### {heading}", "", *(f"- `{one.id}`: {one.title}" for one in causes), ""]


def _cause(cause: Cause, heading: str) -> list[str]:
    """Return the lines of the first cause."""
    return [
        f"### {heading}: {cause.title}",
        "",
        f"- cause: `{cause.id}` ({cause.certainty})",
        f"- evidence: {escaping.markdown(cause.evidence)}",
        f"- fix: {cause.fix}",
        f"- who: {WHO[cause.escalate]}",
        "",
    ]


def shown(value: SafeValue) -> str:
    """Return a value for a table cell: one line, bounded, nothing invisible."""
    if value is None:
        return ""
    text = ", ".join(str(item) for item in value) if isinstance(value, tuple) else str(value)
    return escaping.markdown(text)
