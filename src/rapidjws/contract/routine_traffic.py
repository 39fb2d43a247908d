"""The look at traffic: token lifetimes, clocks, and error rates against the weeks before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rapidjws.contract.routine import DAY_S, Limits, RoutineFinding
from rapidjws.rollout.counters import HOUR_S, Row
from rapidjws.rollout.escalation import escalations
from rapidjws.rollout.measures import LIFETIMES, skew_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rapidjws.rollout.counters import Counts
    from rapidjws.rollout.rollout import Rollout

REQUESTS_MIN: Final = 100
"""Requests of a period below which no rate is compared."""

RATE_FACTOR: Final = 2.0
RATE_STEP: Final = 0.005
"""An error rate has risen where it is twice that of before, and half a percent more."""

DROP_SHARE: Final = 0.5
PERIODS_BEFORE: Final = 8


def by_partner(counts: Counts, now_s: int) -> dict[str, Row]:
    """Return partner -> all that was seen of it, over its routes."""
    sums: dict[str, Row] = {}
    for (name, _), row in counts.rows.items():
        sums.setdefault(name, Row()).add(row, now_s)
    return sums


def traffic_findings(
    rollout: Rollout, counts: Counts, limits: Limits, now_s: int
) -> Iterator[RoutineFinding]:
    """Yield what the evidence tells: drift of error rates, lifetimes, clocks, and what is to be taken up.

    Args:
        rollout: Its partners.
        counts: All workers' evidence.
        limits: The period, and from where on something is named.
        now_s: Seconds since the epoch.
    """
    for name, row in by_partner(counts, now_s).items():
        subject = name or "(unknown callers)"
        yield from _drift(subject, row, limits.period_days, now_s)
        if name:
            yield from _lifetimes(subject, row, limits, now_s)
    for one in escalations(rollout, counts, now_s):
        text = f"{one.summary} ({one.count}); {'; '.join(f'{key}: {value}' for key, value in one.evidence)}"
        area = {"clock_skew": "clock", "jwks_down": "jwks", "unknown_kids": "use"}.get(one.rule, "keys")
        whose = one.partner or "(nobody's alone)"
        yield RoutineFinding(level="warning", area=area, subject=whose, code=one.rule, text=text)


def rates(row: Row, period_days: int, now_s: int) -> tuple[list[int], list[list[int]]]:
    """Return [requests, failed] of the last period, and of each of those before, the latest first."""
    periods = [[0, 0] for _ in range(1 + PERIODS_BEFORE)]
    for hour, (total, failed) in row.hours.items():
        back = (now_s - hour * HOUR_S) // (period_days * DAY_S)
        if 0 <= back <= PERIODS_BEFORE:
            periods[back][0] += total
            periods[back][1] += failed
    return periods[0], [one for one in periods[1:] if one[0]]


def _drift(subject: str, row: Row, period_days: int, now_s: int) -> Iterator[RoutineFinding]:
    (total, failed), before = rates(row, period_days, now_s)
    past, past_failed = sum(one[0] for one in before), sum(one[1] for one in before)
    if past < REQUESTS_MIN:
        return
    usual = past / len(before)
    if total < DROP_SHARE * usual:
        text = f"{total} requests in {period_days} days, {usual:.0f} in such a time before"
        yield RoutineFinding(level="note", area="errors", subject=subject, code="traffic_down", text=text)
    if total < REQUESTS_MIN:
        return
    rate, past_rate = failed / total, past_failed / past
    if rate > max(past_rate * RATE_FACTOR, past_rate + RATE_STEP):
        worst = max(
            (code for code in row.codes if code != "ok"), key=lambda code: row.codes[code][2], default="-"
        )
        shares = f"{rate:.2%} of {total} requests failed in {period_days} days, {past_rate:.2%} before"
        text = f"{shares}; the last for {worst}"
        yield RoutineFinding(level="warning", area="errors", subject=subject, code="error_rate_up", text=text)


def _lifetimes(subject: str, row: Row, limits: Limits, now_s: int) -> Iterator[RoutineFinding]:
    for span, (count, _, last_s) in row.lifetimes.items():
        if span in LIFETIMES[limits.lifetime :] and now_s - last_s < limits.period_days * DAY_S:
            words = "without exp or iat" if span == LIFETIMES[-1] else f"of {span}"
            yield RoutineFinding(level="warning", area="lifetimes", subject=subject, code="long_lifetime",
                                 text=f"{count} tokens {words}")  # fmt: skip


def traffic_members(counts: Counts, limits: Limits, now_s: int) -> list[dict[str, Any]]:
    """Return what was seen of each partner in the period, as JSON values."""
    found = []
    names = skew_names()
    for name, row in by_partner(counts, now_s).items():
        (total, failed), before = rates(row, limits.period_days, now_s)
        seen = row.skew_since(now_s - 2 * DAY_S, now_s)
        skew = [sum(column) for column in zip([0] * len(names), *seen.values(), strict=True)]
        found.append(
            {
                "partner": name or "(unknown callers)",
                "requests": total,
                "failed": failed,
                "before": [{"requests": one[0], "failed": one[1]} for one in before],
                "lifetimes": {span: row.lifetimes[span][0] for span in LIFETIMES if span in row.lifetimes},
                "skew": {words: count for words, count in zip(names, skew, strict=True) if count},
            }
        )
    return found
