"""Traces: a strict reading of ``traceparent``, spans of sampled requests only, and what they hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tokens import AUD, ISS, key, public, token

from rapidjws import Engine, Issuer, TokenCache
from rapidjws.errors import RapidJWSError
from rapidjws.middleware import JWSMiddleware, WSGIMiddleware
from rapidjws.observe.log_fields import REDACTED
from rapidjws.observe.otel import OpenTelemetryTracer, TraceSettings
from rapidjws.observe.request_info import is_sampled, request_id, trace_context
from rapidjws.observe.traced_signer import TracedSigner
from rapidjws.observe.tracing import ATTRIBUTES, NO_TRACER, SPANS, TraceEvents
from rapidjws.signing import LocalSigner
from rapidjws.stores import MemoryReplayStore
from rapidjws.verify.protocols import Event

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{CALLER}-01".encode()
UNSAMPLED = f"00-{TRACE}-{CALLER}-00".encode()


class Recorded:
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


def engine(**more: Any) -> Engine:
    """Return an engine of one issuer."""
    return Engine(Issuer(ISS, keys=[public("ES256")], algorithms=["ES256"], audience=AUD), **more)


def good() -> str:
    """Return a token that is good now."""
    now_s = int(time.time())
    return token("ES256", iat=now_s, exp=now_s + 600)


def bearer(text: str) -> list[tuple[bytes, bytes]]:
    """Return the header of a token."""
    return [(b"authorization", b"Bearer " + text.encode())]


def through_asgi(middleware_of: Callable[[Any], Any], headers: list[tuple[bytes, bytes]]) -> tuple[int, Any]:
    """Return the status of a request, and the headers that the application saw."""
    seen: dict[str, Any] = {"headers": None, "status": 0}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen["headers"] = scope["headers"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        seen["status"] = message.get("status", seen["status"])

    scope = {"type": "http", "path": "/a", "raw_path": b"/a", "headers": headers, "query_string": b""}
    asyncio.run(middleware_of(app)(scope, receive, send))
    return seen["status"], seen["headers"]


# --- traceparent -----------------------------------------------------------------------------------------


def test_a_well_formed_traceparent_is_read() -> None:
    """Version 00 has exactly four parts; a later one may have more, of which the first four count."""
    context = trace_context([SAMPLED], [b"a=1", b"b=2"])
    assert context is not None
    assert (context.trace_id, context.parent_id, context.sampled) == (TRACE, CALLER, True)
    assert context.tracestate == "a=1,b=2"
    later = trace_context([b"cc-" + SAMPLED[3:] + b"-what-comes-next"])
    assert later is not None
    assert later.trace_id == TRACE
    assert not trace_context([UNSAMPLED]).sampled  # type: ignore[union-attr]
    assert trace_context([SAMPLED[:-2] + b"ff"]).sampled  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "value",
    [
        b"", b"00", SAMPLED[:-1], SAMPLED + b"-", SAMPLED + b"-01", SAMPLED + b" ", b" " + SAMPLED,
        SAMPLED.upper(), b"\xff" * 55,
        b"ff" + SAMPLED[2:], b"0g" + SAMPLED[2:], b"cc-" + SAMPLED[3:] + b"x", SAMPLED.replace(b"-", b"_"),
        f"00-{'0' * 32}-{CALLER}-01".encode(), f"00-{TRACE}-{'0' * 16}-01".encode(), SAMPLED[:-2] + b"0g",
        SAMPLED + b"\n", b"cc-" + SAMPLED[3:] + b"-" + b"x" * 600, "00-\u0661".encode() + SAMPLED[5:],
    ],
)  # fmt: skip
def test_a_hostile_traceparent_is_ignored(value: bytes) -> None:
    """Whatever breaks W3C Trace Context section 3.2 is no trace."""
    assert trace_context([value]) is None


def test_two_traceparents_are_none() -> None:
    """A request that names two callers names none; one octet says whether any is looked at."""
    assert trace_context([SAMPLED, SAMPLED]) is None
    assert trace_context([]) is None
    assert is_sampled([SAMPLED])
    assert not is_sampled([UNSAMPLED])
    assert not is_sampled([SAMPLED, SAMPLED])
    assert not is_sampled([b"1"])


def test_a_tracestate_that_is_not_sane_is_left_out() -> None:
    """Control characters and long values are not handed on."""
    for state in (b"a\nb", b"\xff", b"a" * 513, b""):
        assert trace_context([SAMPLED], [state]).tracestate == ""  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [b"a b", b"", b"x" * 129, b"a\nb", b"-a", "é".encode(), b'a"b', b"{}"])
def test_a_request_id_that_is_not_sane_is_made(value: bytes) -> None:
    """Only one plain word is taken over; two are none."""
    made = request_id([value])
    assert len(made) == 32
    assert int(made, 16) >= 0
    assert request_id([b"req-1", b"req-2"]) != "req-1"
    assert request_id([b"req-1:2/3"]) == "req-1:2/3"


# --- spans -----------------------------------------------------------------------------------------------


def test_a_sampled_request_has_a_span_below_its_caller() -> None:
    """It holds alg, issuer, code and phase; the application gets it as its parent."""
    recorded = Recorded()
    verifier, text = engine(cache=TokenCache(100)), good()
    for hit in (False, True):
        status, headers = through_asgi(
            lambda app: JWSMiddleware(app, engine=verifier, tracer=recorded.tracer),
            [*bearer(text), (b"traceparent", SAMPLED), (b"tracestate", b"v=1")],
        )
        assert status == 200
        span = recorded.spans[-1]
        assert span.name == "jws.verify"
        assert span.parent is not None
        assert format(span.parent.span_id, "016x") == CALLER
        assert format(span.context.trace_id, "032x") == TRACE
        found = dict(span.attributes or {})
        assert (found["jws.alg"], found["jws.issuer"], found["jws.code"]) == ("ES256", ISS, "ok")
        assert found["jws.cache_hit"] is hit
        sent = [value for name, value in headers if name == b"traceparent"]
        assert sent == [f"00-{TRACE}-{span.context.span_id:016x}-01".encode()]
        assert (b"tracestate", b"v=1") in headers
        assert set(found) <= set(ATTRIBUTES)


def test_a_refused_request_has_its_code_and_no_piece_of_the_token() -> None:
    """A refusal is no fault of the span; what it says of the token is what the log may say."""
    recorded = Recorded()
    text = good()[:-6] + "AAAAAA"
    status, _ = through_asgi(
        lambda app: JWSMiddleware(app, engine=engine(), tracer=recorded.tracer),
        [*bearer(text), (b"traceparent", SAMPLED)],
    )
    assert status == 401
    (span,) = recorded.spans
    found = dict(span.attributes or {})
    assert (found["jws.code"], found["jws.reason"]) == ("signature_invalid", "signature")
    assert (found["jws.alg"], found["jws.issuer"]) == ("ES256", ISS)
    assert span.status.status_code is otel_trace.StatusCode.UNSET
    _, payload, signature = text.split(".")
    assert not any(piece in str(found) for piece in (payload, signature, REDACTED))


@pytest.mark.parametrize("value", [None, UNSAMPLED, b"00-hostile", b"ff" + SAMPLED[2:]])
def test_nothing_is_built_for_other_requests(value: bytes | None) -> None:
    """Without a caller that records there is no span, and the header goes on as it came."""
    calls: list[str] = []

    class Counting:
        def start(self, name: str, **_: Any) -> None:
            calls.append(name)

        def close(self) -> None:
            """Do nothing."""

    more = [] if value is None else [(b"traceparent", value)]
    status, headers = through_asgi(
        lambda app: JWSMiddleware(app, engine=engine(), tracer=Counting()), [*bearer(good()), *more]
    )
    assert status == 200
    assert calls == []
    assert [pair for pair in headers if pair[0] == b"traceparent"] == more


def test_a_tracer_that_fails_changes_no_verdict() -> None:
    """Neither at the start nor at the end of a span: a good token passes, a bad one does not."""

    class Broken:
        def __init__(self, *, starts: bool) -> None:
            self._starts = starts
            self.trace_id, self.span_id = TRACE, CALLER

        def start(self, name: str, **_: Any) -> Any:
            if not self._starts:
                raise OSError(name)
            return self

        def end(self, *_: Any, **__: Any) -> None:
            raise OSError("no end")

        def close(self) -> None:
            """Do nothing."""

    for starts in (False, True):
        for text, wanted in ((good(), 200), ("a.b.c", 401)):
            status, _ = through_asgi(
                lambda app, starts=starts: JWSMiddleware(app, engine=engine(), tracer=Broken(starts=starts)),
                [*bearer(text), (b"traceparent", SAMPLED)],
            )
            assert status == wanted


def test_wsgi_hands_the_span_on() -> None:
    """The application's environ names our span as parent."""
    recorded, seen = Recorded(), []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ["HTTP_TRACEPARENT"])
        start_response("200 OK", [])
        return [b""]

    middleware = WSGIMiddleware(app, engine=engine(), tracer=recorded.tracer)
    environ = {"PATH_INFO": "/a", "HTTP_AUTHORIZATION": "Bearer " + good()}
    for sent in (SAMPLED, UNSAMPLED):
        middleware({**environ, "HTTP_TRACEPARENT": sent.decode()}, lambda *_: lambda _: None)
    (span,) = recorded.spans
    assert seen == [f"00-{TRACE}-{span.context.span_id:016x}-01", UNSAMPLED.decode()]


def test_a_span_lies_below_the_servers_own_where_there_is_one() -> None:
    """Behind an instrumentation of the server, its span of the same trace is the parent."""
    recorded = Recorded()
    provider = recorded.tracer._provider
    remote = otel_trace.NonRecordingSpan(
        otel_trace.SpanContext(
            int(TRACE, 16), int(CALLER, 16), is_remote=True, trace_flags=otel_trace.TraceFlags(1)
        )
    )
    context = otel_trace.set_span_in_context(remote)
    with provider.get_tracer("server").start_as_current_span("GET /a", context=context) as server:
        through_asgi_headers = [*bearer(good()), (b"traceparent", SAMPLED)]
        through_asgi(
            lambda app: JWSMiddleware(app, engine=engine(), tracer=recorded.tracer), through_asgi_headers
        )
    verify = next(span for span in recorded.spans if span.name == "jws.verify")
    assert verify.parent is not None
    assert verify.parent.span_id == server.get_span_context().span_id


def test_events_become_spans_as_long_as_they_took() -> None:
    """Fetches, rotations, first uses, revocations and store questions; others have none."""
    recorded = Recorded()
    listen = TraceEvents(recorded.tracer)
    listen(Event(name="fetch_ended", issuer="https://a.example/jwks?secret=canary", value=0.25))
    listen(Event(name="fetch_ended", issuer="https://a.example/jwks", value=1.0, detail="connect"))
    listen(Event(name="keys_changed", issuer="https://a.example", value=2))
    listen(Event(name="rotation_lag", issuer="https://a.example", kid="k", value=3.0))
    listen(Event(name="revocations_enforced", value=0.001))
    listen(Event(name="replay_asked", value=0.002))
    listen(Event(name="clock_stepped", value=2.0))
    names = [span.name for span in recorded.spans]
    assert names == [
        "jwks.fetch", "jwks.fetch", "jwks.rotation", "jwks.first_use", "jws.revocation", "jws.replay_store",
    ]  # fmt: skip
    assert set(names) <= set(SPANS)
    first, failed = recorded.spans[:2]
    assert first.start_time is not None
    assert first.end_time is not None
    assert abs(first.end_time - first.start_time - 250_000_000) < 1_000
    assert failed.status.status_code is otel_trace.StatusCode.ERROR
    assert "canary" not in str([dict(span.attributes or {}) for span in recorded.spans])


def test_a_replay_store_in_memory_has_spans_where_they_are_asked_for() -> None:
    """Each question has one with the time it took; without tracing nothing is told."""
    for timed, spans in ((True, 1), (False, 0)):
        recorded = Recorded()
        store = MemoryReplayStore(events=TraceEvents(recorded.tracer), timed=timed)
        assert store.record([(b"k" * 32, 60)]) == [True]
        assert [span.name for span in recorded.spans] == ["jws.replay_store"] * spans


@pytest.mark.parametrize("traced", [True, False])
def test_a_configuration_with_traces_times_its_replay_store(traced: bool) -> None:
    """The table ``traces`` is what asks for the spans of the store."""
    from rapidjws.config.stores import replay_store_from

    recorded = Recorded()
    store = replay_store_from({}, TraceEvents(recorded.tracer), timed=traced)
    store.record([(b"k" * 32, 60)])
    assert len(recorded.spans) == traced


def test_a_signature_has_a_span() -> None:
    """With alg and kid; a signer that fails ends it as failed, and its error goes on."""
    recorded = Recorded()
    signer = LocalSigner(key("ES256"))
    traced = TracedSigner(signer, recorded.tracer)
    assert len(traced.sign(b"a.b")) == 64
    assert TracedSigner(signer, NO_TRACER).sign(b"a.b")

    class Broken:
        alg, kid = "ES256", None

        def sign(self, signing_input: bytes) -> bytes:
            """Fail."""
            raise OSError("no token")

    with pytest.raises(OSError, match="no token"):
        TracedSigner(Broken(), recorded.tracer).sign(b"a.b")
    good, bad = recorded.spans
    assert dict(good.attributes or {})["jws.alg"] == "ES256"
    assert bad.status.status_code is otel_trace.StatusCode.ERROR
    assert "no token" not in str(dict(bad.attributes or {}))


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("https://collector.example/", "https://collector.example/v1/traces"),
        ("http://collector.example/own/path", "http://collector.example/own/path"),
    ],
)
def test_an_endpoint_without_a_path_gets_one(endpoint: str, url: str) -> None:
    """OTLP over HTTP has a path of its own (OTLP specification, section OTLP/HTTP Request)."""
    assert TraceSettings(endpoint=endpoint).url == url
    with pytest.raises(RapidJWSError):
        TraceSettings(endpoint="http://user:secret@collector.example")
