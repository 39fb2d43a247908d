"""Counts of what happens beside tokens: requests, fetches, rotations, stores, in a worker's memory.

It listens to events, on whatever thread they happen, and to what the rollout decided; nothing of it is on the
way of a token. Labels are configured names: a source's URL becomes the issuer whose keys it brings.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from rapidjws.observe import metric_list as metrics
from rapidjws.observe.code_samples import CODES_WORDS, REQUESTS
from rapidjws.observe.metric_list import PREFIX
from rapidjws.observe.reading import Exemplar
from rapidjws.observe.region_samples import JWKS_GOOD_AT
from rapidjws.verify.verdict_counters import CODE_WORDS, DURATIONS, OK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rapidjws.observe.metric_list import Metric
    from rapidjws.verify.counter_memory import CounterRegion
    from rapidjws.verify.protocols import Event

EVENTS_KEPT: Final = 1024
"""Events from before the memory is there, which are counted then."""

EXEMPLARS_KEPT: Final = 256

EMERGENCY_S: Final = 6 * 3600.0
"""How long after a revocation a new key of its issuer belongs to the emergency, in seconds."""

FETCH_REASONS: Final = frozenset(
    {"timeout", "connect", "dns", "tls", "status", "protocol", "encoding", "too_large", "private_address",
     "document", "no_usable_key", "discovery", "credential", "proxy", "internal"}
)  # fmt: skip
"""Reasons of failed fetches that are labels; any other is ``other``."""


def name_of(metric: Metric) -> str:
    """Return the name under which a metric is counted in memory."""
    return metric.name.removeprefix(PREFIX)


class MetricRecorder:
    """Counts in one worker's memory.

    Args:
        issuer_of: Returns the issuers of key sources by name, or nothing.
        clock: Monotonic seconds.
    """

    __slots__ = (
        "_clock",
        "_emergencies",
        "_issuer_of",
        "_lock",
        "_region",
        "_waiting",
        "exemplars",
        "has_exemplars",
    )

    def __init__(
        self,
        issuer_of: Callable[[], Mapping[str, str]] = dict,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._emergencies: dict[
            str, tuple[float, str]
        ] = {}  # issuer -> call of a revocation, whether a drill
        self._issuer_of = issuer_of
        self._lock = threading.Lock()
        self._region: CounterRegion | None = None
        self._waiting: list[Event] = []
        self.has_exemplars = True
        """Whether sampled requests are remembered."""
        self.exemplars: dict[tuple[str, tuple[str, ...]], dict[int, Exemplar]] = {}
        """(Metric's name, labels) -> bucket -> the last exemplar."""

    def attach(self, region: CounterRegion) -> None:
        """Name the memory, and count the events of before."""
        with self._lock:
            self._region, waiting, self._waiting = region, self._waiting, []
        for event in waiting:
            self._take(region, event)

    def __call__(self, event: Event, /) -> None:
        """Count one event."""
        with self._lock:
            region = self._region
            if region is None:
                if len(self._waiting) < EVENTS_KEPT:
                    self._waiting.append(event)
                return
        self._take(region, event)

    def _take(self, region: CounterRegion, event: Event) -> None:
        take = _EVENTS.get(event.name)
        if take is not None:
            take(self, region, event)

    def issuer(self, event: Event) -> str:
        """Return the configured issuer that an event is about, or an empty name."""
        if event.issuer is None:
            return ""
        known = self._issuer_of()
        return known.get(event.issuer) or (event.issuer if event.issuer in known.values() else "")

    # --- requests -----------------------------------------------------------------------------------------

    def count(self, partner: str, route: str, code: str, *, refused: bool, times: int = 1) -> None:
        """Count one request, or several alike; called by one thread of the worker at a time.

        Args:
            partner: A configured one, or empty.
            route: A configured one, or empty.
            code: What was found.
            refused: Whether it was refused in fact.
            times: How many requests.
        """
        region = self._region
        word = CODE_WORDS.get(code)
        if region is None or word is None:
            return
        labels = (partner, route)
        region.add_at(REQUESTS, labels, word, CODES_WORDS, times)
        if refused:
            region.add("requests_refused_total", labels, times)
        elif code != OK:
            region.add("requests_let_through_total", labels, times)

    # --- whatever has a metric ----------------------------------------------------------------------------

    def add(self, metric: Metric, *labels: str, more: int = 1) -> None:
        """Add to a counter of the list."""
        if self._region is not None:
            self._region.add(name_of(metric), labels, more)

    def put(self, metric: Metric, *labels: str, value: float) -> None:
        """Set a gauge of the list."""
        if self._region is not None:
            self._region.put(name_of(metric), labels, value)

    def observe(self, metric: Metric, *labels: str, value_s: float) -> None:
        """Count a duration in a histogram of the list."""
        if self._region is not None and metric.buckets is not None:
            first, last = metric.buckets.first, metric.buckets.last
            self._region.observe(name_of(metric), labels, value_s, first, last - first + 1)

    def sampled(
        self, metric: Metric, *labels: str, value: float, trace_id: str, span_id: str, at_s: float
    ) -> None:
        """Remember a sampled request as the exemplar of the bucket that counts it.

        Args:
            metric: A histogram of the list.
            labels: Values of its labels.
            value: What was observed, in the metric's unit.
            trace_id: 32 lower-case hex digits.
            span_id: 16 lower-case hex digits.
            at_s: When, in seconds since the epoch.
        """
        if metric.buckets is None or not self.has_exemplars:
            return
        bounds = metric.buckets.bounds_s
        bucket = next((at for at, bound in enumerate(bounds) if value <= bound), len(bounds))
        exemplar = Exemplar(trace_id=trace_id, span_id=span_id, value=value, at_s=at_s)
        with self._lock:
            if len(self.exemplars) < EXEMPLARS_KEPT or (metric.name, labels) in self.exemplars:
                kept = self.exemplars.get((metric.name, labels), {})
                self.exemplars[metric.name, labels] = {**kept, bucket: exemplar}

    def revoked(self, issuer: str | None, elapsed_s: float, *, drill: bool = False) -> None:
        """Note how long a revocation took, from its call to where it held in every worker.

        Args:
            issuer: Whose, as the caller named it; only a configured one is a label.
            elapsed_s: How long, in seconds.
            drill: Whether it was an exercise.
        """
        words, known = "true" if drill else "false", self.configured(issuer)
        self.put(metrics.EMERGENCY_ROTATION, known, "in_force", words, value=elapsed_s)
        if known:
            self._emergencies[known] = self._clock() - elapsed_s, words

    def rotated(self, issuer: str, stage: str) -> None:
        """Note how far the rotation is that follows a revocation; later ones change nothing.

        Args:
            issuer: A configured one.
            stage: ``"replaced"``: a new key came into use; ``"first_use"``: it verified a token.
        """
        begun_s, words = self._emergencies.get(issuer, (None, ""))
        if begun_s is None:
            return
        elapsed_s = self._clock() - begun_s
        if elapsed_s <= EMERGENCY_S:
            self.put(metrics.EMERGENCY_ROTATION, issuer, stage, words, value=elapsed_s)
        if stage == "first_use" or elapsed_s > EMERGENCY_S:
            self._emergencies.pop(issuer, None)

    def configured(self, issuer: object) -> str:
        """Return a name where it is that of an issuer that verdicts are counted for, else an empty one."""
        region = self._region
        if region is None or not isinstance(issuer, str):
            return ""
        return issuer if (DURATIONS, (issuer, "")) in region else ""

    def keys_of(self, issuer: str, *, keys: int | None, good_at_s: float | None) -> None:
        """Note an issuer's keys as they are now.

        Args:
            issuer: A configured one.
            keys: How many may be used, or None where there are none to be used.
            good_at_s: When they were fetched, in seconds of the monotonic clock, or None.
        """
        self.put(metrics.JWKS_KEYS, issuer, value=keys or 0)
        self.put(metrics.JWKS_STALE, issuer, value=keys is None)
        if good_at_s is not None and self._region is not None:
            self._region.put(JWKS_GOOD_AT, (issuer,), good_at_s)


def _fetch_ended(recorder: MetricRecorder, region: CounterRegion, event: Event) -> None:
    issuer = recorder.issuer(event)
    result = "failed" if event.detail else "ok"
    reason = "" if not event.detail else event.detail if event.detail in FETCH_REASONS else "other"
    recorder.add(metrics.JWKS_FETCHES, issuer, result, reason)
    recorder.observe(metrics.JWKS_FETCH_DURATION, issuer, result, value_s=event.value or 0.0)


def _replaced(recorder: MetricRecorder, region: CounterRegion, event: Event) -> None:
    recorder.rotated(recorder.issuer(event), "replaced")


def _first_used(recorder: MetricRecorder, region: CounterRegion, event: Event) -> None:
    recorder.rotated(event.issuer or "", "first_use")
    recorder.observe(metrics.KEY_FIRST_USE_LAG, event.issuer or "", value_s=event.value or 0.0)


def _replay_store_failed(recorder: MetricRecorder, region: CounterRegion, event: Event) -> None:
    recorder.add(metrics.REPLAY_STORE_ERRORS)


def _flood(recorder: MetricRecorder, region: CounterRegion, event: Event) -> None:
    issuer = recorder.issuer(event) or recorder.configured(event.issuer)
    recorder.add(metrics.UNKNOWN_KID_FLOODS, issuer)
    recorder.add(metrics.SECURITY_EVENTS, event.name, issuer)


def _security(recorder: MetricRecorder, region: CounterRegion, event: Event) -> None:
    recorder.add(metrics.SECURITY_EVENTS, event.name, recorder.issuer(event))


def _introspected(recorder: MetricRecorder, region: CounterRegion, event: Event) -> None:
    recorder.add(metrics.INTROSPECTIONS, event.detail or "")
    if event.detail != "not_asked":
        recorder.observe(metrics.INTROSPECTION_DURATION, event.detail or "", value_s=event.value or 0.0)


def _remembered(recorder: MetricRecorder, region: CounterRegion, event: Event) -> None:
    recorder.add(metrics.INTROSPECTIONS, "remembered", more=int(event.value or 0))


def _status_list_fetched(recorder: MetricRecorder, region: CounterRegion, event: Event) -> None:
    recorder.add(metrics.STATUS_LIST_FETCHES, "failed" if event.detail else "ok")


def _stamped(recorder: MetricRecorder, region: CounterRegion, event: Event) -> None:
    result = "stamped" if event.name == "audit_timestamped" else "failed"
    recorder.add(metrics.AUDIT_TIMESTAMPS, result)


def _unsigned(recorder: MetricRecorder, region: CounterRegion, event: Event) -> None:
    recorder.add(metrics.AUDIT_UNSIGNED)


def _witnessed(recorder: MetricRecorder, region: CounterRegion, event: Event) -> None:
    result = "stored" if event.name == "audit_witnessed" else "failed"
    recorder.add(metrics.AUDIT_COSIGNATURES, result)


_EVENTS: Final[Mapping[str, Callable[[MetricRecorder, CounterRegion, Event], None]]] = {
    "fetch_ended": _fetch_ended,
    "key_added": _replaced,
    "rotation_lag": _first_used,
    "replay_store_failed": _replay_store_failed,
    "unknown_kid_flood": _flood,
    "private_key_published": _security,
    "kid_rebound": _security,
    "introspection_ended": _introspected,
    "audit_checkpoint_unsigned": _unsigned,
    "audit_witnessed": _witnessed,
    "audit_witness_failed": _witnessed,
    "audit_timestamped": _stamped,
    "audit_timestamp_failed": _stamped,
    "introspection_remembered": _remembered,
    "status_list_fetched": _status_list_fetched,
}
