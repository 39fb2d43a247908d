"""The report of a verification as one HTML page: no script, nothing fetched, foreign text as text alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws._version import __version__
from rapidjws.escaping import html

if TYPE_CHECKING:
    from rapidjws.audit.bundle_check import Finding
    from rapidjws.audit.verification import VerificationReport

SHOWN_MAX: Final = 1000
"""Most findings on the page; the JSON report has them all."""

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1c2430;"
    "background:#fff;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%;margin:1rem 0}"
    "th,td{text-align:left;padding:.3rem .7rem;border-bottom:1px solid #d8dee6;vertical-align:top}"
    ".bad{color:#a3221b;font-weight:600}.good{color:#1d6b3a;font-weight:600}.quiet{color:#5d6877}"
    "code{font-size:.9em}"
)


def page(report: VerificationReport) -> str:
    """Return a report as HTML."""
    bad = "no decision was looked at" if report.is_empty else f"{len(report.findings)} findings"
    verdict = (
        '<p class="good">Good: nothing is altered, missing or judged otherwise.</p>'
        if report.is_good
        else f'<p class="bad">Not good: {bad}.</p>'
    )
    counts = [
        ("Log", report.origin), ("Records", report.size), ("Signed root", report.root),
        ("Looked at", report.records), ("Verified again with the same verdict", report.agreed),
        ("Decisions without a record, as gap records say", report.lost),
        *((f"Not verified again: {why}", count) for why, count in sorted(report.not_verified_again.items())),
    ]  # fmt: skip
    facts = "".join(f"<tr><th>{html(name)}</th><td>{html(value)}</td></tr>" for name, value in counts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width"><title>Verification of an audit trail</title>'
        f"<style>{_STYLE}</style></head><body><h1>Verification of an audit trail</h1>{verdict}"
        f"<table>{facts}</table>{_findings(report.findings)}"
        f'<p class="quiet">Verified by rapidjws {html(__version__)}.</p></body></html>\n'
    )


def _findings(findings: list[Finding]) -> str:
    if not findings:
        return ""
    rows = "".join(
        f"<tr><td>{'' if one.record is None else one.record}</td><td>{html(one.code)}</td>"
        f"<td><code>{html(one.place)}</code></td><td>{html(one.cause or '')}</td>"
        f"<td>{html(one.expected or '')}</td><td>{html(one.actual or '')}</td></tr>"
        for one in findings[:SHOWN_MAX]
    )
    rest = len(findings) - SHOWN_MAX
    more = f"<p>{rest} more are in the JSON report.</p>" if rest > 0 else ""
    head = (
        "<tr><th>Record</th><th>Finding</th><th>Place</th><th>Cause</th><th>Expected</th><th>Found</th></tr>"
    )
    return f"<h2>Findings</h2><table>{head}{rows}</table>{more}"
