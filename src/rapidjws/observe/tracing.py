"""Traces: a small protocol for whoever makes spans, and the span ``jws.verify`` of a sampled request.

Nothing is built for a request whose caller does not record: one octet of its ``traceparent`` says so.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Final, Protocol

from rapidjws._checks import checked
from rapidjws.observe.log_fields import log_text
from rapidjws.observe.request_info import TRACEPARENT, TRACESTATE, is_sampled, trace_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rapidjws.jwt.decision import Decision
    from rapidjws.jwt.engine import Engine
    from rapidjws.observe.request_info import Headers, TraceContext
    from rapidjws.verify.protocols import Event
    from rapidjws.verify.snapshot import Token

    AttributeValue = str | int | float | bool
    Attributes = Mapping[str, AttributeValue]

VERIFY: Final = "jws.verify"
ATTRIBUTE_MAX_CHARS: Final = 128

SPANS: Final = {
    VERIFY: "one request: from the token to the decision",
    "jwks.fetch": "one fetch of a JWK Set",
    "jwks.rotation": "a change of an issuer's keys, taken over",
    "jwks.first_use": "from the first sight of a new key to the first token that it verified",
    "jws.revocation": "a change of the revocations, taken over",
    "jws.sign": "one signature",
    "jws.replay_store": "one question to the replay store",
}
"""Name of a span -> what it covers."""

ATTRIBUTES: Final = {
    "jws.alg": "`alg`: of the key that verified; of a refused token what its header states",
    "jws.issuer": "the issuer whose key verified; of a refused token a configured one that it names;"
    " of a key source whose keys it brings",
    "jws.code": "`ok`, or the error code",
    "jws.reason": "the reason that the code belongs to",
    "jws.outcome": "`permit`, `deny` or `indeterminate`",
    "jws.partner": "the partner that the request is attributed to",
    "jws.phase": "the rollout phase that was applied",
    "jws.cache_hit": "whether the token cache knew the token; only with a cache",
    "jws.key_age_s": "seconds since a rotation brought the key; not for keys that were there at the start",
    "jws.batch_size": "requests that were decided together; only in the sidecar",
    "jws.source": "address or path of a key source",
    "jws.detail": "why, a stable word",
    "jws.value": "the event's number: keys, seconds, an HTTP status",
    "jws.kid": "the key's name",
    "jws.entries": "entries that were asked about",
    "jws.result": "what came of it",
}
"""Attribute of a span -> its meaning."""


class Span(Protocol):
    """A span that was begun."""

    @property
    def trace_id(self) -> str:
        """Return the trace's id, 32 lower-case hexadecimal digits."""

    @property
    def span_id(self) -> str:
        """Return the span's own id, 16 of them."""

    def end(self, attributes: Attributes, *, failed: bool, end_ns: int | None = None) -> None:
        """End the span.

        Args:
            attributes: Names of ``ATTRIBUTES`` with their values.
            failed: Whether it failed by a fault; a refused token is none.
            end_ns: When, nanoseconds since the epoch; by default now.
        """


class Tracer(Protocol):
    """Whoever makes spans."""

    def start(self, name: str, *, parent: TraceContext | None, start_ns: int) -> Span | None:
        """Begin a span.

        Args:
            name: A key of ``SPANS``.
            parent: The caller's span, or None for a trace of its own.
            start_ns: When it began, nanoseconds since the epoch.

        Returns:
            The span; None where it is not recorded.
        """

    def close(self) -> None:
        """Send what waits, within a bound."""


class NoTracer:
    """A tracer that records nothing."""

    def start(self, name: str, *, parent: TraceContext | None, start_ns: int) -> Span | None:
        """Record nothing."""
        return None

    def close(self) -> None:
        """Do nothing."""


NO_TRACER: Final = NoTracer()


class RequestTrace:
    """The span of one sampled request, from its arrival to its decision.

    Attributes:
        trace_id: Of the trace.
        span_id: Of the span.
        tracestate: The request's ``tracestate``, or "".
    """

    __slots__ = ("_span", "is_cache_hit", "tracestate")

    def __init__(self, span: Span, tracestate: str) -> None:
        self._span = span
        self.tracestate = tracestate
        self.is_cache_hit: bool | None = None
        """Whether the token cache knew the token; None where there is no cache."""

    @property
    def trace_id(self) -> str:
        """Return the trace's id."""
        return self._span.trace_id

    @property
    def span_id(self) -> str:
        """Return the span's id."""
        return self._span.span_id

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers for who comes next: this span as parent (W3C Trace Context s.3.5)."""
        found = [("traceparent", f"00-{self.trace_id}-{self.span_id}-01")]
        return [*found, ("tracestate", self.tracestate)] if self.tracestate else found

    def look_in_cache(self, engine: Engine, token: Token | None) -> None:
        """Note whether the token cache knows a token, before it is verified."""
        cache = engine._cache
        if cache is not None and token:
            snapshot = engine._snapshot
            self.is_cache_hit = cache.slot(snapshot.octets(token), snapshot.generation) is not None

    def end(self, attributes: Attributes, *, failed: bool) -> None:
        """End the span with what came of the request."""
        more: dict[str, AttributeValue] = dict(attributes)
        if self.is_cache_hit is not None:
            more["jws.cache_hit"] = self.is_cache_hit
        self._span.end(more, failed=failed)


def begin_trace(tracer: Tracer, headers: Headers) -> RequestTrace | None:
    """Return the trace of a request whose caller records, or None; never raises.

    Args:
        tracer: Makes the span.
        headers: Gives each value of a request's header by its lower-case name.
    """
    values = headers(TRACEPARENT)
    if not is_sampled(values):
        return None
    try:
        context = trace_context(values, headers(TRACESTATE))
        if context is None or not context.sampled:
            return None
        span = tracer.start(VERIFY, parent=context, start_ns=time_ns())
    except Exception:  # a fault of the tracer is not the request's
        return None
    return None if span is None else RequestTrace(span, context.tracestate)


def decision_attributes(
    decision: Decision, *, alg: str | None, issuer: str | None
) -> dict[str, AttributeValue]:
    """Return the attributes of a decision.

    Args:
        decision: The decision.
        alg: The algorithm of the key, or what the token states.
        issuer: The issuer, or a configured one that the token names.
    """
    found = {
        "jws.alg": alg,
        "jws.issuer": issuer,
        "jws.code": decision.code,
        "jws.reason": decision.reason,
        "jws.outcome": decision.outcome,
        "jws.partner": decision.partner,
        "jws.phase": decision.phase,
    }
    return {name: log_text(value, ATTRIBUTE_MAX_CHARS) for name, value in found.items() if value is not None}


class TraceEvents:
    """Spans of what happens around the keys: a listener to the engine's events.

    Args:
        tracer: Makes them.
        issuer_of: Returns the issuers of key sources by name.
    """

    @checked
    def __init__(self, tracer: Tracer, issuer_of: Callable[[], Mapping[str, str]] = dict) -> None:
        self._tracer = tracer
        self._issuer_of = issuer_of

    def __call__(self, event: Event, /) -> None:
        """Take one event; those that have no span are passed over."""
        known = _EVENT_SPANS.get(event.name)
        if known is None:
            return
        name, is_duration, failed = known
        taken_s = event.value if is_duration else 0.0
        end_ns = time_ns()
        start_ns = end_ns - int((taken_s or 0.0) * 1e9)
        span = self._tracer.start(name, parent=None, start_ns=start_ns)
        if span is None:
            return
        attributes: dict[str, AttributeValue] = {"jws.result": event.name}
        issuer = self._issuer_of().get(event.issuer or "")
        texts = (("jws.source", (event.issuer or "").partition("?")[0]), ("jws.issuer", issuer),
                 ("jws.kid", event.kid), ("jws.detail", event.detail))  # fmt: skip
        attributes |= {key: log_text(text, ATTRIBUTE_MAX_CHARS) for key, text in texts if text}
        if event.value is not None and not is_duration:
            attributes["jws.value"] = event.value
        failed = failed or (event.name == "fetch_ended" and event.detail is not None)
        span.end(attributes, failed=failed, end_ns=end_ns)


_EVENT_SPANS: Final = {  # event -> span, whether its value is how long it took, whether it failed
    "fetch_ended": ("jwks.fetch", True, False),
    "keys_changed": ("jwks.rotation", False, False),
    "kid_rebound": ("jwks.rotation", False, False),
    "key_added": ("jwks.rotation", False, False),
    "key_removed": ("jwks.rotation", False, False),
    "rotation_lag": ("jwks.first_use", True, False),
    "revocations_enforced": ("jws.revocation", True, False),
    "replay_asked": ("jws.replay_store", True, False),
    "replay_store_failed": ("jws.replay_store", False, True),
}
