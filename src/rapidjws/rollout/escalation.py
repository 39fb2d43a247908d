"""What somebody has to take up with a partner, and the evidence to send along.

Four rules: key sets down, kids that stay unknown, clocks far apart, algorithms that nobody agreed on. What
this never does: escalate for a caller that nobody authenticated, but for kids, which are looked at by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from rapidjws.rollout.counters import Row
from rapidjws.rollout.measures import AHEAD_S, SKEW_EDGES_S, skew_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rapidjws.rollout.counters import Counts
    from rapidjws.rollout.partner import Partner
    from rapidjws.rollout.rollout import Rollout

Rule = Literal["jwks_down", "unknown_kids", "clock_skew", "algorithm_not_agreed"]

DAY_S: Final = 86_400
JWKS_DOWN_S: Final = 3600
"""A key set whose fetches have failed for longer is down."""

UNKNOWN_KID_S: Final = 3600
"""A kid that is still unknown this long after it was seen first is no rotation under way."""

SKEW_S: Final = 600
"""A clock that is farther off is to be set."""

SKEW_TOKENS: Final = 10
"""Fewest tokens that a clock's difference is taken from."""

AHEAD_SHARE: Final = 0.5
"""A clock is ahead where this share of tokens was issued in the future."""

BEHIND_SHARE: Final = 0.95
"""A clock is behind where this share of tokens looked old when they came: some are sent twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """One thing to take up with a partner.

    Attributes:
        rule: Which rule found it.
        partner: The partner, or None for unknown callers, or a key set that is nobody's alone.
        contact: Its technical contact, or None.
        summary: A sentence.
        count: How often it was seen.
        first_s: When first, seconds since the epoch.
        last_s: When last.
        evidence: What to send along: names and values, safe to show.
    """

    rule: Rule
    partner: str | None
    contact: str | None
    summary: str
    count: int
    first_s: int
    last_s: int
    evidence: tuple[tuple[str, str], ...]


def escalations(rollout: Rollout, counts: Counts, now_s: int) -> tuple[Escalation, ...]:
    """Return what is to be taken up with whom.

    Args:
        rollout: Its partners and key sources.
        counts: All workers' evidence.
        now_s: Seconds since the epoch.
    """
    sums: dict[str, Row] = {}
    for (name, _), row in counts.rows.items():
        sums.setdefault(name, Row()).add(row, now_s)
    found = list(_sources_down(rollout, counts, now_s))
    for name, partner in (*rollout.partners.items(), ("", None)):
        if name in sums:
            found += _of_partner(partner, sums[name], now_s)
    return tuple(found)


def _of_partner(partner: Partner | None, row: Row, now_s: int) -> Iterator[Escalation]:
    kids = {
        kid: seen
        for kid, seen in row.kids.items()
        if seen[2] - seen[1] >= UNKNOWN_KID_S and _is_recent(seen[2], now_s)
    }
    if kids:
        yield _from_names("unknown_kids", partner, kids, "uses keys that its key set does not hold", "kid")
    if partner is None:
        return
    algs = {alg: seen for alg, seen in row.other_algs.items() if _is_recent(seen[2], now_s)}
    if algs:
        yield _from_names("algorithm_not_agreed", partner, algs, "uses algorithms not agreed on", "alg")
    yield from _skewed(partner, row, now_s)


def _is_recent(last_s: int, now_s: int) -> bool:
    """Return whether it was seen in the last day; a time far ahead is a clock's fault, and says nothing."""
    return now_s - DAY_S < last_s <= now_s + AHEAD_S


def _from_names(
    rule: Rule, partner: Partner | None, names: dict[str, list[int]], summary: str, what: str
) -> Escalation:
    return Escalation(
        rule=rule,
        partner=None if partner is None else partner.name,
        contact=None if partner is None else partner.contact,
        summary=summary,
        count=sum(seen[0] for seen in names.values()),
        first_s=min(seen[1] for seen in names.values()),
        last_s=max(seen[2] for seen in names.values()),
        evidence=tuple(
            (what, f"{name} ({seen[0]} times)")
            for name, seen in sorted(names.items(), key=lambda item: (-item[1][0], item[0]))
        ),
    )


def _skewed(partner: Partner, row: Row, now_s: int) -> Iterator[Escalation]:
    seen = row.skew_since(now_s - DAY_S, now_s)
    counts = [sum(column) for column in zip(*seen.values(), strict=True)]
    total = sum(counts)
    if total < SKEW_TOKENS:
        return
    middle, far = len(SKEW_EDGES_S), SKEW_EDGES_S.index(SKEW_S) + 1
    behind, ahead = sum(counts[: middle - far + 1]), sum(counts[middle + far :])
    if ahead >= AHEAD_SHARE * total:
        side, count = "ahead", ahead
    elif behind >= BEHIND_SHARE * total:
        side, count = "behind", behind
    else:
        return
    yield Escalation(
        rule="clock_skew",
        partner=partner.name,
        contact=partner.contact,
        summary=f"its clock is {side} by more than {SKEW_S} s",
        count=count,
        first_s=min(seen) * 3600,
        last_s=max(seen) * 3600 + 3599,
        evidence=tuple(
            (name, f"{number} of {total} tokens")
            for name, number in zip(skew_names(), counts, strict=True)
            if number
        ),
    )


def safe_source(name: str) -> str:
    """Return the name of a key source without its query, which may hold a secret."""
    return name.partition("?")[0]


def _sources_down(rollout: Rollout, counts: Counts, now_s: int) -> Iterator[Escalation]:
    """Yield the key sets whose fetches have failed for too long, for each partner that needs one."""
    for name, record in sorted(counts.sources.items()):
        if (
            not record.since_s
            or now_s - record.since_s <= JWKS_DOWN_S
            or not _is_recent(record.last_s, now_s)
        ):
            continue
        iss = rollout.key_sources.get(name)
        owners = [one for one in rollout.partners.values() if iss is not None and iss in tuple(one.issuers)]
        words = sorted(record.words.items(), key=lambda item: (-item[1], item[0]))
        evidence = [
            ("key set", safe_source(name)),
            *((f"failed: {word}", f"{count} times") for word, count in words),
        ]
        concerned: list[Partner | None] = [*owners] or [None]
        for partner in concerned:
            yield Escalation(
                rule="jwks_down",
                partner=None if partner is None else partner.name,
                contact=None if partner is None else partner.contact,
                summary=f"its key set could not be fetched for {(now_s - record.since_s) // 60} minutes",
                count=record.failures,
                first_s=record.since_s,
                last_s=record.last_s,
                evidence=tuple(evidence),
            )
