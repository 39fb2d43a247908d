"""The metrics of engines in a process without the sidecar: a reading of what they counted."""

from __future__ import annotations

import platform
import time
from itertools import chain
from typing import TYPE_CHECKING

from rapidjws import _native
from rapidjws._checks import checked, refused
from rapidjws._version import __version__
from rapidjws.observe import metric_list as metrics
from rapidjws.observe.reading import Reading, Sample
from rapidjws.observe.recorder import MetricRecorder
from rapidjws.observe.region_samples import RegionSamples
from rapidjws.verify.verdict_counters import VerdictCounters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rapidjws.jwt.engine import Engine
    from rapidjws.verify.protocols import Event


class EngineMetrics:
    """Reads what one engine of this process counts; give it to a collector, or to an exposition.

    It is a listener as well: give it as ``events`` to key sources and stores, and their events are counted.

    Args:
        engine: The engine, or None where ``attach`` names it later: key sources are made before it.
        issuer_of: Returns the issuers of key sources by their name, the URL; by default as the engine has it.
    """

    __slots__ = ("_engine", "_issuer_of", "_samples", "recorder")

    @checked(but=("engine",))
    def __init__(
        self, engine: Engine | None = None, *, issuer_of: Callable[[], Mapping[str, str]] | None = None
    ) -> None:
        self._engine: Engine | None = None
        self._issuer_of = issuer_of
        self._samples: RegionSamples | None = None
        self.recorder = MetricRecorder(self._issuers)
        """Counts in the engine's memory."""
        if engine is not None:
            self.attach(engine)

    def attach(self, engine: Engine) -> None:
        """Name the engine, and count the events of before in its memory.

        Raises:
            ConfigurationError: ``configuration_invalid``: it does not count.
        """
        counters = getattr(engine, "counters", None)
        if not isinstance(counters, VerdictCounters):
            raise refused("engine", "an Engine that counts: counters=True", engine)
        self._engine = engine
        self._samples = RegionSamples([counters.region])
        self._samples.exemplars = self.recorder.exemplars
        self.recorder.attach(counters.region)

    def __call__(self, event: Event, /) -> None:
        """Count one event."""
        self.recorder(event)

    def _issuers(self) -> Mapping[str, str]:
        if self._issuer_of is not None:
            return self._issuer_of()
        engine = self._engine
        if engine is None:
            return {}
        named = {}
        for issuer in engine.issuers:
            source = engine.source_of(issuer.name)
            if source is not None:
                named[getattr(source, "name", "")] = issuer.name
        return named

    def reading(self) -> Reading:
        """Return all samples of this moment."""
        counted, columns = ([], []) if self._samples is None else self._samples.read()
        return Reading(chain(counted, self._of_engine()), time.time(), columns)

    def _of_engine(self) -> Iterator[Sample]:
        versions = (__version__, _native.libcrypto_version(), platform.python_version())
        yield Sample(metrics.BUILD_INFO, versions, 1)
        engine = self._engine
        if engine is None:
            return
        yield Sample(metrics.READY, (), int(engine.ready))
        yield Sample(metrics.REVOCATIONS, (), len(engine.revocations()))
        for iss in (issuer.name for issuer in engine.issuers):
            keys = engine.key_state(iss).keys
            good_at_s = getattr(engine.source_of(iss), "good_at_s", None)
            yield Sample(metrics.JWKS_KEYS, (iss,), 0 if keys is None else len(keys))
            yield Sample(metrics.JWKS_STALE, (iss,), int(keys is None))
            if good_at_s is not None:
                yield Sample(metrics.JWKS_AGE, (iss,), max(0.0, time.monotonic() - good_at_s))
        cache = engine._cache
        if cache is not None:
            yield Sample(metrics.TOKEN_CACHE_HITS, (), cache.hits)
            yield Sample(metrics.TOKEN_CACHE_MISSES, (), cache.misses)
            yield Sample(metrics.TOKEN_CACHE_ENTRIES, (), len(cache))
        status, report = engine.table_status(), _native.acceleration_report()
        yield Sample(metrics.TABLES_KEYS, ("0",), status.tables)
        yield Sample(metrics.TABLES_BYTES, ("0",), status.used_bytes)
        yield Sample(metrics.TABLES_BUDGET, ("0",), status.budget_bytes)
        yield Sample(metrics.TABLES_WANTED, ("0",), status.wanted_bytes)
        yield Sample(metrics.TABLES_BUILDS, ("0",), status.built)
        yield Sample(metrics.TABLES_EVICTIONS, ("0",), status.evicted)
        yield Sample(metrics.TABLES_OFF, ("0",), int(report.off))
        yield Sample(metrics.TABLES_SAMPLES, ("0",), report.sampled)
        yield Sample(metrics.TABLES_MISMATCHES, ("0",), report.mismatches)
        yield Sample(metrics.LIBCRYPTO_FALLBACKS, ("0",), report.fallbacks)


def metrics_of(engine: Engine | EngineMetrics) -> EngineMetrics:
    """Return the metrics of an engine, or those that are given.

    Raises:
        ConfigurationError: ``configuration_invalid``: neither, or an engine that does not count.
    """
    if isinstance(engine, EngineMetrics):
        return engine
    made = EngineMetrics()
    made.attach(engine)
    return made
