"""What a worker looks like from time to time: its keys, caches, tables, connections and its loop's lag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rapidjws import _native
from rapidjws.observe import metric_list as metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rapidjws.jwt.engine import Engine
    from rapidjws.observe.metric_list import Metric
    from rapidjws.observe.recorder import MetricRecorder


class WorkerGauges:
    """Puts the gauges of one worker where the others see them; nothing of it waits or reads a file.

    Args:
        engine: The worker's.
        recorder: Where.
        index: The worker's number.
    """

    __slots__ = ("_engine", "_index", "_recorder", "_seen", "_ticked_s")

    def __init__(self, engine: Engine, recorder: MetricRecorder, index: int) -> None:
        self._engine = engine
        self._recorder = recorder
        self._index = str(index)
        self._seen: dict[str, int] = {}
        self._ticked_s: float | None = None

    def on_tick(
        self, now_s: float, due_every_s: float, sources: Mapping[str, Any], connections: Mapping[str, int]
    ) -> None:
        """Put all of them.

        Args:
            now_s: The loop's clock.
            due_every_s: How often this is to be called; what is beyond it is the loop's lag.
            sources: iss -> key source.
            connections: Listener -> how many are open.
        """
        recorder = self._recorder
        if self._ticked_s is not None:
            lag_s = max(0.0, now_s - self._ticked_s - due_every_s)
            recorder.put(metrics.EVENT_LOOP_LAG, self._index, value=lag_s)
        self._ticked_s = now_s
        for listener, count in connections.items():
            recorder.put(metrics.CONNECTIONS, listener, value=count)
        self._keys(sources)
        self._tables()
        cache = self._engine._cache
        if cache is not None:
            recorder.put(metrics.TOKEN_CACHE_ENTRIES, value=len(cache))
            self._grown(metrics.TOKEN_CACHE_HITS, cache.hits)
            self._grown(metrics.TOKEN_CACHE_MISSES, cache.misses)

    def _keys(self, sources: Mapping[str, Any]) -> None:
        for iss in (issuer.name for issuer in self._engine.issuers):
            keys = self._engine.key_state(iss).keys
            good_at_s = getattr(sources.get(iss), "good_at_s", None)
            self._recorder.keys_of(iss, keys=None if keys is None else len(keys), good_at_s=good_at_s)
            skew = self._engine.skew(iss)
            if skew is not None:
                named = {"p5": skew.p5_s, "median": skew.median_s, "p95": skew.p95_s, "max": skew.max_s}
                for stat, value in named.items():
                    self._recorder.put(metrics.CLOCK_SKEW, iss, stat, value=value)

    def _tables(self) -> None:
        report = _native.acceleration_report()
        self._recorder.put(metrics.TABLES_OFF, self._index, value=report.off)
        self._grown(metrics.TABLES_SAMPLES, report.sampled, self._index)
        self._grown(metrics.TABLES_MISMATCHES, report.mismatches, self._index)
        self._grown(metrics.LIBCRYPTO_FALLBACKS, report.fallbacks, self._index)
        self._grown(metrics.TABLES_EVICTIONS, self._engine.table_status().evicted, self._index)

    def _grown(self, metric: Metric, count: int, *labels: str) -> None:
        """Add what a count of this process grew by since the last tick."""
        before = self._seen.get(metric.name, 0)
        self._seen[metric.name] = count
        self._recorder.add(metric, *labels, more=max(0, count - before))
