"""Issuers and recent changes in a sidecar's status, out of what its workers report."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from rapidjws.sidecar.key_status import differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rapidjws.rollout.history import Change

CHANGES_MAX: Final = 50
SAME_CHANGE_S: Final = 60.0
"""Seconds within which several workers tell of one change."""

_SHOWN: Final = (
    "issuer", "source", "required", "code", "keys", "key_set", "age_s", "fresh_for_s", "next_refresh_s",
    "stale_in_s", "fetches", "failures", "failure", "skew",
)  # fmt: skip


class Differing:
    """Since when workers have had different keys of an issuer."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def seconds(self, issuers: Iterable[str]) -> dict[str, float]:
        """Return issuer -> for how long; others are forgotten.

        Args:
            issuers: Of which workers have different keys now.
        """
        now_s = monotonic()
        self._since = {name: self._since.get(name, now_s) for name in issuers}
        return {name: round(now_s - since_s, 1) for name, since_s in self._since.items()}


def issuer_rows(reports: list[dict[str, Any]], differing: Differing) -> list[dict[str, Any]]:
    """Return one row an issuer: of the worker whose keys are worst off, with the workers that differ.

    Args:
        reports: What the living workers report.
        differing: Keeps since when.
    """
    worst: dict[str, dict[str, Any]] = {}
    for report in reports:
        for row in report["issuers"]:
            known = worst.get(row["issuer"])
            if known is None or _badness(row) > _badness(known):
                worst[row["issuer"]] = row
    apart = differences(reports)
    spans_s = differing.seconds(apart)
    rows = []
    for issuer, row in worst.items():
        shown: dict[str, Any] = {name: row[name] for name in _SHOWN if name in row}
        shown["differs"] = [one["pid"] for one in apart.get(issuer, [])]
        shown["differs_for_s"] = spans_s.get(issuer, 0.0)
        rows.append(shown)
    return rows


def _badness(row: dict[str, Any]) -> tuple[bool, int, float]:
    return row["code"] is not None, row.get("failures") or 0, row.get("age_s") or 0.0


def recent_changes(reports: list[dict[str, Any]], history: Sequence[Change]) -> list[dict[str, Any]]:
    """Return what happened last, the latest first: events of all workers, and changes of the rollout.

    Args:
        reports: What the living workers report.
        history: The rollout's, the oldest first.
    """
    issuers: dict[Any, Any] = {
        row.get("source"): row["issuer"] for report in reports for row in report["issuers"]
    }
    found: list[dict[str, Any]] = []
    for event in sorted(
        (event for report in reports for event in report["events"]), key=lambda event: float(event["at_s"])
    ):
        issuer = issuers.get(event.get("issuer"), event.get("issuer"))
        row = {**event, "issuer": issuer, "workers": 1}
        same = next((one for one in found if _is_same(one, row)), None)
        if same is None:
            found.append(row)
        else:
            same["workers"] += 1
            same["count"] = max(same["count"], row["count"])
            same["last_s"] = max(same["last_s"], row["last_s"])
    for entry in history[-CHANGES_MAX:]:
        detail = (
            f"{entry.before or '-'} -> {entry.after or '-'}" if entry.before or entry.after else entry.why
        )
        who = {"partner": entry.partner or None, "route": entry.route or None, "by": entry.by}
        event = {"event": entry.action, "at_s": entry.at_s, "last_s": entry.at_s, "count": 1, "workers": 1}
        found.append({**event, **who, "issuer": None, "kid": None, "detail": detail})
    return sorted(found, key=lambda one: -float(one["last_s"]))[:CHANGES_MAX]


def _is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    names = ("event", "issuer", "kid", "detail")
    close = abs(one["at_s"] - other["at_s"]) <= SAME_CHANGE_S
    return close and all(one.get(name) == other.get(name) for name in names)
