"""The readiness report: which partners sign, which fail and why, and who would be refused tomorrow.

What this never does: guess. A partner without requests is silent, not ready.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from rapidjws.engine.decision import ENFORCEMENT, OK
from rapidjws.policy.rows import HOUR_S, Row, Tally

if TYPE_CHECKING:
    from rapidjws.policy.partner import Partner
    from rapidjws.policy.rollout import Rollout
    from rapidjws.policy.stages import Phase

DAY_S: Final = 86_400
UNKNOWN: Final = "(unknown callers)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Hold how often something was seen, and when, seconds since the epoch."""

    name: str
    count: int
    first_s: int
    last_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerReadiness:
    """Hold what is known about one partner.

    Attributes:
        partner: Its name.
        phase: The phase that holds for it now, outside of special routes.
        contact: Its technical contact, or None.
        requests: All requests.
        verified: Those with a good token.
        refused: Those that were refused in fact.
        failures: The others, by code, the most frequent first.
        algorithms: The algorithms of good tokens.
        recent: Requests of the last day.
        recent_failed: Those of them without a good token.
        rejected_tomorrow: Whether some of them would be refused, if tomorrow were enforced.
        why: Why, or why not.
        p50_us: Half of its requests were decided within this time, microseconds; an upper bound.
        p99_us: 99 of 100.
        days: Day since the epoch, requests, failed.
    """

    partner: str
    phase: str
    contact: str | None
    requests: int
    verified: int
    refused: int
    failures: tuple[Seen, ...]
    algorithms: tuple[Seen, ...]
    recent: int
    recent_failed: int
    rejected_tomorrow: bool
    why: str
    p50_us: float
    p99_us: float
    days: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Hold the report: when it was made, whether the plan is frozen, and one row a partner."""

    at_s: int
    frozen: bool
    partners: tuple[PartnerReadiness, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return asdict(self)


def readiness(rollout: Rollout, now_s: int) -> Readiness:
    """Return the report on all workers' evidence.

    Args:
        rollout: Its partners, plan and evidence.
        now_s: Seconds since the epoch.

    Returns:
        One row a configured partner, in their order, and one for unknown callers.
    """
    sums: dict[str, Row] = {}
    for (name, _), row in rollout.evidence.rows().items():
        sums.setdefault(name, Row()).add(row)
    rows = [
        _partner(rollout, partner, sums.get(name, Row()), now_s) for name, partner in rollout.partners.items()
    ]
    if "" in sums:
        rows.append(_partner(rollout, None, sums[""], now_s))
    return Readiness(at_s=now_s, frozen=rollout.state.plan().frozen, partners=tuple(rows))


def _partner(rollout: Rollout, partner: Partner | None, row: Row, now_s: int) -> PartnerReadiness:
    rules = rollout.default if partner is None else partner
    name = None if partner is None else partner.name
    stage = rollout.state.plan().find(name, None)[1]
    recent = row.since(now_s - DAY_S)
    rejected, why = _tomorrow(rules, row, recent, stage.phase_for(name), now_s)
    return PartnerReadiness(
        partner=UNKNOWN if name is None else name,
        phase=stage.phase_for(name),
        contact=rules.contact,
        requests=sum(seen[0] for seen in row.codes.values()),
        verified=row.codes.get(OK, [0])[0],
        refused=row.refused,
        failures=_seen({code: seen for code, seen in row.codes.items() if code != OK}),
        algorithms=_seen(row.algs),
        recent=recent.total,
        recent_failed=recent.failed,
        rejected_tomorrow=rejected,
        why=why,
        p50_us=row.latency_ns(0.5) / 1000,
        p99_us=row.latency_ns(0.99) / 1000,
        days=_days(row),
    )


def _tomorrow(rules: Partner, row: Row, recent: Tally, phase: Phase, now_s: int) -> tuple[bool, str]:
    """Return whether enforcement tomorrow would refuse requests like today's, and why.

    The allow-list counts unless full enforcement, which knows none, holds already.
    """
    total, failed = recent.total, recent.failed
    tomorrow_s = now_s + DAY_S
    if failed and phase != ENFORCEMENT and rules.is_allow_listed(tomorrow_s):
        return False, "let through by the allow-list"
    ending = [
        alg
        for alg, until_s in rules.retiring.items()
        if until_s <= tomorrow_s and row.algs.get(alg, [0, 0, 0])[2] >= now_s - DAY_S
    ]
    if failed:
        return True, f"{failed} of {total} requests of the last day had no good token"
    if ending:
        return True, f"uses {', '.join(ending)}, which ends by tomorrow"
    return (
        (False, "all requests of the last day were good") if total else (False, "silent: no request in a day")
    )


def _seen(table: dict[str, list[int]]) -> tuple[Seen, ...]:
    made = [Seen(name=name, count=seen[0], first_s=seen[1], last_s=seen[2]) for name, seen in table.items()]
    return tuple(sorted(made, key=lambda one: (-one.count, one.name)))


def _days(row: Row) -> tuple[tuple[int, int, int], ...]:
    days: dict[int, list[int]] = {}
    for hour, (total, failed) in row.hours.items():
        day = days.setdefault(hour * HOUR_S // DAY_S, [0, 0])
        day[0] += total
        day[1] += failed
    return tuple((day, days[day][0], days[day][1]) for day in sorted(days))
