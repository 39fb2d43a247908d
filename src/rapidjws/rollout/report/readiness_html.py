"""The readiness report as one HTML page that needs nothing else: no script, plots as SVG.

What this never does: let a browser fetch or run anything (its content security policy forbids all but its own
style), or put a foreign name on the page as markup.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rapidjws.escaping import html
from rapidjws.rollout.report.plots import days_plot, latency_plot, when

if TYPE_CHECKING:
    from rapidjws.rollout.escalation import Escalation
    from rapidjws.rollout.report.readiness import Compared, PartnerReadiness, Readiness, Seen

_STYLE: Final = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem;
color:#1c2430;background:#fff;overflow-wrap:break-word}
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .7rem;
border-bottom:1px solid #d8dee6;vertical-align:top}
td{overflow-wrap:anywhere;min-width:6.5rem}th{overflow-wrap:normal}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;min-width:0}td.n,td.t{white-space:nowrap}
.no{color:#a3221b;font-weight:600}.yes{color:#1d6b3a}.quiet{color:#5d6877}
h2{margin-top:2.2rem;overflow-wrap:anywhere}
svg{display:block;margin:.6rem 0;max-width:100%}rect.good{fill:#3f7fbf}rect.bad{fill:#c7503f}
text{font-size:11px;fill:#5d6877}.plots{display:flex;flex-wrap:wrap;gap:0 2rem}
@media(max-width:48rem){body{margin:1rem auto}table,tbody,tr,td{display:block}tr.head{display:none}
tr{border-bottom:1px solid #d8dee6;padding:.4rem 0}
td,td.n{border:0;min-width:0;padding:.1rem 0 .1rem 9rem;position:relative;text-align:left;white-space:normal}
td::before{content:attr(data-label);position:absolute;left:0;width:8.5rem;color:#5d6877;font-weight:400}}
"""
_TABLE: Final = re.compile(r"<table>.*?</table>", re.DOTALL)
_HEAD: Final = re.compile(r"<th[^>]*>(.*?)</th>")
_CELL: Final = re.compile(r"<td")
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: Readiness) -> str:
    """Return the report as HTML."""
    frozen = " The rollout is frozen." if report.frozen else ""
    rows = "".join(_row(one) for one in report.partners)
    parts = "".join(_section(one) for one in report.partners)
    whole = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width"><title>Readiness for signatures</title>'
        f"<style>{_STYLE}</style></head><body><h1>Readiness for signatures</h1>"
        f'<p class="quiet">{when(report.at_s)} UTC.{frozen} Verification added at most {report.p50_us:.0f} '
        f"&micro;s to half of all requests, {report.p99_us:.0f} &micro;s to 99 of 100.</p>"
        '<table><tr><th>Partner</th><th>Phase</th><th class="n">Requests</th><th class="n">Verified</th>'
        '<th class="n">Last day</th><th class="n">Failed</th><th class="n">p50 / p99 &micro;s</th>'
        f"<th>Refused, if tomorrow were enforced</th></tr>{rows}</table>"
        f"{_unattributed(report)}{_escalations(report.escalations)}{_shadow(report.shadow)}{parts}</body></html>"
    )
    return _TABLE.sub(_labelled, whole)


def _labelled(table: re.Match[str]) -> str:
    """Return a table whose cells carry their column's heading, which a narrow screen shows beside each.

    Foreign text has no markup left in it: what looks like a cell is one of ours.
    """
    head, *rows = table[0].split("</tr>")
    labels = _HEAD.findall(head)
    made = [head.replace("<tr>", '<tr class="head">', 1)]
    for row in rows:
        names = iter(labels)
        made.append(_CELL.sub(lambda _, names=names: f'<td data-label="{next(names)}"', row))  # type: ignore[misc]
    return "</tr>".join(made)


def _row(one: PartnerReadiness) -> str:
    style = "no" if one.rejected_tomorrow else "yes" if one.recent else "quiet"
    verdict = "yes" if one.rejected_tomorrow else "no"
    return (
        f"<tr><td>{html(one.partner)}</td><td>{html(one.phase)}</td>"
        f'<td class="n">{one.requests:,}</td><td class="n">{one.verified:,}</td>'
        f'<td class="n">{one.recent:,}</td><td class="n">{one.recent_failed:,}</td>'
        f'<td class="n">{one.p50_us:.0f} / {one.p99_us:.0f}</td>'
        f'<td class="{style}">{verdict}: {html(one.why)}</td></tr>'
    )


def _unattributed(report: Readiness) -> str:
    """Return how many requests nobody could be attributed to, and which promotions that makes uncertain."""
    rows = "".join(
        f"<tr><td>{html(one.partner)}</td><td>{html(one.uncertain)}</td></tr>"
        for one in report.partners
        if one.uncertain
    )
    table = f"<table><tr><th>Partner</th><th>Promotion uncertain</th></tr>{rows}</table>" if rows else ""
    return (
        f"<p>Attributed to nobody: {report.unattributed} requests, {report.unattributed_failed} without "
        f"a good token.</p>{table}"
    )


def _escalations(found: tuple[Escalation, ...]) -> str:
    if not found:
        return ""
    rows = "".join(
        f"<tr><td>{html(one.partner or '-')}</td><td>{_address(one.contact)}</td>"
        f"<td>{html(one.summary)}</td><td class='n'>{one.count:,}</td><td class='t'>{when(one.first_s)}</td>"
        f"<td class='t'>{when(one.last_s)}</td><td>"
        f"{'<br>'.join(f'{html(name)}: {html(value)}' for name, value in one.evidence)}</td></tr>"
        for one in found
    )
    return (
        "<h2>To take up</h2><table><tr><th>Partner</th><th>Contact</th><th>What</th><th class='n'>Count</th>"
        f"<th>First seen</th><th>Last seen</th><th>Evidence</th></tr>{rows}</table>"
    )


def _address(contact: str | None) -> str:
    """Return a mail address that a narrow column breaks behind its @."""
    return html(contact or "-").replace("@", "@<wbr>", 1)


def _shadow(found: tuple[Compared, ...]) -> str:
    if not found:
        return ""
    rows = "".join(
        f"<tr><td>{html(one.partner)}</td><td>{html(one.route or 'all others')}</td>"
        f"<td>{html(one.seen.name.replace('_', ' '))}</td><td class='n'>{one.seen.count:,}</td>"
        f"<td class='t'>{when(one.seen.first_s)}</td><td class='t'>{when(one.seen.last_s)}</td></tr>"
        for one in found
    )
    return (
        "<h2>Beside the incumbent</h2><table><tr><th>Partner</th><th>Route</th><th>Outcome</th>"
        f"<th class='n'>Count</th><th>First seen</th><th>Last seen</th></tr>{rows}</table>"
    )


def _section(one: PartnerReadiness) -> str:
    contact = f" &middot; {html(one.contact)}" if one.contact else ""
    failures = _table("Code", one.failures) if one.failures else "<p>No failures.</p>"
    tables = (
        ("Algorithm", one.algorithms),
        ("Unknown kid", one.unknown_kids),
        ("Algorithm refused", one.other_algorithms),
        ("Claimed by unverified tokens", one.claims),
    )
    return (
        f"<h2>{html(one.partner)}</h2><p class='quiet'>{html(one.phase)}{contact}, {one.refused} refused"
        f"</p><div class='plots'>{days_plot(one.days)}{latency_plot(one.latency)}</div>{failures}"
        f"{''.join(_table(title, seen) for title, seen in tables if seen)}"
    )


def _table(title: str, seen: tuple[Seen, ...]) -> str:
    rows = "".join(
        f"<tr><td>{html(one.name)}</td><td class='n'>{one.count:,}</td><td class='t'>{when(one.first_s)}</td>"
        f"<td class='t'>{when(one.last_s)}</td></tr>"
        for one in seen
    )
    return (
        f'<table><tr><th>{title}</th><th class="n">Count</th><th>First seen</th><th>Last seen</th></tr>'
        f"{rows}</table>"
    )
