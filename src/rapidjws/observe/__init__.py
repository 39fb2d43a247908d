"""What an operator sees of the engine: counters, their exposition, and the one list of metrics."""

from rapidjws.observe.metric_list import MEASURES, METRICS, Buckets, Metric
from rapidjws.observe.reading import Exemplar, HistogramValue, Reading, Sample

__all__ = [
    "Buckets",
    "Exemplar",
    "HistogramValue",
    "MEASURES",
    "METRICS",
    "Metric",
    "Reading",
    "Sample",
]
