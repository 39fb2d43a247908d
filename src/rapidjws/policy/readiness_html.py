"""The readiness report as one HTML page that needs nothing else: no script, plots as SVG."""

from __future__ import annotations

from datetime import datetime, timezone
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rapidjws.policy.readiness import PartnerReadiness, Readiness, Seen

_STYLE: Final = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;
color:#1c2430;background:#fff}
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .7rem;
border-bottom:1px solid #d8dee6;vertical-align:top}td.n,th.n{text-align:right;
font-variant-numeric:tabular-nums}
.no{color:#a3221b;font-weight:600}.yes{color:#1d6b3a}.quiet{color:#5d6877}h2{margin-top:2.2rem}
svg{display:block;margin:.6rem 0}rect.good{fill:#3f7fbf}rect.bad{fill:#c7503f}
text{font-size:11px;fill:#5d6877}
"""
_WIDTH: Final = 640
_HEIGHT: Final = 110
_DAYS_SHOWN: Final = 60


def when(moment_s: int) -> str:
    """Return a moment in words, UTC, to the minute."""
    return datetime.fromtimestamp(moment_s, timezone.utc).strftime("%Y-%m-%d %H:%M")


def page(report: Readiness) -> str:
    """Return the report as HTML."""
    frozen = " The rollout is frozen." if report.frozen else ""
    rows = "".join(_row(one) for one in report.partners)
    parts = "".join(_section(one) for one in report.partners)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Readiness for signatures</title>'
        f"<style>{_STYLE}</style></head><body><h1>Readiness for signatures</h1>"
        f'<p class="quiet">{when(report.at_s)} UTC.{frozen}</p>'
        '<table><tr><th>Partner</th><th>Phase</th><th class="n">Requests</th><th class="n">Verified</th>'
        '<th class="n">Last day</th><th class="n">Failed</th><th class="n">p50 / p99 &micro;s</th>'
        f"<th>Refused, if tomorrow were enforced</th></tr>{rows}</table>{parts}</body></html>"
    )


def _row(one: PartnerReadiness) -> str:
    style = "no" if one.rejected_tomorrow else "yes" if one.recent else "quiet"
    verdict = "yes" if one.rejected_tomorrow else "no"
    return (
        f"<tr><td>{escape(one.partner)}</td><td>{escape(one.phase)}</td>"
        f'<td class="n">{one.requests}</td><td class="n">{one.verified}</td><td class="n">{one.recent}</td>'
        f'<td class="n">{one.recent_failed}</td><td class="n">{one.p50_us:.0f} / {one.p99_us:.0f}</td>'
        f'<td class="{style}">{verdict}: {escape(one.why)}</td></tr>'
    )


def _section(one: PartnerReadiness) -> str:
    contact = f" &middot; {escape(one.contact)}" if one.contact else ""
    failures = _table("Code", one.failures) if one.failures else "<p>No failures.</p>"
    return (
        f"<h2>{escape(one.partner)}</h2><p class='quiet'>{escape(one.phase)}{contact}, {one.refused} refused"
        f"</p>{_plot(one)}{failures}{_table('Algorithm', one.algorithms) if one.algorithms else ''}"
    )


def _table(title: str, seen: tuple[Seen, ...]) -> str:
    rows = "".join(
        f'<tr><td>{escape(one.name)}</td><td class="n">{one.count}</td><td>{when(one.first_s)}</td>'
        f"<td>{when(one.last_s)}</td></tr>"
        for one in seen
    )
    return (
        f'<table><tr><th>{title}</th><th class="n">Count</th><th>First seen</th><th>Last seen</th></tr>'
        f"{rows}</table>"
    )


def _plot(one: PartnerReadiness) -> str:
    """Return a bar a day: good requests below, failed ones above."""
    days = one.days[-_DAYS_SHOWN:]
    if not days:
        return "<p>No requests yet.</p>"
    most = max(total for _, total, _ in days)
    step = _WIDTH / _DAYS_SHOWN
    bars = []
    for number, (day, total, failed) in enumerate(days):
        bad = failed / most * _HEIGHT
        good = (total - failed) / most * _HEIGHT
        x = number * step
        title = f"<title>{when(day * 86_400)[:10]}: {total} requests, {failed} failed</title>"
        bars.append(
            f'<rect class="good" x="{x:.1f}" y="{_HEIGHT - good:.1f}" width="{step - 1.5:.1f}" '
            f'height="{good:.1f}">{title}</rect>'
            f'<rect class="bad" x="{x:.1f}" y="{_HEIGHT - good - bad:.1f}" width="{step - 1.5:.1f}" '
            f'height="{bad:.1f}">{title}</rect>'
        )
    first, last = when(days[0][0] * 86_400)[:10], when(days[-1][0] * 86_400)[:10]
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT + 18}" role="img">{"".join(bars)}'
        f'<text x="0" y="{_HEIGHT + 14}">{first} to {last}, at most {most} a day; failed on top</text></svg>'
    )
