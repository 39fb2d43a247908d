"""What an operator sees of the engine: counters and their exposition, logs, security events, traces."""

from typing import TYPE_CHECKING

from rapidjws._lazy import lazy_names
from rapidjws.observe.decision_log import DecisionLog
from rapidjws.observe.event_log import EventLog
from rapidjws.observe.logs import LogHandler, LogSettings
from rapidjws.observe.metric_list import MEASURES, METRICS, Buckets, Metric
from rapidjws.observe.reading import Exemplar, HistogramValue, Reading, Sample

if TYPE_CHECKING:
    from rapidjws.observe.engine_metrics import EngineMetrics
    from rapidjws.observe.exposition import Exposition
    from rapidjws.observe.issuer_metrics import IssuerMetrics
    from rapidjws.observe.measured_signer import MeasuredSigner
    from rapidjws.observe.otel_metrics import OTelMetrics
    from rapidjws.observe.prometheus_collector import Collector
    from rapidjws.observe.queue_metrics import QueueMetrics
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "rapidjws.observe.engine_metrics": ("EngineMetrics",),
            "rapidjws.observe.exposition": ("Exposition",),
            "rapidjws.observe.issuer_metrics": ("IssuerMetrics",),
            "rapidjws.observe.measured_signer": ("MeasuredSigner",),
            "rapidjws.observe.otel_metrics": ("OTelMetrics",),
            "rapidjws.observe.prometheus_collector": ("Collector",),
            "rapidjws.observe.queue_metrics": ("QueueMetrics",),
        },
    )

__all__ = [
    "Buckets",
    "Collector",
    "DecisionLog",
    "EngineMetrics",
    "EventLog",
    "Exemplar",
    "Exposition",
    "HistogramValue",
    "IssuerMetrics",
    "LogHandler",
    "LogSettings",
    "MEASURES",
    "METRICS",
    "MeasuredSigner",
    "Metric",
    "OTelMetrics",
    "QueueMetrics",
    "Reading",
    "Sample",
]
