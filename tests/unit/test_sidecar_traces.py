"""W3C Trace Context and request ids through the sidecar, over HTTP and as Envoy's ext_authz over gRPC."""

from __future__ import annotations

import asyncio
import http.client
import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from grpc_calls import SERVERS, checked
from recorded_spans import SAMPLED, UNSAMPLED, RecordedSpans
from rollouts import engine, good, rollout

from rapidjws.observe.log_formats import ATTRIBUTE

pytest.importorskip("httptools", reason="the extra `server` is not installed")


def token() -> str:
    """Return a token that is good now."""
    now_s = int(time.time())
    return good(iat=now_s, exp=now_s + 600)


@pytest.fixture(name="recorded")
def _recorded() -> RecordedSpans:
    return RecordedSpans()


@pytest.fixture(name="public")
def _public(recorded: RecordedSpans) -> Iterator[Any]:
    from rapidjws.sidecar.app import SidecarApp
    from rapidjws.sidecar.change_bus import ChangeBus
    from rapidjws.sidecar.protocol import PublicListener
    from rapidjws.sidecar.settings import ServerSettings

    policy = rollout()
    change_bus = ChangeBus(1)
    app = SidecarApp(engine=engine(policy), rollout=policy, tracer=recorded.tracer)
    yield PublicListener(app, ServerSettings(), change_bus, index=0, seen=change_bus.counters())
    change_bus.close()


def logged_ids(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the ids of the requests that were logged as refused."""
    fields = [getattr(record, ATTRIBUTE, {}) for record in caplog.records]
    return [one["request_id"] for one in fields if one.get("event") == "token_refused"]


def asked(public: Any, *requests: dict[str, str], blocking: bool = False) -> list[http.client.HTTPResponse]:
    """Return the answers to requests that arrive together on one connection."""
    from rapidjws.sidecar.protocol import SidecarProtocol

    async def run() -> list[http.client.HTTPResponse]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(partial(SidecarProtocol, public, loop), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for headers in requests:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"GET /verify HTTP/1.1\r\nhost: a\r\n{lines}\r\n".encode())
        answers = []
        for _ in requests:
            answers.append(await _answer(reader))
        writer.close()
        server.close()
        return answers

    return asyncio.run(asyncio.wait_for(run(), 60))


async def _answer(reader: asyncio.StreamReader) -> http.client.HTTPResponse:
    head = await reader.readuntil(b"\r\n\r\n")

    class Socket:
        def makefile(self, _: str) -> Any:
            import io

            return io.BytesIO(head)

    answer = http.client.HTTPResponse(Socket())  # type: ignore[arg-type]
    answer.begin()
    await reader.readexactly(int(answer.headers["content-length"]))
    return answer


def bearer(text: str, **more: str) -> dict[str, str]:
    """Return the headers of a request."""
    return {
        "authorization": f"Bearer {text}",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


def test_the_gateway_gets_span_and_id(
    public: Any, recorded: RecordedSpans, caplog: pytest.LogCaptureFixture
) -> None:
    """Of requests that arrive together each answer has its own span and its own id."""
    caplog.set_level(logging.INFO, "rapidjws")
    traced, plain, named, made, both = asked(
        public,
        bearer(token(), traceparent=SAMPLED),
        bearer(token(), traceparent=UNSAMPLED),
        bearer("a.b.c", x_request_id="req-17"),
        bearer("a.b.d"),
        bearer("a.b.e", traceparent=SAMPLED, x_request_id="req-18"),
    )
    assert [one.status for one in (traced, plain, named, made, both)] == [200, 200, 401, 401, 401]
    spans = {span.context.span_id: (span.attributes or {})["jws.code"] for span in recorded.spans}
    for answer, code in ((traced, "ok"), (both, "malformed_token")):
        assert spans.pop(int(answer.headers["traceparent"].split("-")[2], 16))[:6] == code[:6]
    assert not spans
    assert (
        plain.headers["traceparent"]
        is plain.headers["x-request-id"]
        is traced.headers["x-request-id"]
        is None
    )
    ids = [one.headers["x-request-id"] for one in (named, made, both)]
    assert (ids[0], ids[2]) == ("req-17", "req-18")
    assert len(ids[1]) == 32
    assert logged_ids(caplog) == ids


def test_a_request_by_itself_has_them_too(
    public: Any, recorded: RecordedSpans, caplog: pytest.LogCaptureFixture
) -> None:
    """What is decided beside the loop, as a store is asked, has span and id as well."""
    from rapidjws.sidecar.protocol import PublicListener

    caplog.set_level(logging.INFO, "rapidjws")
    before = PublicListener.blocking
    PublicListener.blocking = True  # type: ignore[assignment,method-assign,misc]
    try:
        (traced,) = asked(public, bearer(token(), traceparent=SAMPLED))
        assert traced.headers["traceparent"] == recorded.traceparent()
        (made,) = asked(public, bearer("a.b.c"))
    finally:
        PublicListener.blocking = before  # type: ignore[method-assign]
    assert logged_ids(caplog) == [made.headers["x-request-id"]]


@pytest.mark.parametrize("server", SERVERS)
def test_envoy_gets_span_and_id(
    server: str, public: Any, recorded: RecordedSpans, caplog: pytest.LogCaptureFixture
) -> None:
    """A permit overwrites ``traceparent`` for the service; a refusal tells the client its id."""
    external_auth = pytest.importorskip(
        "envoy.service.auth.v3.external_auth_pb2", reason="xds-protos is absent"
    )
    caplog.set_level(logging.INFO, "rapidjws")

    def check(**headers: str) -> Any:
        request = external_auth.CheckRequest()
        request.attributes.request.http.path = "/a"
        for name, value in headers.items():
            request.attributes.request.http.headers[name.replace("_", "-")] = value
        octets = checked(server, public, request.SerializeToString())
        return external_auth.CheckResponse.FromString(octets)

    def given(headers: Any) -> dict[str, str]:
        return {one.header.key: one.header.value for one in headers}

    permitted = check(**bearer(token(), traceparent=SAMPLED))
    assert given(permitted.ok_response.headers)["traceparent"] == recorded.traceparent()
    assert "traceparent" not in given(check(**bearer(token(), traceparent=UNSAMPLED)).ok_response.headers)
    named = check(**bearer("a.b.c"), **{"x-request-id": "req-17"})
    made = check(**bearer("a.b.c", traceparent=SAMPLED))
    recorded.traceparent()
    ids = [given(one.denied_response.headers)["x-request-id"] for one in (named, made)]
    assert ids[0] == "req-17"
    assert logged_ids(caplog) == ids
