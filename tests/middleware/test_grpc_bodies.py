"""Signed messages of gRPC calls, by both kinds of servers: what is verified, and what handlers get of it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import rapidjws
from rapidjws.middleware import (
    BodyDigest,
    BodyReplay,
    FormField,
    JSONMember,
    RequestLines,
    RequestNonces,
    SignedBody,
)
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.signing.compact import assemble
from rapidjws.signing.header import header_octets
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import make_key

pytest.importorskip("grpc", reason="grpcio is not installed: pip install --group middleware")

import grpc
import grpc.aio

from rapidjws.middleware.grpc import DECISION, JWSInterceptor

WAIT_S = 60
KEY = make_key("ES256", kid="s")
SIGNER = LocalSigner(KEY, "ES256")
TAN = "http://openbanking.org.uk/tan"
VERIFIER = rapidjws.Verifier(KEY.public(), algorithms=["ES256"], crit=["b64", TAN])
HEADER = "x-jws-signature"


def detached(payload: bytes, **header: Any) -> str:
    """Return a detached JWS with these members of its header."""
    octets = header_octets({"alg": "ES256", "kid": "s", **header})
    head, _, signature = assemble(octets, payload, SIGNER).split(".")
    return f"{head}..{signature}"


def parsed(octets: bytes) -> dict[str, Any]:
    """Read a message as a server does; whoever calls it has verified."""
    PARSED.append(octets)
    found: dict[str, Any] = json.loads(octets)
    return found


PARSED: list[bytes] = []


def reported(message: Any, context: Any) -> bytes:
    """Return what a handler knows of its call."""
    decision = DECISION.get()
    ours = [one.key for one in context.invocation_metadata() if one.key == HEADER]
    return json.dumps([message, None if decision is None else decision.code, ours]).encode()


def _sync_methods() -> dict[str, Any]:
    def unary(message: Any, context: Any) -> bytes:
        return reported(message, context)

    def out(message: Any, context: Any) -> Iterator[bytes]:
        yield reported(message, context)
        yield reported(message, context)

    def in_(messages: Any, context: Any) -> bytes:
        return reported(len(list(messages)), context)

    return {"unary": unary, "out": out, "in": in_}


def _async_methods() -> dict[str, Any]:
    async def unary(message: Any, context: Any) -> bytes:
        return reported(message, context)

    async def out(message: Any, context: Any) -> AsyncIterator[bytes]:
        yield reported(message, context)
        yield reported(message, context)

    async def in_(messages: Any, context: Any) -> bytes:
        return reported(len([one async for one in messages]), context)

    return {"unary": unary, "out": out, "in": in_}


def _handlers(methods: dict[str, Any]) -> Any:
    made = {
        "unary": grpc.unary_unary_rpc_method_handler(methods["unary"], request_deserializer=parsed),
        "out": grpc.unary_stream_rpc_method_handler(methods["out"], request_deserializer=parsed),
        "in": grpc.stream_unary_rpc_method_handler(methods["in"], request_deserializer=parsed),
    }
    return (grpc.method_handlers_generic_handler("who.Who", made),)


@contextlib.contextmanager
def by_threads(interceptor: JWSInterceptor) -> Iterator[grpc.Channel]:
    """Serve by a synchronous server."""
    server = grpc.server(ThreadPoolExecutor(4), interceptors=[interceptor])
    server.add_generic_rpc_handlers(_handlers(_sync_methods()))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        server.stop(None).wait(WAIT_S)


@contextlib.contextmanager
def by_loop(
    interceptor: JWSInterceptor, methods: Callable[[], Any] = _async_methods
) -> Iterator[grpc.Channel]:
    """Serve by a server of asyncio."""
    ports, loop, ended = list[int](), asyncio.new_event_loop(), asyncio.Event()
    begun = threading.Event()

    async def serve() -> None:
        server = grpc.aio.server(interceptors=[interceptor], migration_thread_pool=ThreadPoolExecutor(2))
        server.add_generic_rpc_handlers(_handlers(methods()))
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        begun.set()
        await ended.wait()
        await server.stop(None)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert begun.wait(WAIT_S)
        with grpc.insecure_channel(f"127.0.0.1:{ports[0]}") as channel:
            yield channel
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(WAIT_S)
        loop.close()


def by_threads_of_a_loop(interceptor: JWSInterceptor) -> Any:
    """Serve by a server of asyncio whose handlers run on threads."""
    return by_loop(interceptor, _sync_methods)


SERVERS = pytest.mark.parametrize("served", [by_threads, by_loop, by_threads_of_a_loop])


def interceptor(**settings: Any) -> JWSInterceptor:
    """Return an interceptor that verifies messages."""
    return JWSInterceptor(body=SignedBody(**{"verifier": VERIFIER, **settings}), ready_timeout_s=0)


def call(channel: grpc.Channel, message: bytes, *pairs: tuple[str, str], kind: str = "unary") -> Any:
    """Return what the handler reported, or the code of the refusal and its metadata."""
    name = f"/who.Who/{kind}"
    try:
        if kind == "out":
            return [
                json.loads(one) for one in channel.unary_stream(name)(message, metadata=pairs, timeout=WAIT_S)
            ]
        if kind == "in":
            return json.loads(channel.stream_unary(name)(iter([message]), metadata=pairs, timeout=WAIT_S))
        return json.loads(channel.unary_unary(name)(message, metadata=pairs, timeout=WAIT_S))
    except grpc.RpcError as refused:
        return refused.details().partition(":")[0]


@SERVERS
def test_a_message_is_verified_before_anybody_parses_it(served: Any) -> None:
    """The octets of the message are what was signed; no other one reaches a handler."""
    message = b'{"amount": 7}'
    with served(interceptor()) as channel:
        for signature in (detached(message), sign_compact(message, SIGNER, detached=True, b64=False)):
            assert call(channel, message, (HEADER, signature)) == [{"amount": 7}, "ok", []]
            assert call(channel, message, (HEADER, signature), kind="out") == [[{"amount": 7}, "ok", []]] * 2
        PARSED.clear()
        good = detached(message)
        for octets, pairs, code in (
            (b'{"amount": 8}', [(HEADER, good)], "signature_invalid"),
            (b'{"amount": 7} ', [(HEADER, good)], "signature_invalid"),
            (b"", [(HEADER, good)], "signature_invalid"),
            (message, [], "missing_token"),
            (message, [(HEADER, good), (HEADER, good)], "malformed_request"),
            (message, [(HEADER, sign_compact(message, SIGNER))], "malformed_token"),
        ):
            for kind in ("unary", "out"):
                assert call(channel, octets, *pairs, kind=kind) == code
        assert PARSED == []


@SERVERS
def test_a_stream_of_messages_and_a_long_message_are_refused(served: Any) -> None:
    """One signature covers one message: a method that takes several is refused, as is one past the limit."""
    message = b'{"a": 1}'
    with served(interceptor(max_bytes=20)) as channel:
        assert call(channel, message, (HEADER, detached(message)), kind="in") == "malformed_request"
        assert call(channel, message, kind="in") == "malformed_request"
        long = json.dumps({"a": "x" * 20}).encode()
        assert call(channel, long, (HEADER, detached(long))) == "too_large"
        assert call(channel, message, (HEADER, detached(message))) == [{"a": 1}, "ok", []]


@SERVERS
def test_digests_lines_critical_values_and_replays(served: Any) -> None:
    """What other middlewares do of signed bodies holds for messages too."""
    message = b'{"a": 1}'
    with served(
        interceptor(
            signature_header=("x-a", "x-b"), digest=BodyDigest(claim="/h", algorithm="sha256", encoding="hex")
        )
    ) as channel:
        claims = json.dumps({"h": hashlib.sha256(message).hexdigest()}).encode()
        signed = sign_compact(claims, SIGNER)
        for name in ("x-a", "x-b"):
            assert call(channel, message, (name, signed)) == [{"a": 1}, "ok", []]
        assert call(channel, b'{"a": 2}', ("x-a", signed)) == "signature_invalid"
        assert call(channel, message, ("x-a", signed), ("x-b", signed)) == "malformed_request"
    with served(interceptor(signature_header="tl-signature", payload_of=RequestLines())) as channel:
        lines = b"POST /who.Who/unary\nx-time: 5\n" + message
        signature = detached(lines, tl_headers="x-time", tl_version="2")
        assert call(channel, message, ("tl-signature", signature), ("x-time", "5")) == [{"a": 1}, "ok", []]
        assert call(channel, message, ("tl-signature", signature), ("x-time", "6")) == "signature_invalid"
        assert (
            call(channel, message, ("tl-signature", signature), ("x-time", "5"), kind="out")
            == "signature_invalid"
        )
    with served(interceptor(crit_checks={TAN: lambda tan: tan == "t"})) as channel:
        for tan, expected in (("t", [{"a": 1}, "ok", []]), ("u", "crit_unsupported")):
            signature = detached(message, **{"crit": [TAN], TAN: tan})
            assert call(channel, message, (HEADER, signature)) == expected
    replay = BodyReplay(store=MemoryReplayStore(), identity=None)
    with served(interceptor(replay=replay)) as channel:
        assert call(channel, message, (HEADER, detached(message))) == [{"a": 1}, "ok", []]
        assert call(channel, message, (HEADER, detached(message))) == "replayed"


@SERVERS
def test_nonces_come_in_the_trailing_metadata(served: Any) -> None:
    """A refusal gives out the nonce of the next call, and so does a good answer."""
    nonces = RequestNonces(secrets=[b"s" * 32], store=MemoryReplayStore())
    with served(interceptor(nonces=nonces)) as channel:
        unary = channel.unary_unary("/who.Who/unary")
        with pytest.raises(grpc.RpcError) as refused:
            unary(b"{}", metadata=((HEADER, detached(b"{}")),), timeout=WAIT_S)
        nonce = dict(refused.value.trailing_metadata())["replay-nonce"]
        assert refused.value.details().partition(":")[0] == "nonce_missing"
        for _ in range(2):
            message = json.dumps({"nonce": nonce}).encode()
            signed = ((HEADER, detached(message)),)
            _, answered = unary.with_call(message, metadata=signed, timeout=WAIT_S)
            assert call(channel, message, *signed) == "nonce_used"
            nonce = dict(answered.trailing_metadata())["replay-nonce"]


@SERVERS
def test_exempt_methods_and_messages_that_cannot_be_parsed(served: Any) -> None:
    """An exempt method needs no signature and has no decision; what is signed may still be no message."""
    guard = JWSInterceptor(body=SignedBody(verifier=VERIFIER), exempt=["/who.Who/out"], ready_timeout_s=0)
    with served(guard) as channel:
        assert call(channel, b"{}", kind="out") == [[{}, None, []]] * 2
        assert call(channel, b"{}") == "missing_token"
        assert call(channel, b"no json", (HEADER, detached(b"no json"))) == "Exception deserializing request!"
        assert call(channel, b"{}", kind="absent") == "Method not found!"


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"part": JSONMember(pointer="/s")}, "authenticator.body.part"),
        ({"part": FormField(name="s")}, "authenticator.body.part"),
        ({"signature_header": None}, "authenticator.body.signature_header"),
    ],
)
def test_what_no_message_can_carry_is_refused_at_construction(settings: Any, place: str) -> None:
    """A message of gRPC has no media type, and is neither JSON nor a form."""
    with pytest.raises(rapidjws.RapidJWSError) as refused:
        interceptor(**settings)
    assert (refused.value.code, refused.value.place) == ("configuration_invalid", place)
