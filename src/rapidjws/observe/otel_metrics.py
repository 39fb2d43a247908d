"""OpenTelemetry instruments over an engine's counters. Needs the extra ``otel``.

All are observable: nothing is recorded when a token is verified; a reader asks when it exports. OpenTelemetry
has no observable histogram, so one is given as three counters, as Prometheus names them: ``_bucket`` with the
label ``le``, ``_sum`` and ``_count``.
"""

from __future__ import annotations

import threading
import time
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import refused
from rapidjws.errors import error_for
from rapidjws.observe.engine_metrics import metrics_of
from rapidjws.observe.metric_list import METRICS
from rapidjws.observe.reading import HistogramValue

try:
    from opentelemetry import metrics as otel
except ImportError:
    raise error_for(
        "configuration_invalid", "rapidjws.observe.otel_metrics", "the extra: rapidjws[otel]"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rapidjws.jwt.engine import Engine
    from rapidjws.observe.engine_metrics import EngineMetrics
    from rapidjws.observe.metric_list import Metric
    from rapidjws.observe.reading import Reading

KEPT_S: Final = 0.5
"""How long one reading serves the instruments of an export, in seconds."""


class OTelMetrics:
    """Registers an observable instrument for each metric of the list.

    Args:
        engine: An engine, or the metrics of one.
        meter: Makes the instruments; by default that of the global provider.

    Raises:
        ConfigurationError: ``configuration_invalid``: no engine that counts, or no meter.
    """

    def __init__(self, engine: Engine | EngineMetrics, meter: Any = None) -> None:
        self._metrics = metrics_of(engine)
        self._lock = threading.Lock()
        self._kept: tuple[float, Reading] | None = None
        made = otel.get_meter("rapidjws") if meter is None else meter
        if not callable(getattr(made, "create_observable_counter", None)):
            raise refused("meter", "a Meter, or None", meter)
        self.instruments = [one for metric in METRICS.values() for one in self._instruments(metric, made)]

    def _reading(self) -> Reading:
        with self._lock:
            now_s = time.monotonic()
            if self._kept is None or now_s - self._kept[0] > KEPT_S:
                self._kept = now_s, self._metrics.reading()
            return self._kept[1]

    def _instruments(self, metric: Metric, meter: Any) -> Iterable[Any]:
        unit = {"seconds": "s", "bytes": "By"}.get(metric.unit, "1")
        if metric.buckets is None:
            make = (
                meter.create_observable_counter if metric.type == "counter" else meter.create_observable_gauge
            )
            return [make(metric.name, [self._plain(metric)], unit=unit, description=metric.help)]
        make = meter.create_observable_counter
        return [
            make(f"{metric.name}_{part}", [self._part(metric, part)], unit=unit if part == "sum" else "1",
                 description=metric.help)
            for part in ("bucket", "sum", "count")
        ]  # fmt: skip

    def _plain(self, metric: Metric) -> Callable[[Any], Iterable[Any]]:
        def observe(options: Any) -> Iterable[Any]:
            samples = self._reading().samples(metric.name)
            return [
                otel.Observation(one.value, one.named)
                for one in samples
                if not isinstance(one.value, HistogramValue)
            ]

        return observe

    def _part(self, metric: Metric, part: str) -> Callable[[Any], Iterable[Any]]:
        bounds = [*(repr(bound) for bound in metric.buckets.bounds_s), "+Inf"] if metric.buckets else []

        def observe(options: Any) -> Iterable[Any]:
            found = []
            for one in self._reading().samples(metric.name):
                value = one.value
                if not isinstance(value, HistogramValue):
                    continue
                if part == "bucket":
                    counts = zip(bounds, accumulate(value.counts), strict=True)
                    found += [otel.Observation(count, {**one.named, "le": bound}) for bound, count in counts]
                else:
                    found.append(otel.Observation(value.sum if part == "sum" else value.count, one.named))
            return found

        return observe
