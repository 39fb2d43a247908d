"""The readiness report: which partners sign, which fail and why, who would be refused tomorrow.

What this never does: guess. A partner without requests is silent, not ready.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from rapidjws.jwt.decision import ENFORCEMENT, OK
from rapidjws.rollout.counters import HOUR_S, Row, WindowCounts
from rapidjws.rollout.escalation import DAY_S, Escalation, escalations
from rapidjws.rollout.plan import EVERYWHERE

if TYPE_CHECKING:
    from rapidjws.rollout.partner import Partner
    from rapidjws.rollout.plan import Phase
    from rapidjws.rollout.rollout import Rollout

UNKNOWN: Final = "(unknown callers)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How often something was seen, and when, seconds since the epoch."""

    name: str
    count: int
    first_s: int
    last_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerReadiness:
    """What is known about one partner.

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
        latency: Requests by the power of two of nanoseconds that verification took.
        days: Day since the epoch, requests, failed.
        unknown_kids: Kids that no key has.
        other_algorithms: Algorithms of tokens that were refused for them.
        enforce_on_s: The announced date of enforcement for it, seconds since the epoch, or None.
        claims: Requests of nobody's whose unverified token names it, by code: its own, or a stranger's.
        uncertain: Why its promotion is uncertain, in a sentence; ``""`` where it is not.
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
    latency: tuple[int, ...]
    days: tuple[tuple[int, int, int], ...]
    unknown_kids: tuple[Seen, ...] = ()
    other_algorithms: tuple[Seen, ...] = ()
    enforce_on_s: int | None = None
    claims: tuple[Seen, ...] = ()
    uncertain: str = ""

    @property
    def is_known(self) -> bool:
        """Return whether it is a configured partner, not the unknown callers."""
        return self.partner != UNKNOWN

    @property
    def is_ready(self) -> bool:
        """Return whether it sent requests on the last day, all of them with a good token."""
        return self.recent > 0 and self.recent_failed == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One outcome of the shadow comparison.

    Attributes:
        partner: The partner, or ``UNKNOWN``.
        route: The route with a stage of its own, ``""`` for all others.
        seen: The outcome in words, how often and when.
    """

    partner: str
    route: str
    seen: Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The report.

    Attributes:
        at_s: When it was made, seconds since the epoch.
        frozen: Whether the plan is frozen.
        partners: A row a partner.
        p50_us: Half of all requests were decided within this time, microseconds; an upper bound.
        p99_us: 99 of 100.
        shadow: What the comparison with an incumbent came to.
        escalations: What is to be taken up with whom.
        unattributed: Requests that nobody could be attributed to, within the guard rails' window.
        unattributed_failed: Those of them without a good token.
    """

    at_s: int
    frozen: bool
    partners: tuple[PartnerReadiness, ...]
    p50_us: float = 0.0
    p99_us: float = 0.0
    shadow: tuple[Compared, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    unattributed: int = 0
    unattributed_failed: int = 0

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
    counts = rollout.evidence.counts()
    sums: dict[str, Row] = {}
    total = Row()
    for (name, _), row in counts.rows.items():
        sums.setdefault(name, Row()).add(row, now_s)
        total.add(row, now_s)
    nobody = sums.get("", Row()).since(now_s - rollout.guard_rails.window_s, now_s)
    rows = [
        _partner(rollout, partner, sums.get(name, Row()), now_s, nobody)
        for name, partner in rollout.partners.items()
    ]
    if "" in sums:
        rows.append(_partner(rollout, None, sums[""], now_s, WindowCounts()))
    return Readiness(
        at_s=now_s,
        frozen=rollout.state.plan().frozen,
        partners=tuple(rows),
        p50_us=total.latency_ns(0.5) / 1000,
        p99_us=total.latency_ns(0.99) / 1000,
        shadow=tuple(
            Compared(partner=name or UNKNOWN, route=route, seen=seen)
            for (name, route), row in sorted(counts.rows.items())
            if not name or name in rollout.partners
            for seen in _seen(row.shadow)
        ),
        escalations=escalations(rollout, counts, now_s),
        unattributed=nobody.total,
        unattributed_failed=nobody.failed,
    )


def uncertain_lines(rollout: Rollout, partner: str | None, now_s: int) -> list[str]:
    """Return why the promotion of a partner, or of any of all, is uncertain, a line each."""
    report = readiness(rollout, now_s)
    return [
        f"uncertain: {one.partner}: {one.uncertain}"
        for one in report.partners
        if one.uncertain and partner in (None, one.partner)
    ]


def _uncertain(rollout: Rollout, own: WindowCounts, nobody: WindowCounts) -> str:
    """Return why a partner's promotion is uncertain, or ``""``.

    It is where the guard rails would object if the failed requests of nobody's were its own: those that name
    it, and, where no gateway names partners, all of them.
    """
    rails = rollout.guard_rails
    failed = min(own.claimed, nobody.failed) if rollout.partners_named else nobody.failed
    if not failed:
        return ""
    total = own.total + failed
    if (own.failed + failed) / total <= rails.max_error_rate:
        return ""
    named = f", {own.claimed} of them name it" if own.claimed else ""
    return f"{failed} requests without a good token could be attributed to nobody{named}"


def _partner(
    rollout: Rollout, partner: Partner | None, row: Row, now_s: int, nobody: WindowCounts
) -> PartnerReadiness:
    rules = rollout.default if partner is None else partner
    name = None if partner is None else partner.name
    stage = rollout.state.plan().find(name, EVERYWHERE)[1]
    recent = row.since(now_s - DAY_S, now_s)
    dates = [date_s for date_s in (stage.enforce_on_s, rules.allow_listed_until_s) if date_s is not None]
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
        latency=tuple(row.latency),
        days=_days(row),
        unknown_kids=_seen(row.kids),
        other_algorithms=_seen(row.other_algs),
        enforce_on_s=max(dates, default=None),
        claims=_seen(row.claims),
        uncertain=""
        if partner is None
        else _uncertain(rollout, row.since(now_s - rollout.guard_rails.window_s, now_s), nobody),
    )


def _tomorrow(rules: Partner, row: Row, recent: WindowCounts, phase: Phase, now_s: int) -> tuple[bool, str]:
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
