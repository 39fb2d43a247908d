"""A report as Markdown, to paste into a ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws.diagnose.values import ROOMS

if TYPE_CHECKING:
    from rapidjws.diagnose.report import Report
    from rapidjws.diagnose.values import Cause
    from rapidjws.errors import SafeValue

MARKS: Final = {"ok": "✓", "fail": "✗", "warn": "!", "info": "·", "skip": "-"}
WHO: Final = {
    "partner": "the partner must act: escalate",
    "client": "the sender must act",
    "operator": "we must act",
    "security": "security must look at it",
}
_SHOWN_CHARS: Final = 100


def markdown(report: Report) -> str:
    """Return the report as Markdown."""
    verdict = "accepted" if report.code is None else f"{report.outcome}: `{report.code}`"
    lines = [f"## Token {verdict}", ""]
    if report.message:
        lines += [f"- engine: {escaped(report.message)}"]
    lines += [f"- judged at: {report.now:.0f}", f"- token: `{report.token.replace('`', '')}`", ""]
    if report.causes:
        lines += _cause(report.causes[0], "Probable cause")
    if len(report.causes) > 1:
        lines += ["### Less probable", ""]
        lines += [f"- `{cause.id}` ({cause.certainty}): {cause.title}" for cause in report.causes[1:6]]
        lines += [""]
    for room in ROOMS:
        checks = [check for check in report.checks if check.part == room]
        if not checks:
            continue
        lines += [f"### {room}", "", "| | check | | expected | actual |", "| --- | --- | --- | --- | --- |"]
        for check in checks:
            cells = (check.name, escaped(check.text), shown(check.expected), shown(check.actual))
            lines.append(f"| {MARKS[check.status]} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _cause(cause: Cause, heading: str) -> list[str]:
    """Return the lines of the first cause."""
    return [
        f"### {heading}: {cause.title}",
        "",
        f"- cause: `{cause.id}` ({cause.certainty})",
        f"- evidence: {escaped(cause.evidence)}",
        f"- fix: {cause.fix}",
        f"- who: {WHO[cause.escalate]}",
        "",
    ]


def shown(value: SafeValue) -> str:
    """Return a value for a table cell: one line, bounded, nothing invisible."""
    if value is None:
        return ""
    text = ", ".join(str(item) for item in value) if isinstance(value, tuple) else str(value)
    return escaped(text)


def escaped(text: str) -> str:
    """Return foreign text as one printable line that Markdown does not read as markup."""
    plain = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
    for mark in "|`<>[]*_":
        plain = plain.replace(mark, f"\\{mark}")
    return plain if len(plain) <= 3 * _SHOWN_CHARS else plain[: 3 * _SHOWN_CHARS] + "..."
