"""Plain counters for ``/metrics``, in the Prometheus text format, out of memory that the workers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rapidjws.errors import CODES
from rapidjws.jwt.decision import OK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rapidjws.sidecar.change_bus import WorkerState
    from rapidjws.sidecar.request_counters import Totals


_TABLES: Final = (
    ("tables", "gauge", "tables", "Keys of a worker that have a precomputed table."),
    ("tables_used_bytes", "gauge", "tables_used_bytes", "Memory that precomputed tables take."),
    (
        "tables_budget_bytes",
        "gauge",
        "tables_budget_bytes",
        "Memory that they may take: precompute_budget_bytes.",
    ),
    ("tables_wanted_bytes", "gauge", "tables_wanted_bytes", "The budget that would do for all keys in use."),
    ("tables_built_total", "counter", "tables_built", "Tables that a worker built."),
)
"""Name, type, field of a worker's state, and help of each measure of precomputed tables."""


def exposition(
    totals: Totals,
    *,
    ready: bool,
    unnamed: int = 0,
    workers: Sequence[WorkerState] = (),
    restarts: Sequence[int] = (),
) -> str:
    """Return the counters; labels are configured names, codes and process ids only.

    Args:
        totals: The counts of each partner, route and code.
        ready: Whether every required issuer has keys.
        unnamed: Requests in none of them.
        workers: What each worker took over.
        restarts: How often each worker was started again.
    """
    lines = [
        "# HELP rapidjws_ready Whether every required issuer has keys.",
        "# TYPE rapidjws_ready gauge",
        f"rapidjws_ready {int(ready)}",
        "# HELP rapidjws_requests_total Requests by what was found in them.",
        "# TYPE rapidjws_requests_total counter",
    ]
    refused: dict[tuple[str, str], int] = {}
    for (partner, route, code), (seen, denied) in sorted(totals.items()):
        verdict = "permit" if code == OK else CODES[code].outcome if code in CODES else "deny"
        labels = f'{_labels(partner, route)},code="{_escaped(code)}",verdict="{verdict}"'
        lines.append(f"rapidjws_requests_total{{{labels}}} {seen}")
        refused[partner, route] = refused.get((partner, route), 0) + denied
    lines += [
        "# HELP rapidjws_refused_total Requests that were refused in fact.",
        "# TYPE rapidjws_refused_total counter",
        *(f"rapidjws_refused_total{{{_labels(*key)}}} {count}" for key, count in refused.items()),
        "# HELP rapidjws_requests_unnamed_total Requests beyond the most series that are kept apart.",
        "# TYPE rapidjws_requests_unnamed_total counter",
        f"rapidjws_requests_unnamed_total {unnamed}",
        "# HELP rapidjws_worker_restarts_total How often a worker was started again.",
        "# TYPE rapidjws_worker_restarts_total counter",
        *(f'rapidjws_worker_restarts_total{{worker="{at}"}} {count}' for at, count in enumerate(restarts)),
        "# HELP rapidjws_change_lag_seconds From the call of the last change to where it held in a worker.",
        "# TYPE rapidjws_change_lag_seconds gauge",
        *(f'rapidjws_change_lag_seconds{{worker="{one.pid}"}} {one.lag_s:.6f}' for one in workers),
        "# HELP rapidjws_changes_total Changes that a worker took over.",
        "# TYPE rapidjws_changes_total counter",
        *(f'rapidjws_changes_total{{worker="{one.pid}"}} {one.changes}' for one in workers),
        "# HELP rapidjws_config_refused Whether a worker refused the last configuration.",
        "# TYPE rapidjws_config_refused gauge",
        *(f'rapidjws_config_refused{{worker="{one.pid}"}} {int(one.config_refused)}' for one in workers),
    ]
    for name, kind, field, words in _TABLES:
        lines += [f"# HELP rapidjws_{name} {words}", f"# TYPE rapidjws_{name} {kind}"]
        lines += [f'rapidjws_{name}{{worker="{one.pid}"}} {getattr(one, field)}' for one in workers]
    return "\n".join(lines) + "\n"


def _labels(partner: str, route: str) -> str:
    return f'partner="{_escaped(partner)}",route="{_escaped(route)}"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
