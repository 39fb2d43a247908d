"""The status of a running sidecar: one snapshot feeds the status page, its stream, ``top`` and JSON.

It is made on a worker thread, for all who ask within a second, out of shared memory: no request waits for it.
"""

from __future__ import annotations

import os
import threading
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final

from rapidjws._version import __version__
from rapidjws.observe import metric_list as metrics
from rapidjws.observe.reading import HistogramValue
from rapidjws.observe.region_samples import RegionSamples
from rapidjws.observe.status_history import EVIDENCE_BOUNDS_S, WINDOWS_S, CountSample, StatusHistory
from rapidjws.observe.thresholds import alerts_of
from rapidjws.rollout.report.readiness import readiness
from rapidjws.sidecar.live_reports import live_reports
from rapidjws.sidecar.status_issuers import Differing, issuer_rows, recent_changes

if TYPE_CHECKING:
    from collections.abc import Callable

    from rapidjws.jwt.engine import Engine
    from rapidjws.rollout.rollout import Rollout
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.report_writer import ReportWriter
    from rapidjws.sidecar.worker_processes import Heartbeats
    from rapidjws.verify.counter_memory import CounterMemory

KEPT_S: Final = 1.0
"""How long a snapshot is given to others, in seconds."""

PARTNERS_KEPT_S: Final = 5.0
"""How long the readiness of partners is kept: it is read from the workers' files."""

WATCH_S: Final = 5.0
"""Seconds between two looks at the alerts, by one of the workers."""

WATCH_SHARE: Final = 50
"""Times that a look took, which pass at least before the next one."""

_BOUNDS_S: Final = (*metrics.VERIFICATION.bounds_s, 2 * metrics.VERIFICATION.bounds_s[-1])
"""Upper bounds of what was counted of verifications, and one for what lies above them."""

VERSION: Final = 1
"""The version of the snapshot's members; members are only added within one."""


class ServiceStatus:
    """Makes snapshots of a sidecar.

    Args:
        engine: The engine of the worker that is asked.
        rollout: Its policy.
        bus: What the workers share.
        writer: Writes this worker's report.
        counters: The counts of all workers.
        heartbeats: When each worker was seen, and how often it was started again.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        rollout: Rollout,
        bus: ChangeBus,
        writer: ReportWriter,
        counters: CounterMemory,
        heartbeats: Heartbeats,
    ) -> None:
        self._engine = engine
        self._rollout = rollout
        self._bus = bus
        self._writer = writer
        self._counts = RegionSamples([counters.of_worker(index) for index in range(counters.workers)])
        self._heartbeats = heartbeats
        self._lock = threading.Lock()
        self._history = StatusHistory(EVIDENCE_BOUNDS_S if engine.counters is None else _BOUNDS_S)
        self._begun_s = None if any(heartbeats.restarts()) else monotonic()
        self._made: dict[str, Any] = {}
        self._made_s = float("-inf")
        self._partners: list[dict[str, Any]] = []
        self._partners_s = float("-inf")
        self._latency: tuple[int, ...] = ()
        self._alerts: dict[tuple[str, str], float] = {}
        self._differing = Differing()
        self._listener: Callable[[str, str], None] | None = None
        self._watched: dict[tuple[str, str], str] = {}
        self._watch_s = monotonic() + WATCH_S

    def observe(self) -> None:
        """Keep a sample of the counters, and look at the alerts, where it is time; on a worker thread."""
        self.sample_if_due()
        self.watch_if_due()

    def sample_if_due(self) -> None:
        """Keep a sample of the counters where it is time; on a worker thread."""
        if self._history.is_due(monotonic()) and self._lock.acquire(blocking=False):
            try:
                self._begin()
                self._history.add(self._sample())
            finally:
                self._lock.release()

    def _begin(self) -> None:
        """Note that a new service began with nothing counted; the evidence goes back to before it."""
        begun_s, self._begun_s = self._begun_s, None
        if begun_s is None:
            return
        if self._engine.counters is not None:
            self._history.add(CountSample(at_s=begun_s))
            return
        self._read_partners()
        self._history.add(CountSample(at_s=begun_s, latency=self._latency))

    def watch(self, listener: Callable[[str, str], None]) -> None:
        """Have alerts looked at from time to time, and call back with what began or ended, and its words."""
        self._listener = listener

    def watch_if_due(self) -> None:
        """Look at the alerts where it is time; on a worker thread."""
        begun_s = monotonic()
        if self._listener is None or begun_s < self._watch_s:
            return
        before, found = self._watched, {}
        for one in self.snapshot()["alerts"]:
            name = one["name"]
            found[name, one["summary"].partition(": ")[0]] = (
                f"{name}: {one['summary']}; runbook {one['runbook']}"
            )
        for key in found.keys() - before.keys():
            self._listener("alert_started", found[key])
        for key in before.keys() - found.keys():
            self._listener("alert_ended", before[key])
        self._watched = found
        self._watch_s = monotonic() + max(WATCH_S, WATCH_SHARE * (monotonic() - begun_s))

    def snapshot(self) -> dict[str, Any]:
        """Return the status as JSON values, at most a second old; never on a loop."""
        with self._lock:
            if monotonic() - self._made_s >= KEPT_S:
                self._made = self._make()
                self._made_s = monotonic()
            return self._made

    def _sample(self) -> CountSample:
        codes: dict[str, int] = {}
        floods: dict[str, int] = {}
        refused = 0
        durations = (0,) * len(_BOUNDS_S)
        for metric, labels, value in self._counts.samples():
            if isinstance(value, HistogramValue):
                if metric is metrics.VERIFICATION_DURATION:
                    durations = tuple(map(sum, zip(durations, value.counts, strict=False)))
            elif metric is metrics.REQUESTS:
                codes[labels[3]] = codes.get(labels[3], 0) + int(value)
            elif metric is metrics.REQUESTS_REFUSED:
                refused += int(value)
            elif metric is metrics.UNKNOWN_KID_FLOODS:
                floods[labels[0]] = floods.get(labels[0], 0) + int(value)
        return CountSample(
            at_s=monotonic(),
            codes=codes,
            refused=refused,
            restarts=sum(self._heartbeats.restarts()),
            floods=floods,
            latency=self._latency if self._engine.counters is None else durations,
        )

    def _make(self) -> dict[str, Any]:
        now_s = monotonic()
        plan = self._rollout.state.plan()
        if now_s - self._partners_s >= PARTNERS_KEPT_S:
            self._read_partners()
            self._partners_s = now_s
        self._begin()
        sample = self._sample()
        if self._history.is_due(now_s):
            self._history.add(sample)
        reports = live_reports(self._bus, self._writer)
        windows = [self._history.window(seconds, sample) for seconds in WINDOWS_S]
        status: dict[str, Any] = {
            "version": VERSION,
            "release": __version__,
            "at_s": round(time(), 3),
            "answered_by": os.getpid(),
            "ready": self._engine.ready and all(report["ready"] for report in reports),
            "windows": windows,
            "series": self._history.series(sample),
            "latency_us": self._history.latency_us(WINDOWS_S[1], sample),
            "issuers": issuer_rows(reports, self._differing),
            "partners": self._partners,
            "plan": {"frozen": plan.frozen, "revision": plan.revision},
            "revocations": len(self._engine.revocations()),
            "pending_revocations": len(self._bus.pending.listed()),
            "workers": self._workers(reports),
            "changes": recent_changes(reports, self._rollout.history()),
        }
        return {**status, **self._judged(status)}

    def _judged(self, status: dict[str, Any]) -> dict[str, Any]:
        """Return the alerts of a status, each with since when, and the health that they add up to."""
        found = alerts_of(status)
        now_s = status["at_s"]
        keys = {(one.name, one.subject): one for one in found}
        self._alerts = {key: self._alerts.get(key, now_s) for key in keys}
        alerts = [{**one.as_dict(), "since_s": self._alerts[key]} for key, one in keys.items()]
        pages = any(one.severity == "page" for one in found)
        return {"alerts": alerts, "health": "failing" if pages else "degraded" if found else "ok"}

    def _workers(self, reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
        restarts = self._heartbeats.restarts()
        states = {one.pid: one for one in self._bus.workers()}
        rows = []
        for report in reports:
            state = states.get(report["pid"])
            rows.append(
                {
                    "index": report["index"],
                    "pid": report["pid"],
                    "release": report["version"],
                    "started_s": report["started_s"],
                    "restarts": restarts[report["index"]],
                    "silent_s": round(self._heartbeats.silence_s(report["index"]), 1),
                    "loop_lag_s": report["loop_lag_s"],
                    "connections": report["connections"],
                    "plan_revision": report["revision"],
                    "change_lag_s": 0.0 if state is None else round(state.lag_s, 6),
                    "behind_s": 0.0 if state is None else round(self._bus.behind_s(state), 1),
                    "config_refused": state is not None and state.config_refused,
                    "tables": 0 if state is None else state.tables,
                }
            )
        return rows

    def _read_partners(self) -> None:
        """Read the readiness of partners, and latencies where metrics are off, from the evidence."""
        found = readiness(self._rollout, int(time()))
        self._partners = [
            {
                "partner": one.partner,
                "phase": one.phase,
                "ready": one.is_ready,
                "requests": one.requests,
                "verified": one.verified,
                "refused": one.refused,
                "recent": one.recent,
                "recent_failed": one.recent_failed,
                "refused_tomorrow": one.rejected_tomorrow,
                "why": one.why,
                "most_frequent": [[seen.name, seen.count] for seen in one.failures[:3]],
                "enforce_on_s": one.enforce_on_s,
            }
            for one in found.partners
        ]
        sums = [sum(counts) for counts in zip(*(one.latency for one in found.partners), strict=True)]
        self._latency = tuple(sums)
