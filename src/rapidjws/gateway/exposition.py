"""Plain counters for ``/metrics``, in the Prometheus text format, out of the rollout's evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws.engine.decision import OK
from rapidjws.errors import CODES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.gateway.board import WorkerState
    from rapidjws.policy.rows import Row, RowKey


def exposition(rows: dict[RowKey, Row], *, ready: bool, workers: Sequence[WorkerState] = ()) -> str:
    """Return the counters; labels are configured names, codes and process ids only."""
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
    lines += [
        "# HELP rapidjws_change_lag_seconds From the call of the last change to where it held in a worker.",
        "# TYPE rapidjws_change_lag_seconds gauge",
        *(f'rapidjws_change_lag_seconds{{worker="{one.pid}"}} {one.lag_s:.6f}' for one in workers),
        "# HELP rapidjws_changes_total Changes that a worker took over.",
        "# TYPE rapidjws_changes_total counter",
        *(f'rapidjws_changes_total{{worker="{one.pid}"}} {one.changes}' for one in workers),
    ]
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
