"""What an operator sees of the engine: counters and their exposition, logs, security events, traces."""

from rapidjws.observe.decision_log import DecisionLog
from rapidjws.observe.event_log import EventLog
from rapidjws.observe.logs import LogHandler, LogSettings
from rapidjws.observe.metric_list import MEASURES, METRICS, Buckets, Metric
from rapidjws.observe.reading import Exemplar, HistogramValue, Reading, Sample

__all__ = [
    "Buckets",
    "DecisionLog",
    "EventLog",
    "Exemplar",
    "HistogramValue",
    "LogHandler",
    "LogSettings",
    "MEASURES",
    "METRICS",
    "Metric",
    "Reading",
    "Sample",
]
