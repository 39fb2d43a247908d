"""What is counted of each partner and route, and of each key source; bounded, and fit to be added up.

Rows exist for configured partners and stages only; strangers share one. What this never does: hold anything
of a token but its code, its algorithm, how far its ``iat`` lies from now, and names not agreed on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from rapidjws.rollout.measures import (
    NAMES_KEPT,
    SKEW_BUCKETS,
    NameCounts,
    SourceRecord,
    add_names,
    count_name,
    names_of,
    skew_bucket,
    source_of,
)

HOURS_KEPT: Final = 24 * 60
"""Hours that a row remembers; those farthest from now leave first."""

SKEW_HOURS_KEPT: Final = 48
"""Hours of which a row remembers the clock differences."""

PAIRS_KEPT: Final = 64
"""Pairs of codes and causes that a row remembers of a shadow comparison."""

KEYS_KEPT: Final = 64
"""Keys that a row remembers the use of."""

HOUR_S: Final = 3600
LATENCY_BUCKETS: Final = 40
"""Powers of two of nanoseconds."""

ROWS_KEPT_S: Final = 400 * 86_400
"""Seconds after its last request after which a row is forgotten with the worker that wrote it."""

RowKey = tuple[str, str]


@dataclass(slots=True)
class WindowCounts:
    """Counts of requests, and of those that enforcement refuses or would refuse.

    Attributes:
        total: Requests.
        failed: Those of them without a good token.
        claimed: Requests beside them whose unverified token names the partner.
        last_failed_s: The end of the last hour with a failed one, seconds since the epoch, or 0.
    """

    total: int = 0
    failed: int = 0
    claimed: int = 0
    last_failed_s: int = 0


@dataclass(slots=True, kw_only=True)
class Request:
    """What is counted of one request; one is made for each, so it is not frozen.

    Attributes:
        code: ``"ok"``, or the code of what was found.
        now_s: Seconds since the epoch.
        elapsed_ns: Time that verification took, in nanoseconds.
        failed: Whether it had no good token.
        refused: Whether it was refused in fact.
        alg: The algorithm of a good token.
        unknown_kid: A kid that no key has, as a safe name.
        other_alg: An algorithm that nobody agreed on, as a safe name.
        skew_s: ``iat`` minus now, in seconds, of a token whose signature is good.
        key: The beginning of the thumbprint of the key that a good token verified under, or None.
        lifetime: The span that a good token's lifetime lies in, one of ``LIFETIMES``, or None.
    """

    code: str
    now_s: int
    elapsed_ns: int
    failed: bool
    refused: bool
    alg: str | None = None
    unknown_kid: str | None = None
    other_alg: str | None = None
    skew_s: float | None = None
    key: str | None = None
    lifetime: str | None = None


@dataclass(slots=True)
class Row:
    """What was seen of one partner under one route.

    Attributes:
        codes: code -> [count, first seen, last seen], seconds since the epoch.
        algs: alg -> the same, of verified tokens.
        hours: hour since the epoch -> [requests, failed].
        latency: Counts, by the power of two of nanoseconds.
        refused: Requests that were refused in fact.
        kids: Unknown kids -> the same as for codes.
        other_algs: Algorithms that nobody agreed on -> the same.
        skew: hour since the epoch -> counts of clock differences, by ``skew_bucket``.
        shadow: Outcome of a shadow comparison, in words -> the same as for codes.
        claims: Codes of requests of nobody's whose unverified token names the partner -> the same.
        keys: The beginnings of thumbprints of keys that good tokens verified under -> the same.
        lifetimes: Spans of lifetimes of good tokens -> the same.
        claim_hours: hour since the epoch -> [how many of them].
    """

    codes: NameCounts = field(default_factory=dict)
    algs: NameCounts = field(default_factory=dict)
    hours: dict[int, list[int]] = field(default_factory=dict)
    latency: list[int] = field(default_factory=lambda: [0] * LATENCY_BUCKETS)
    refused: int = 0
    kids: NameCounts = field(default_factory=dict)
    other_algs: NameCounts = field(default_factory=dict)
    skew: dict[int, list[int]] = field(default_factory=dict)
    shadow: NameCounts = field(default_factory=dict)
    claims: NameCounts = field(default_factory=dict)
    keys: NameCounts = field(default_factory=dict)
    lifetimes: NameCounts = field(default_factory=dict)
    claim_hours: dict[int, list[int]] = field(default_factory=dict)

    def count_claim(self, seen: Request) -> None:
        """Count one request of nobody's whose unverified token names this partner."""
        count_name(self.claims, seen.code, seen.now_s)
        _hour(self.claim_hours, seen.now_s // HOUR_S, HOURS_KEPT, 1)[0] += 1

    def count(self, seen: Request, times: int = 1) -> None:
        """Count one request, or several that are counted alike."""
        now_s = seen.now_s
        count_name(self.codes, seen.code, now_s, None, times)
        if seen.alg is not None:
            count_name(self.algs, seen.alg, now_s, None, times)
        hour = _hour(self.hours, now_s // HOUR_S, HOURS_KEPT, 2)
        hour[0] += times
        hour[1] += times * seen.failed
        self.latency[min(LATENCY_BUCKETS - 1, max(0, seen.elapsed_ns).bit_length())] += times
        self.refused += times * seen.refused
        if seen.skew_s is not None:
            buckets = _hour(self.skew, now_s // HOUR_S, SKEW_HOURS_KEPT, SKEW_BUCKETS)
            buckets[skew_bucket(seen.skew_s)] += times
        if seen.unknown_kid is not None:
            count_name(self.kids, seen.unknown_kid, now_s, NAMES_KEPT, times)
        if seen.key is not None:
            count_name(self.keys, seen.key, now_s, KEYS_KEPT, times)
        if seen.lifetime is not None:
            count_name(self.lifetimes, seen.lifetime, now_s, None, times)
        if seen.other_alg is not None:
            count_name(self.other_algs, seen.other_alg, now_s, NAMES_KEPT, times)

    def add(self, other: Row, now_s: int | None = None) -> None:
        """Add another worker's row; of too many hours those farthest from now go, or the oldest."""
        add_names(self.codes, other.codes, None, now_s)
        add_names(self.algs, other.algs, None, now_s)
        add_names(self.kids, other.kids, NAMES_KEPT, now_s)
        add_names(self.other_algs, other.other_algs, NAMES_KEPT, now_s)
        add_names(self.shadow, other.shadow, PAIRS_KEPT, now_s)
        add_names(self.claims, other.claims, None, now_s)
        add_names(self.keys, other.keys, KEYS_KEPT, now_s)
        add_names(self.lifetimes, other.lifetimes, None, now_s)
        _add_hours(self.claim_hours, other.claim_hours, HOURS_KEPT, 1, now_s)
        _add_hours(self.hours, other.hours, HOURS_KEPT, 2, now_s)
        _add_hours(self.skew, other.skew, SKEW_HOURS_KEPT, SKEW_BUCKETS, now_s)
        self.latency = [mine + theirs for mine, theirs in zip(self.latency, other.latency, strict=True)]
        self.refused += other.refused

    def since(self, when_s: int, until_s: int | None = None) -> WindowCounts:
        """Return the counts of the hours from the one of a moment on, to the one after another's.

        Hours beyond it were counted under a clock that was wrong.
        """
        window = WindowCounts()
        last = None if until_s is None else until_s // HOUR_S + 1
        for hour, (total, failed) in self.hours.items():
            if hour >= when_s // HOUR_S and (last is None or hour <= last):
                window.total += total
                window.failed += failed
                if failed:
                    window.last_failed_s = max(window.last_failed_s, (hour + 1) * HOUR_S)
        for hour, (claimed,) in self.claim_hours.items():
            if hour >= when_s // HOUR_S and (last is None or hour <= last):
                window.claimed += claimed
        return window

    def skew_since(self, when_s: int, until_s: int) -> dict[int, list[int]]:
        """Return the clock differences of the hours from the one of a moment on, to the one after another's.

        Hours beyond it were measured by a clock of ours that was wrong.
        """
        first, last = when_s // HOUR_S, until_s // HOUR_S + 1
        return {hour: counts for hour, counts in self.skew.items() if first <= hour <= last}

    def latency_ns(self, share: float) -> int:
        """Return an upper bound of the latency that a share of the requests stayed under, in nanoseconds."""
        due = share * sum(self.latency)
        for power, count in enumerate(self.latency):
            due -= count
            if count and due <= 0:
                return 1 << power
        return 0

    def last_s(self) -> int:
        """Return when something was seen last, seconds since the epoch."""
        seen = (*self.codes.values(), *self.shadow.values(), *self.claims.values())
        return max((one[2] for one in seen), default=0)


def _hour(hours: dict[int, list[int]], now: int, most: int, size: int) -> list[int]:
    """Return the counts of an hour; the one farthest from it makes room."""
    found = hours.get(now)
    if found is None:
        while len(hours) >= most:
            del hours[max(hours, key=lambda hour: abs(hour - now))]
        found = hours[now] = [0] * size
    return found


def _add_hours(
    mine: dict[int, list[int]], theirs: dict[int, list[int]], most: int, size: int, now_s: int | None
) -> None:
    for hour, counts in theirs.items():
        sums = mine.get(hour, [0] * size)
        mine[hour] = [one + more for one, more in zip(sums, counts, strict=True)]
    if len(mine) <= most:
        return
    now = max(mine) if now_s is None else now_s // HOUR_S  # a clock may have been ahead for months
    for hour in sorted(mine, key=lambda hour: abs(hour - now))[most:]:
        del mine[hour]


@dataclass(slots=True)
class Counts:
    """All that one worker counted, or several.

    Attributes:
        rows: (partner, route) -> what was seen.
        sources: The name of a key source -> how its fetches go.
    """

    rows: dict[RowKey, Row] = field(default_factory=dict)
    sources: dict[str, SourceRecord] = field(default_factory=dict)

    def row(self, key: RowKey) -> Row:
        """Return a row, made where it is not there."""
        found = self.rows.get(key)
        if found is None:
            found = self.rows[key] = Row()
        return found

    def add(self, other: Counts, now_s: int | None = None) -> None:
        """Add another worker's counts.

        Args:
            other: Those.
            now_s: Seconds since the epoch; what is dated later was counted under a clock that was wrong.
        """
        for key, row in other.rows.items():
            self.row(key).add(row, now_s)
        for name, record in other.sources.items():
            self.sources.setdefault(name, SourceRecord()).add(record, now_s)

    def forget_before(self, when_s: int) -> None:
        """Drop the rows and sources that were seen last before a moment."""
        self.rows = {key: row for key, row in self.rows.items() if row.last_s() >= when_s}
        self.sources = {
            name: one for name, one in self.sources.items() if max(one.ok_s, one.last_s) >= when_s
        }

    def members(self) -> dict[str, Any]:
        """Return the counts as they are kept."""
        rows = [row_members(key, row) for key, row in self.rows.items()]
        return {"rows": rows, "sources": {name: asdict(one) for name, one in self.sources.items()}}


_NAMES: Final = ("codes", "algs", "kids", "other_algs", "shadow", "claims", "keys", "lifetimes")
_ADDED: Final = frozenset({"claims", "keys", "lifetimes"})  # which older files do not hold


def row_members(key: RowKey, row: Row) -> dict[str, Any]:
    """Return a row as it is kept."""
    return {
        "partner": key[0],
        "route": key[1],
        **{name: getattr(row, name) for name in _NAMES},
        "hours": {str(hour): counts for hour, counts in row.hours.items()},
        "skew": {str(hour): counts for hour, counts in row.skew.items()},
        "claim_hours": {str(hour): counts for hour, counts in row.claim_hours.items()},
        "latency": row.latency,
        "refused": row.refused,
    }


def _hours_of(members: dict[str, Any], size: int) -> dict[int, list[int]]:
    found = {int(hour): [int(n) for n in counts] for hour, counts in members.items()}
    if any(len(counts) != size for counts in found.values()):
        raise ValueError("an hour of another size")
    return found


def counts_of(members: dict[str, Any]) -> Counts:
    """Return counts out of their members; raises what is wrong with them."""
    rows = {
        (str(one["partner"]), str(one["route"])): Row(
            **{name: names_of(one.get(name, {}) if name in _ADDED else one[name]) for name in _NAMES},
            hours=_hours_of(one["hours"], 2),
            skew=_hours_of(one["skew"], SKEW_BUCKETS),
            claim_hours=_hours_of(one.get("claim_hours", {}), 1),  # older files hold no claims
            latency=_hours_of({"0": one["latency"]}, LATENCY_BUCKETS)[0],
            refused=int(one["refused"]),
        )
        for one in members["rows"]
    }
    return Counts(rows=rows, sources={str(name): source_of(one) for name, one in members["sources"].items()})
