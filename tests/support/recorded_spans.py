"""A tracer of OpenTelemetry's own SDK that keeps its spans. What it never does: test."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rapidjws.observe.otel import OpenTelemetryTracer

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{CALLER}-01"
UNSAMPLED = f"00-{TRACE}-{CALLER}-00"


class RecordedSpans:
    """A tracer, and the spans that it recorded."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = OpenTelemetryTracer(provider)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Return the spans so far."""
        return self._exporter.get_finished_spans()

    def traceparent(self) -> str:
        """Return what the next one gets of the last span, which lies below the caller's."""
        span = self.spans[-1]
        assert span.name == "jws.verify"
        assert span.parent is not None
        assert format(span.parent.span_id, "016x") == CALLER
        assert format(span.context.trace_id, "032x") == TRACE
        return f"00-{TRACE}-{span.context.span_id:016x}-01"
