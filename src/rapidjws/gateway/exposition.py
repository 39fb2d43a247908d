"""Plain counters for ``/metrics``, in the Prometheus text format, out of the rollout's evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws.engine.decision import OK
from rapidjws.errors import CODES

if TYPE_CHECKING:
    from rapidjws.policy.evidence import Row, RowKey


def exposition(rows: dict[RowKey, Row], *, ready: bool) -> str:
    """Return the counters; labels are configured names and codes only."""
    lines = [
        "# HELP rapidjws_ready Whether every required issuer has keys.",
        "# TYPE rapidjws_ready gauge",
        f"rapidjws_ready {int(ready)}",
        "# HELP rapidjws_requests_total Requests by what was found in them.",
        "# TYPE rapidjws_requests_total counter",
    ]
    for (partner, route), row in sorted(rows.items()):
        labels = f'partner="{_escaped(partner)}",route="{_escaped(route)}"'
        for code, seen in sorted(row.codes.items()):
            verdict = "permit" if code == OK else CODES[code].outcome if code in CODES else "deny"
            lines.append(f'rapidjws_requests_total{{{labels},code="{code}",verdict="{verdict}"}} {seen[0]}')
    lines += [
        "# HELP rapidjws_refused_total Requests that were refused in fact.",
        "# TYPE rapidjws_refused_total counter",
    ]
    for (partner, route), row in sorted(rows.items()):
        labels = f'partner="{_escaped(partner)}",route="{_escaped(route)}"'
        lines.append(f"rapidjws_refused_total{{{labels}}} {row.refused}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
