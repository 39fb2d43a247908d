"""A collector for those who expose metrics by prometheus-client. Needs the extra ``prometheus``."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from rapidjws.errors import error_for
from rapidjws.observe.engine_metrics import metrics_of
from rapidjws.observe.reading import HistogramValue

try:
    from prometheus_client import core
    from prometheus_client.registry import Collector as _Collector
except ImportError:
    raise error_for(
        "configuration_invalid", "rapidjws.observe.Collector", "the extra: rapidjws[prometheus]"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rapidjws.jwt.engine import Engine
    from rapidjws.observe.engine_metrics import EngineMetrics
    from rapidjws.observe.metric_list import Metric
    from rapidjws.observe.reading import Sample


class Collector(_Collector):
    """Gives prometheus-client what an engine counted; register it in a registry.

    Args:
        engine: An engine, or the metrics of one.

    Raises:
        ConfigurationError: ``configuration_invalid``: neither, or an engine that does not count.
    """

    def __init__(self, engine: Engine | EngineMetrics) -> None:
        self._metrics = metrics_of(engine)

    def describe(self) -> list[Any]:
        """Return nothing: names are those of the list, and a scrape alone looks at them."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield each metric that has samples."""
        for metric, samples in self._metrics.reading().families():
            if samples:
                yield _family(metric, samples)


def _family(metric: Metric, samples: list[Sample]) -> Any:
    name, words, labels = metric.name, metric.help, metric.labels
    if metric.buckets is None:
        made: Any = core.CounterMetricFamily if metric.type == "counter" else core.GaugeMetricFamily
        family = made(name, words, labels=labels, unit="")
        for _, values, value in samples:
            family.add_metric(values, value)
        return family
    bounds = [*(repr(bound) for bound in metric.buckets.bounds_s), "+Inf"]
    histogram = core.HistogramMetricFamily(name, words, labels=labels)
    for _, values, value in samples:
        if isinstance(value, HistogramValue):
            buckets = list(zip(bounds, accumulate(value.counts), strict=True))
            histogram.add_metric(values, buckets=buckets, sum_value=value.sum)
    return histogram
