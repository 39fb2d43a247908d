"""What was seen of each partner: codes with counts and times, hours, algorithms, latency. Bounded by design.

Rows exist for configured partners and stages only; strangers share one. Workers put theirs beside the plan,
and whoever reports sums them. What this never does: hold anything of a token but its code and algorithm.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import threading
import weakref
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

HOURS_KEPT: Final = 24 * 60
"""Hours that a row remembers; the oldest leave first."""

HOUR_S: Final = 3600
FLUSH_S: Final = 2.0
"""Seconds after which counts are put where others find them."""

LATENCY_BUCKETS: Final = 40
"""Powers of two of nanoseconds."""

RowKey = tuple[str, str]


@dataclass(slots=True)
class Tally:
    """Count requests, and those that enforcement refuses or would refuse."""

    total: int = 0
    failed: int = 0


@dataclass(slots=True)
class Row:
    """Hold what was seen of one partner under one route.

    Attributes:
        codes: code -> [count, first seen, last seen], seconds since the epoch.
        algs: alg -> the same, of verified tokens.
        hours: hour since the epoch -> [requests, failed].
        latency: Counts, by the power of two of nanoseconds.
        refused: Requests that were refused in fact.
    """

    codes: dict[str, list[int]] = field(default_factory=dict)
    algs: dict[str, list[int]] = field(default_factory=dict)
    hours: dict[int, list[int]] = field(default_factory=dict)
    latency: list[int] = field(default_factory=lambda: [0] * LATENCY_BUCKETS)
    refused: int = 0

    def count(
        self, code: str, alg: str | None, now_s: int, elapsed_ns: int, *, failed: bool, refused: bool
    ) -> None:
        """Count one request."""
        _seen(self.codes, code, now_s)
        if alg is not None:
            _seen(self.algs, alg, now_s)
        hour = self.hours.get(now_s // HOUR_S)
        if hour is None:
            while len(self.hours) >= HOURS_KEPT:
                del self.hours[min(self.hours)]
            hour = self.hours[now_s // HOUR_S] = [0, 0]
        hour[0] += 1
        hour[1] += failed
        self.latency[min(LATENCY_BUCKETS - 1, max(0, elapsed_ns).bit_length())] += 1
        self.refused += refused

    def add(self, other: Row) -> None:
        """Add another worker's row."""
        for mine, theirs in ((self.codes, other.codes), (self.algs, other.algs)):
            for name, (count, first_s, last_s) in theirs.items():
                seen = mine.setdefault(name, [0, first_s, last_s])
                mine[name] = [seen[0] + count, min(seen[1], first_s), max(seen[2], last_s)]
        for hour, (total, failed) in other.hours.items():
            sums = self.hours.setdefault(hour, [0, 0])
            self.hours[hour] = [sums[0] + total, sums[1] + failed]
        self.latency = [mine + theirs for mine, theirs in zip(self.latency, other.latency, strict=True)]
        self.refused += other.refused

    def since(self, when_s: int) -> Tally:
        """Return the tally of the hours from the one of a moment on."""
        tally = Tally()
        for hour, (total, failed) in self.hours.items():
            if hour >= when_s // HOUR_S:
                tally.total += total
                tally.failed += failed
        return tally

    def latency_ns(self, share: float) -> int:
        """Return an upper bound of the latency that a share of the requests stayed under, in nanoseconds."""
        due = share * sum(self.latency)
        for power, count in enumerate(self.latency):
            due -= count
            if count and due <= 0:
                return 1 << power
        return 0


def _seen(table: dict[str, list[int]], name: str, now_s: int) -> None:
    seen = table.get(name)
    if seen is None:
        table[name] = [1, now_s, now_s]
    else:
        seen[0] += 1
        if now_s > seen[2]:
            seen[2] = now_s


class Evidence:
    """Collect the evidence of this process, and sum it with that of other workers.

    A short lock guards the counts; it is never held while a token is verified or a file is written.

    Args:
        folder: Where workers put theirs, or None for this process alone.
    """

    __slots__ = ("__weakref__", "_flushed_s", "_folder", "_lock", "_name", "_rows")

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._rows: dict[RowKey, Row] = {}
        self._begin()
        if sys.platform != "win32":
            os.register_at_fork(after_in_child=partial(_renew, weakref.ref(self)))

    def _begin(self) -> None:
        self._name = f"evidence-{os.getpid()}-{secrets.token_hex(4)}.json"
        self._flushed_s = monotonic()

    def count(
        self,
        key: RowKey,
        code: str,
        alg: str | None,
        now_s: int,
        elapsed_ns: int,
        *,
        failed: bool,
        refused: bool,
    ) -> None:
        """Count one request under a partner and a route; every few seconds, put the counts by."""
        with self._lock:
            row = self._rows.get(key)
            if row is None:
                row = self._rows[key] = Row()
            row.count(code, alg, now_s, elapsed_ns, failed=failed, refused=refused)
        if self._folder is not None and monotonic() - self._flushed_s > FLUSH_S:
            self.flush()

    def forked(self) -> None:
        """Begin anew in a worker: its parent keeps what was counted before."""
        self._lock = threading.Lock()
        self._rows = {}
        self._begin()

    def flush(self) -> None:
        """Put this process's counts where others find them; a full disk loses them and stops nothing."""
        if self._folder is None:
            return
        with self._lock:
            self._flushed_s = monotonic()
            octets = json.dumps(rows_members(self._rows)).encode()
        target = self._folder / self._name
        with contextlib.suppress(OSError):
            fresh = target.with_suffix(f".{secrets.token_hex(4)}")
            fresh.write_bytes(octets)
            os.replace(fresh, target)

    def rows(self) -> dict[RowKey, Row]:
        """Return copies of all rows, those of other workers added."""
        with self._lock:
            total = rows_of(json.loads(json.dumps(rows_members(self._rows))))
        if self._folder is not None:
            for path in sorted(self._folder.glob("evidence-*.json")):
                if path.name == self._name:
                    continue
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    _add_all(total, rows_of(json.loads(path.read_bytes())))
        return total

    def tally(self, partner: str | None, route: str, since_s: int) -> Tally:
        """Return the tally of a partner, or of all, under a route, or all routes.

        Unknown callers are left out of the sum over all partners: they are nobody's readiness.
        """
        tally = Tally()
        for (name, path), row in self.rows().items():
            if (name == partner or (partner is None and name)) and route in ("", path):
                part = row.since(since_s)
                tally.total += part.total
                tally.failed += part.failed
        return tally


def _renew(evidence: weakref.ref[Evidence]) -> None:
    found = evidence()
    if found is not None:
        found.forked()


def _add_all(total: dict[RowKey, Row], more: dict[RowKey, Row]) -> None:
    for key, row in more.items():
        total.setdefault(key, Row()).add(row)


def rows_members(rows: dict[RowKey, Row]) -> list[dict[str, Any]]:
    """Return rows as they are kept."""
    return [
        {
            "partner": partner,
            "route": route,
            "codes": row.codes,
            "algs": row.algs,
            "hours": {str(hour): counts for hour, counts in row.hours.items()},
            "latency": row.latency,
            "refused": row.refused,
        }
        for (partner, route), row in rows.items()
    ]


def rows_of(members: Iterable[dict[str, Any]]) -> dict[RowKey, Row]:
    """Return rows out of their members; raises what is wrong with them."""
    return {
        (str(one["partner"]), str(one["route"])): Row(
            codes={str(name): [int(n) for n in seen] for name, seen in one["codes"].items()},
            algs={str(name): [int(n) for n in seen] for name, seen in one["algs"].items()},
            hours={int(hour): [int(n) for n in counts] for hour, counts in one["hours"].items()},
            latency=[int(n) for n in one["latency"]],
            refused=int(one["refused"]),
        )
        for one in members
    }
