"""Spans made by OpenTelemetry; the only file that imports it. Needs the extra ``otel``."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rapidjws._checks import checked, refused
from rapidjws._version import __version__
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from opentelemetry.trace import Span as OpenTelemetrySpan

    from rapidjws.observe.request_info import TraceContext
    from rapidjws.observe.tracing import Attributes, Span

CLOSE_S: Final = 2.0
"""Longest time that the end of a process waits for spans to be sent."""

TRACES_PATH: Final = "/v1/traces"
_EXTRA: Final = "the extra: rapidjws[otel]"


@checked(under="traces")
@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    """Where the sidecar sends its spans.

    Args:
        endpoint: Address of an OTLP receiver over HTTP, ``http://127.0.0.1:4318``; ``/v1/traces`` is added
            where it has no path.
        service_name: ``service.name`` of the spans.
        timeout_s: Longest time of one export, in seconds.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    endpoint: str
    service_name: str = "rapidjws"
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Check every argument once."""
        from urllib.parse import urlsplit

        try:
            parts = urlsplit(self.endpoint)
            is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_good = False
        if not is_good or not self.endpoint.isprintable() or parts.username is not None or parts.query:
            raise error_for("configuration_invalid", "traces.endpoint", "http(s)://host:port, no credentials")
        if not self.service_name or not self.service_name.isprintable():
            raise error_for("configuration_invalid", "traces.service_name", "a printable name")
        if not 0 < self.timeout_s <= 60:
            raise error_for("configuration_invalid", "traces.timeout_s", expected="above 0 to 60")

    @property
    def url(self) -> str:
        """Return the address that spans are sent to."""
        from urllib.parse import urlsplit

        return (
            self.endpoint.rstrip("/") + TRACES_PATH
            if urlsplit(self.endpoint).path in ("", "/")
            else self.endpoint
        )


class _Recorded:
    """A span of OpenTelemetry."""

    __slots__ = ("_span",)

    def __init__(self, span: OpenTelemetrySpan) -> None:
        self._span = span

    @property
    def trace_id(self) -> str:
        """Return the trace's id."""
        return format(self._span.get_span_context().trace_id, "032x")

    @property
    def span_id(self) -> str:
        """Return the span's id."""
        return format(self._span.get_span_context().span_id, "016x")

    def end(self, attributes: Attributes, *, failed: bool, end_ns: int | None = None) -> None:
        """End the span."""
        from opentelemetry.trace import StatusCode

        self._span.set_attributes(dict(attributes))
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end(end_ns)


class OpenTelemetryTracer:
    """A tracer over OpenTelemetry.

    Args:
        provider: The ``TracerProvider``; None for the application's global one.

    Raises:
        ConfigurationError: ``configuration_invalid``: the extra is not installed.
    """

    @checked
    def __init__(self, provider: Any = None) -> None:
        if provider is not None and not callable(getattr(provider, "get_tracer", None)):
            raise refused("provider", "a TracerProvider, or None", provider)
        try:
            from opentelemetry import trace
        except ImportError:
            raise error_for("configuration_invalid", "tracer", _EXTRA) from None
        self._trace = trace
        self._provider = provider
        self._tracer = trace.get_tracer("rapidjws", __version__, tracer_provider=provider)

    def start(self, name: str, *, parent: TraceContext | None, start_ns: int) -> Span | None:
        """Begin a span; below the one that is under way where that belongs to the caller's trace."""
        trace = self._trace
        context = None
        if parent is not None:
            trace_id = int(parent.trace_id, 16)
            here = trace.get_current_span().get_span_context()
            if not (here.is_valid and here.trace_id == trace_id and here.trace_flags.sampled):
                remote = trace.SpanContext(
                    trace_id,
                    int(parent.parent_id, 16),
                    is_remote=True,
                    trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
                    trace_state=trace.TraceState.from_header([parent.tracestate]),
                )
                context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        span = self._tracer.start_span(name, context=context, start_time=start_ns)
        return _Recorded(span) if span.is_recording() else None

    def close(self) -> None:
        """Send what waits, for at most CLOSE_S, where the provider is our own; without a thread it's lost."""
        if self._provider is None:
            return
        with contextlib.suppress(Exception):
            ending = threading.Thread(target=self._provider.shutdown, name="rapidjws-traces", daemon=True)
            ending.start()
            ending.join(CLOSE_S)


def otlp_tracer(settings: TraceSettings) -> OpenTelemetryTracer:
    """Return a tracer that sends its spans by OTLP over HTTP, from a thread of its own.

    Raises:
        ConfigurationError: ``configuration_invalid``: the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise error_for("configuration_invalid", "traces", _EXTRA) from None
    resource = Resource.create({"service.name": settings.service_name, "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=settings.url, timeout=settings.timeout_s)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return OpenTelemetryTracer(provider)


def check_installed() -> None:
    """Raise ConfigurationError, ``configuration_invalid``, where the extra is not installed."""
    from importlib.util import find_spec

    for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        try:
            is_there = find_spec(name) is not None
        except ImportError:
            is_there = False
        if not is_there:
            raise error_for("configuration_invalid", "traces", _EXTRA)
