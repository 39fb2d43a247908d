"""What was seen of each partner, collected in this process and summed with that of other workers.

Workers put their counts beside the plan, and whoever reports sums them. What this never does: hold
the counts' lock while a file is written.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
import weakref
from dataclasses import asdict
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING, Final, Protocol

from rapidjws._scheduler import scheduler
from rapidjws.rollout.counters import (
    PAIRS_KEPT,
    Counts,
    Request,
    Row,
    RowKey,
    WindowCounts,
    counts_of,
    row_members,
)
from rapidjws.rollout.evidence_files import EvidenceFiles
from rapidjws.rollout.measures import SourceRecord, count_name, safe_name
from rapidjws.verify.worker_pool import Task, submit

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from pathlib import Path

    from rapidjws.verify.protocols import Event

FLUSH_S: Final = 2.0
"""Seconds after which counts are put where others find them."""

FLUSH_SHARE: Final = 50
"""Times that putting them by took, which pass at least before it is done again."""

COMPACT_S: Final = 60.0
"""Seconds between looks for files of workers that ended."""

SOURCES_KEPT: Final = 256


class Counter(Protocol):
    """What counts requests beside the evidence."""

    def __call__(self, partner: str, route: str, code: str, *, refused: bool, times: int = 1) -> None:
        """Count one request, or several alike."""


class Evidence:
    """The evidence of this process, summed with that of other workers.

    A short lock guards the counts; it is never held while a token is verified or a file is written.

    Args:
        folder: Where workers put theirs, or None for this process alone.
        clock: Gives seconds since the epoch: what is dated later was counted under a clock that was wrong.
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_compacted_s",
        "_counter",
        "_counts",
        "_due_s",
        "_files",
        "_flushed_by_caller",
        "_is_new",
        "_is_planned",
        "_lock",
        "_writing",
        "fault",
    )

    def __init__(self, folder: Path | None = None, *, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._files = None if folder is None else EvidenceFiles(folder)
        self._counter: Counter | None = None
        self._flushed_by_caller = False
        self.fault: str | None = None
        """Why the last ``flush`` could not write, or None."""
        self._begin()
        if sys.platform != "win32":
            os.register_at_fork(after_in_child=partial(_renew, weakref.ref(self)))
        if folder is not None:
            atexit.register(_flush_last, weakref.ref(self))

    def _begin(self) -> None:
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._counts = Counts()
        self._due_s = monotonic() + FLUSH_S
        self._compacted_s = -COMPACT_S
        self._is_new = self._is_planned = False

    def defer(self, counter: Counter | None = None) -> None:
        """Write nothing while a request is counted: from now on somebody calls ``flush``, on another thread.

        Args:
            counter: Is given partner, route, code and whether it was refused of each request, one at a time.
        """
        self._counter = counter
        self._flushed_by_caller = True

    def count(self, key: RowKey, seen: Request, *, claimed: Sequence[str] = (), times: int = 1) -> None:
        """Count one request, or several alike, under a partner and a route; every few seconds, put them by.

        Args:
            key: The partner it is attributed to, ``""`` for nobody, and the route.
            seen: What was seen.
            claimed: The partners that an unverified token names: counted apart, it may be a stranger's.
            times: How many requests.
        """
        with self._lock:
            self._counts.row(key).count(seen, times)
            for name in claimed:
                self._counts.row((name, key[1])).count_claim(seen)
            if self._counter is not None:
                self._counter(key[0], key[1], seen.code, refused=seen.refused, times=times)
        if self._files is None or self._flushed_by_caller:
            return
        self._is_new = True
        if monotonic() > self._due_s:
            self.flush()
        elif not self._is_planned:  # no other request may come
            self._plan_flush()

    def _plan_flush(self) -> None:
        self._is_planned = scheduler.call_at(self._due_s, self._flush_planned)

    def _flush_planned(self) -> None:
        """Put by what came since the last time, on a thread: a process may end by a signal without a word."""
        self._is_planned = False
        if not self._is_new:
            return
        if monotonic() < self._due_s:
            self._plan_flush()
        else:
            submit(Task(self.flush))  # where no thread can be had, the next request tries again

    def count_shadow(self, key: RowKey, outcome: str, now_s: int) -> None:
        """Count what a shadow comparison came to."""
        with self._lock:
            count_name(self._counts.row(key).shadow, outcome, now_s, PAIRS_KEPT)

    def count_fetch(self, event: Event, now_s: int) -> None:
        """Count how the fetches of a key source go; other events are left out."""
        if event.name not in ("fetch_ok", "fetch_failed") or event.issuer is None:
            return
        with self._lock:
            sources = self._counts.sources
            if event.issuer not in sources and len(sources) >= SOURCES_KEPT:
                return
            record = sources.setdefault(event.issuer, SourceRecord())
            if event.name == "fetch_ok":
                record.succeeded(now_s)
            else:
                record.failed(now_s, safe_name(event.detail or "unknown"))

    def forked(self) -> None:
        """Begin anew in a worker: its parent keeps what was counted before."""
        if self._files is not None:
            self._files.begin()
        self._begin()

    def flush(self) -> None:
        """Put this process's counts where others find them; a full disk loses them and stops nothing."""
        if self._files is None:
            return
        begun_s = monotonic()
        self._due_s = begun_s + FLUSH_S  # before the work, so that one thread does it
        self._is_new = False
        with self._writing:
            try:
                octets = self._octets()
                if octets is not None:
                    self._files.put(octets)
                if begun_s - self._compacted_s >= COMPACT_S:
                    self._compacted_s = begun_s
                    self._files.compact(int(self._clock()))
                self.fault = None
            except OSError as fault:
                self.fault = fault.strerror or type(fault).__name__
        self._due_s = max(self._due_s, begun_s + FLUSH_SHARE * (monotonic() - begun_s))

    def _octets(self) -> bytes | None:
        """Return the counts as JSON, or None where there are none.

        The lock is held for one row at a time: a request never waits for all of them.
        """
        with self._lock:
            keys = list(self._counts.rows)
            sources = json.dumps({name: asdict(one) for name, one in self._counts.sources.items()})
            empty = not keys and not self._counts.sources
        if empty:
            return None
        rows: list[str] = []
        for key in keys:
            with self._lock:
                row = self._counts.rows.get(key)
                if row is not None:
                    rows.append(json.dumps(row_members(key, row)))
        return f'{{"rows": [{", ".join(rows)}], "sources": {sources}}}'.encode()

    def counts(self) -> Counts:
        """Return a copy of all counts, those of other workers added."""
        now_s = int(self._clock())
        octets = self._octets()
        total = Counts() if octets is None else counts_of(json.loads(octets))
        if self._files is not None:
            total.add(self._files.others(now_s), now_s)
        return total

    def rows(self) -> dict[RowKey, Row]:
        """Return copies of all rows, those of other workers added."""
        return self.counts().rows

    def window(
        self,
        partner: str | None,
        route: str,
        since_s: int,
        *,
        until_s: int | None = None,
        known: Container[str] | None = None,
        rows: Mapping[RowKey, Row] | None = None,
    ) -> WindowCounts:
        """Return the counts of a partner, or of all, under a route, or all routes.

        Unknown callers are left out of the sum over all partners: they are nobody's readiness.

        Args:
            partner: The partner, or None for all.
            route: The route, ``""`` for all.
            since_s: From when on, seconds since the epoch.
            until_s: Now; hours after it were counted under a wrong clock.
            known: The partners there are; others left the configuration.
            rows: The rows to look at, for whoever asks about many partners; by default ``rows()``.
        """
        window = WindowCounts()
        for (name, path), row in (self.rows() if rows is None else rows).items():
            wanted = (
                name == partner if partner is not None else bool(name) and (known is None or name in known)
            )
            if wanted and route in ("", path):
                part = row.since(since_s, until_s)
                window.total += part.total
                window.failed += part.failed
                window.claimed += part.claimed
                window.last_failed_s = max(window.last_failed_s, part.last_failed_s)
        return window


def _renew(evidence: weakref.ref[Evidence]) -> None:
    found = evidence()
    if found is not None:
        found.forked()


def _flush_last(evidence: weakref.ref[Evidence]) -> None:
    found = evidence()
    if found is not None:
        found.flush()
