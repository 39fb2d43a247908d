"""What a worker writes into its report, and when: its keys, its loop, its connections, its last events."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final

from rapidjws._version import __version__
from rapidjws.sidecar.key_status import key_rows

if TYPE_CHECKING:
    from rapidjws.jwt.engine import Engine
    from rapidjws.rollout.rollout import Rollout
    from rapidjws.sidecar.recent_events import RecentEvents
    from rapidjws.sidecar.worker_reports import WorkerReports
    from rapidjws.verify.protocols import Event

WRITE_S: Final = 0.5
"""Seconds between two reports of a worker."""

WRITE_SHARE: Final = 20
"""Times that writing a report took, which pass at least before the next one."""

LAG_KEPT_S: Final = 60.0

_WRITTEN_AT_ONCE: Final = frozenset({"keys_changed", "keys_stale", "config_loaded"})


class ReportWriter:
    """The report of one worker.

    Args:
        engine: Its keys are reported.
        rollout: The revision of its plan is reported.
        events: Its last events.
        reports: Where it goes.
        index: The worker's number, from 0 on.
    """

    __slots__ = (
        "_begun_s",
        "_connections",
        "_engine",
        "_events",
        "_index",
        "_lags",
        "_lock",
        "_reports",
        "_rollout",
        "_taken_s",
        "_turned_s",
        "_written_s",
    )

    def __init__(
        self, engine: Engine, rollout: Rollout, events: RecentEvents, reports: WorkerReports, index: int
    ) -> None:
        self._engine = engine
        self._rollout = rollout
        self._events = events
        self._reports = reports
        self._index = index
        self._begun_s = time()
        self._lock = threading.Lock()
        self._connections = 0
        self._written_s = self._taken_s = 0.0
        self._turned_s: float | None = None
        self._lags: deque[tuple[float, float]] = deque()

    def note_turn(self, now_s: float, due_every_s: float) -> None:
        """Note that the loop did what it does every so many seconds: what is beyond them is its lag."""
        if self._turned_s is not None:
            self._lags.append((now_s, max(0.0, now_s - self._turned_s - due_every_s)))
            while self._lags and now_s - self._lags[0][0] > LAG_KEPT_S:
                self._lags.popleft()
        self._turned_s = now_s

    def write_if_due(self, connections: int) -> None:
        """Write the report where enough time has passed; takes time with the number of keys, and no file."""
        self._connections = connections
        self._write(WRITE_S)

    def key_event(self, event: Event, /) -> None:
        """Write the report at once where keys changed; called on the thread that fetched them."""
        if event.name in _WRITTEN_AT_ONCE:
            self._write(0.0)

    def _write(self, pause_s: float) -> None:
        with self._lock:
            begun_s = monotonic()
            if begun_s < self._written_s + max(pause_s, WRITE_SHARE * self._taken_s):
                return
            with contextlib.suppress(Exception):  # a report that fails is no reason to miss a change
                self._reports.write(self._index, self.report())
            self._written_s, self._taken_s = begun_s, monotonic() - begun_s

    def report(self) -> dict[str, Any]:
        """Return the report as JSON values; nothing secret is in it."""
        engine = self._engine
        return {
            "pid": os.getpid(),
            "index": self._index,
            "version": __version__,
            "started_s": self._begun_s,
            "written_s": monotonic(),  # the same clock in all processes of a machine
            "ready": engine.ready,
            "connections": self._connections,
            "loop_lag_s": round(max((lag for _, lag in self._lags.copy()), default=0.0), 4),
            "revision": self._rollout.state.plan().revision,
            "issuers": key_rows(engine),
            "events": self._events.listed(),
        }
