"""W3C Trace Context through each middleware, and the id of a refusal: on its log line and in its answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from frameworks import ALSO_DJANGO_ASGI
from recorded_spans import SAMPLED, UNSAMPLED, RecordedSpans
from served import ask
from tokens import issuer
from tokens import token as made_token
from verdicts import bearer

from rapidjws import Engine
from rapidjws.observe.log_formats import ATTRIBUTE


def engine() -> Engine:
    """Return an engine whose keys are there."""
    return Engine(issuer("ES256"))


def token() -> str:
    """Return a token that is good now."""
    now_s = int(time.time())
    return made_token("ES256", iat=now_s, exp=now_s + 600)


class Refusals(logging.Handler):
    """The ids of the requests that were logged as refused; no framework's own logging takes it away."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the id of a refusal."""
        fields = getattr(record, ATTRIBUTE, {})
        if fields.get("event") == "token_refused":
            self.ids.append(fields["request_id"])


@pytest.fixture(name="refusals")
def _refusals() -> Iterator[Refusals]:
    log, handler = logging.getLogger("rapidjws.decisions"), Refusals()
    before = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)
    log.setLevel(before)


@pytest.mark.parametrize("name", ALSO_DJANGO_ASGI)
def test_a_request_keeps_its_trace_and_its_id(name: str, refusals: Refusals) -> None:
    """The application gets our span as parent; a refusal's answer names its request as the log does."""
    packages, serve = ALSO_DJANGO_ASGI[name]
    for package in packages:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install --group middleware")
    recorded = RecordedSpans()
    with serve(engine=engine(), tracer=recorded.tracer) as port:
        traced = ask(port, "/who", [*bearer(token()), ("traceparent", SAMPLED)])
        assert traced.json["traced"] == [recorded.traceparent()]
        plain = ask(port, "/who", [*bearer(token()), ("traceparent", UNSAMPLED)])
        assert (plain.json["traced"], len(recorded.spans)) == ([UNSAMPLED], 1)
        assert "x-request-id" not in plain.headers
        named = ask(port, "/who", [*bearer("a.b.c"), ("X-Request-Id", "req-17")])
        made = ask(port, "/who", [*bearer("a.b.c"), ("X-Request-Id", "not sane")])
        refused = ask(port, "/who", [*bearer("a.b.c"), ("traceparent", SAMPLED)])
        recorded.traceparent()
    ids = [one.headers["x-request-id"] for one in (named, made, refused)]
    assert ids[0] == "req-17"
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in ids[1:])
    assert refusals.ids == ids


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_a_call_keeps_its_trace_and_its_id(kind: str, refusals: Refusals) -> None:
    """The same for gRPC's metadata, by ``grpc.server`` and ``grpc.aio.server``."""
    pytest.importorskip(
        "grpc_status", reason="grpcio-status is not installed: pip install --group middleware"
    )
    import grpc
    import grpc.aio

    from rapidjws.middleware.grpc import JWSInterceptor

    recorded = RecordedSpans()

    def seen(context: Any) -> bytes:
        return ",".join(
            one.value for one in context.invocation_metadata() if one.key == "traceparent"
        ).encode()

    def who(_: bytes, context: Any) -> bytes:
        return seen(context)

    async def awho(_: bytes, context: Any) -> bytes:
        return seen(context)

    async def test() -> None:
        interceptor = JWSInterceptor(engine=engine(), tracer=recorded.tracer, ready_timeout_s=0)
        handler = grpc.unary_unary_rpc_method_handler(who if kind == "sync" else awho)
        handlers = (grpc.method_handlers_generic_handler("who.Who", {"unary": handler}),)
        if kind == "sync":
            server = grpc.server(ThreadPoolExecutor(2), interceptors=[interceptor], handlers=handlers)
        else:
            server = grpc.aio.server(interceptors=[interceptor], handlers=handlers)
        port = server.add_insecure_port("127.0.0.1:0")
        begun = server.start()
        if begun is not None:
            await begun
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            unary = channel.unary_unary("/who.Who/unary")
            good, bad = f"Bearer {token()}", "Bearer a.b.c"
            traced = await unary(b"", metadata=(("authorization", good), ("traceparent", SAMPLED)))
            assert traced.decode() == recorded.traceparent()
            plain = await unary(b"", metadata=(("authorization", good), ("traceparent", UNSAMPLED)))
            assert (plain.decode(), len(recorded.spans)) == (UNSAMPLED, 1)
            for more, wanted in (((("x-request-id", "req-17"),), "req-17"), ((), None)):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await unary(b"", metadata=(("authorization", bad), *more))
                trailing = {key: value for key, value in refused.value.trailing_metadata()}  # noqa: C416
                assert trailing["x-request-id"] == (wanted or refusals.ids[-1])
        stopping: Any = server.stop(None)
        if kind == "aio":
            await stopping
        else:
            stopping.wait(60)

    asyncio.run(asyncio.wait_for(test(), 60))
