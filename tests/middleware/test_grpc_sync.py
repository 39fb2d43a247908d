"""The gRPC interceptor on a synchronous server: the table of verdicts, every kind of method, metadata."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from verdicts import SPOOFED, VERDICTS, bearer, engine, headers_of, token

pytest.importorskip("grpc", reason="grpcio is not installed: pip install --group middleware")

import grpc

from rapidjws.middleware.grpc import DECISION, JWSInterceptor
from rapidjws.middleware.response import RETRY_AFTER_S

WAIT_S = 60
KINDS = ("unary", "out", "in", "both")


def _is_shown(key: str) -> bool:
    return "jws" in key or "tenant" in key


def reported(context: Any) -> bytes:
    """Return what a handler knows of its call."""
    decision = DECISION.get()
    metadata = sorted(f"{one.key}={one.value}" for one in context.invocation_metadata() if _is_shown(one.key))
    verified = None if decision is None else decision.verified
    sub = None if verified is None else verified.claims["sub"]
    return f"{sub}|{isinstance(context, grpc.ServicerContext)}|{','.join(metadata)}".encode()


def unary(request: bytes, context: Any) -> bytes:
    """Answer once."""
    context.set_trailing_metadata((("of-the-handler", "1"),))
    return reported(context)


def out(request: bytes, context: Any) -> Iterator[bytes]:
    """Answer twice."""
    yield reported(context)
    yield reported(context)


def in_(requests: Iterator[bytes], context: Any) -> bytes:
    """Answer when all requests came."""
    assert list(requests) == [b"1", b"2"]
    return reported(context)


def both(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    """Answer each request."""
    for _ in requests:
        yield reported(context)


class Later(grpc.ServerInterceptor):  # type: ignore[misc]
    """An interceptor after ours, which notes what it can see."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.decisions: list[Any] = []

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Note the metadata and the decision, and hand the call on."""
        self.seen = [(key, value) for key, value in details.invocation_metadata if "jws" in key]
        self.decisions.append(DECISION.get())
        return continuation(details)


@contextlib.contextmanager
def served(**settings: Any) -> Iterator[tuple[grpc.Channel, Later]]:
    """Serve by a synchronous server, and give a channel to it."""
    later = Later()
    server = grpc.server(
        ThreadPoolExecutor(4), interceptors=[JWSInterceptor(**{"ready_timeout_s": 0, **settings}), later]
    )
    methods = {
        "unary": grpc.unary_unary_rpc_method_handler(unary),
        "out": grpc.unary_stream_rpc_method_handler(out),
        "in": grpc.stream_unary_rpc_method_handler(in_),
        "both": grpc.stream_stream_rpc_method_handler(both),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("who.Who", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel, later
    finally:
        server.stop(None).wait(WAIT_S)


def call(channel: grpc.Channel, kind: str, headers: Any) -> list[bytes]:
    """Call a method within the time limit; return its messages."""
    metadata = [(name.lower(), value) for name, value in headers]
    name = f"/who.Who/{kind}"
    if kind in ("unary", "absent"):
        return [channel.unary_unary(name)(b"", metadata=metadata, timeout=WAIT_S)]
    if kind == "out":
        return list(channel.unary_stream(name)(b"", metadata=metadata, timeout=WAIT_S))
    if kind == "in":
        return [channel.stream_unary(name)(iter([b"1", b"2"]), metadata=metadata, timeout=WAIT_S)]
    return list(channel.stream_stream(name)(iter([b"1", b"2"]), metadata=metadata, timeout=WAIT_S))


@pytest.mark.parametrize("kind", KINDS)
def test_N7_one_verdict_for_every_kind_of_method(kind: str) -> None:
    """Each call of the table gets its status within the time limit; nothing spoofed arrives."""
    with served(engine=engine()) as (channel, later):
        for verdict in VERDICTS:
            headers = headers_of(verdict.name) + SPOOFED
            if verdict.grpc == "OK":
                messages = call(channel, kind, headers)
                assert len(messages) == (2 if kind in ("out", "both") else 1)
                for message in messages:
                    sub, is_context, ours = message.decode().split("|")
                    assert (sub, is_context) == ("ann", "True")
                    assert "x-jws-subject=ann" in ours
                    assert "admin" not in ours
                    assert "evil" not in ours
                assert dict(later.seen)["x-jws-subject"] == "ann"
                continue
            with pytest.raises(grpc.RpcError) as raised:
                call(channel, kind, headers)
            refused = raised.value
            assert (refused.code().name, refused.details().partition(":")[0]) == (verdict.grpc, verdict.code)
            trailing = dict(refused.trailing_metadata())
            assert verdict.code.encode() in trailing["grpc-status-details-bin"]
            again = str(RETRY_AFTER_S * 1000) if verdict.status == 503 else None
            assert trailing.get("grpc-retry-pushback-ms") == again


def test_N7_decision_of_a_call_is_not_the_next_ones() -> None:
    """The one thread that takes calls keeps no decision: an exempt call after a good one has none."""
    exempt = frozenset({"/who.Who/out"})
    with served(engine=engine(), exempt=exempt) as (channel, later):
        assert call(channel, "unary", bearer(token(sub="ann")))[0].startswith(b"ann|")
        assert [one.partition(b"|")[0] for one in call(channel, "out", SPOOFED)] == [b"None", b"None"]
        assert later.seen == []
        assert [one is None for one in later.decisions] == [False, True]


def test_a_claims_metadata_is_never_the_clients() -> None:
    """A claim arrives in its metadata once; what a client sends under it never does."""
    faked = [("x-tenant", "evil"), ("x_tenant", "evil"), ("x.tenant", "evil"), ("x-tenant", "evil")]
    exempt = frozenset({"/who.Who/out"})
    given = {"tid": "X-Tenant"}
    with served(engine=engine("detection"), exempt=exempt, claim_headers=given) as (channel, _):
        for sent, value in ((bearer(token(tid="acme")), "acme"), ([], "")):
            (message,) = call(channel, "unary", sent + faked)
            assert message.decode().endswith(f",x-tenant={value}")
            assert b"evil" not in message
        assert call(channel, "out", faked)[0] == b"None|True|"


def test_N7_warnings_and_absent_methods() -> None:
    """In warning a call is served and its trailing metadata says so; a method that is absent is so."""
    with served(engine=engine("warning")) as (channel, _):
        message, one = channel.unary_unary("/who.Who/unary").with_call(b"", timeout=WAIT_S)
        assert message.startswith(b"None|")
        trailing = dict(one.trailing_metadata())
        assert 'rapidjws "missing_token' in trailing["warning"]
        assert trailing["of-the-handler"] == "1"
        with pytest.raises(grpc.RpcError) as raised:
            call(channel, "absent", [])
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_N7_thread_that_takes_calls_keeps_no_decision() -> None:
    """Whoever asks before the next call, on the same thread, sees none of this call's decision."""
    seen: list[Any] = []
    kind = collections.namedtuple("kind", ("method", "invocation_metadata"))  # as grpc's own details are
    details = kind("/who.Who/unary", tuple((n.lower(), v) for n, v in bearer(token())))
    JWSInterceptor(engine=engine(), ready_timeout_s=0).intercept_service(
        lambda _: seen.append(DECISION.get()), details
    )
    assert [one.code for one in seen] == ["ok"]
    assert DECISION.get() is None
