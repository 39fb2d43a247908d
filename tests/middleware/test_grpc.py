"""The gRPC interceptor on a real server: the table of verdicts, every kind of method, metadata, warnings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from verdicts import SPOOFED, VERDICTS, Verdict, bearer, engine, headers_of, token

pytest.importorskip("grpc_status", reason="grpcio-status is not installed: pip install --group middleware")

import grpc
import grpc.aio

from rapidjws.middleware.grpc import DECISION, JWSInterceptor
from rapidjws.middleware.response import RETRY_AFTER_S

METADATA = tuple((name.lower(), value) for name, value in SPOOFED)
KINDS = ("unary", "unary_sync", "stream_out", "stream_out_sync", "written", "stream_in", "both")


def reported(context: Any) -> bytes:
    """Return what a handler knows of its call."""
    decision = DECISION.get()
    metadata = context.invocation_metadata()
    ours = sorted(f"{one.key}={one.value}" for one in metadata if "jws" in one.key)
    verified = None if decision is None else decision.verified
    sub = None if verified is None else verified.claims["sub"]
    kinds = isinstance(context, (grpc.ServicerContext, grpc.aio.ServicerContext))
    return f"{sub}|{kinds}|{','.join(ours)}".encode()


async def unary(request: bytes, context: Any) -> bytes:
    """Answer with what is known."""
    context.set_trailing_metadata((("of-the-handler", "1"),))
    return reported(context)


def unary_sync(request: bytes, context: Any) -> bytes:
    """Answer from a thread."""
    return reported(context)


async def stream_out(request: bytes, context: Any) -> AsyncIterator[bytes]:
    """Answer twice."""
    yield reported(context)
    await asyncio.sleep(0)
    yield reported(context)


def stream_out_sync(request: bytes, context: Any) -> Iterator[bytes]:
    """Answer twice from threads."""
    yield reported(context)
    yield reported(context)


async def written(request: bytes, context: Any) -> None:
    """Answer twice by writing."""
    await context.write(reported(context))
    await context.write(reported(context))


async def stream_in(requests: AsyncIterator[bytes], context: Any) -> bytes:
    """Answer when all requests came."""
    assert [one async for one in requests] == [b"1", b"2"]
    return reported(context)


async def both(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    """Answer each request."""
    async for _ in requests:
        yield reported(context)


class Later(grpc.aio.ServerInterceptor):  # type: ignore[misc,name-defined]
    """The next interceptor, which looks at the metadata."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Keep the metadata and hand the call on."""
        self.seen = [(key, value) for key, value in details.invocation_metadata if "jws" in key]
        return await continuation(details)


def served(
    test: Callable[[Any, Later], Awaitable[None]], pool: ThreadPoolExecutor | None = None, **settings: Any
) -> None:
    """Run a test against a server and a channel to it."""

    async def run() -> None:
        later = Later()
        server = grpc.aio.server(
            pool, interceptors=[JWSInterceptor(**{"ready_timeout_s": 0, **settings}), later]
        )
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }
        methods = {
            kind: make[kind in ("stream_in", "both"), "out" in kind or kind in ("written", "both")](
                globals()[kind]
            )
            for kind in KINDS
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("who.Who", methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await test(channel, later)
        finally:
            await server.stop(None)

    asyncio.run(asyncio.wait_for(run(), 120))


async def call(channel: Any, kind: str, metadata: Any) -> tuple[list[bytes], Any]:
    """Call a method; return its messages and the call."""

    async def requests() -> AsyncIterator[bytes]:
        yield b"1"
        yield b"2"

    name = f"/who.Who/{kind}"
    if kind in ("unary", "unary_sync", "absent"):
        one = channel.unary_unary(name)(b"", metadata=metadata)
        return [await one], one
    if kind == "stream_in":
        one = channel.stream_unary(name)(requests(), metadata=metadata)
        return [await one], one
    if kind == "both":
        one = channel.stream_stream(name)(requests(), metadata=metadata)
    else:
        one = channel.unary_stream(name)(b"", metadata=metadata)
    return [message async for message in one], one


def metadata_of(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return headers as metadata."""
    return tuple((name.lower(), value) for name, value in headers)


async def trailing_of(one: Any) -> dict[str, Any]:
    """Return a call's trailing metadata."""
    return {key: value for key, value in await one.trailing_metadata()}  # noqa: C416 (older ones have keys())


def refused_call(channel: Any, kind: str, metadata: Any) -> Any:
    """Call a method and send nothing on a stream: a client that still writes may miss how its call ended."""
    name = f"/who.Who/{kind}"
    if kind == "stream_in":
        return channel.stream_unary(name)(metadata=metadata)
    if kind == "both":
        return channel.stream_stream(name)(metadata=metadata)
    if kind in ("unary", "unary_sync"):
        return channel.unary_unary(name)(b"", metadata=metadata)
    return channel.unary_stream(name)(b"", metadata=metadata)


@pytest.mark.parametrize("kind", KINDS)
def test_one_verdict_for_every_kind_of_method(kind: str) -> None:
    """Each call of the table gets its status, with code and retry as details; nothing spoofed arrives."""
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status

    async def test(channel: Any, later: Later) -> None:
        for verdict in VERDICTS:
            sent = metadata_of(headers_of(verdict.name)) + METADATA
            if verdict.grpc == "OK":
                for message in (await call(channel, kind, sent))[0]:
                    sub, kinds, ours = message.decode().split("|")
                    assert (sub, kinds) == ("ann", "True")
                    assert "admin" not in ours
                    assert "evil" not in ours
                    assert "x-jws-subject=ann" in ours
                    assert "x-jws-status=verified" in ours
                    assert ours.count("x-jws-subject=") == 1
                assert dict(later.seen)["x-jws-subject"] == "ann"
                assert len(later.seen) == len(dict(later.seen))
                continue
            await check_refusal(verdict, refused_call(channel, kind, sent))

    async def check_refusal(verdict: Verdict, refused: Any) -> None:
        code, details = await refused.code(), await refused.details()
        assert (code.name, details.partition(":")[0]) == (verdict.grpc, verdict.code)
        trailing = await trailing_of(refused)
        again = verdict.status == 503
        assert trailing.get("grpc-retry-pushback-ms") == (str(RETRY_AFTER_S * 1000) if again else None)
        status = await rpc_status.aio.from_call(refused)
        assert (status.code, status.message) == (code.value[0], details)
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(info)
        assert (info.reason, info.domain) == (verdict.code, "rapidjws")
        assert len(status.details) == 1 + again
        if again:
            assert status.details[1].Unpack(retry)
            assert retry.retry_delay.seconds == RETRY_AFTER_S

    served(test, engine=engine())


def test_scope_that_lacks_is_permission_denied() -> None:
    """A good token that does not suffice is PERMISSION_DENIED."""
    from rapidjws.rollout import Partner, Rollout
    from rapidjws.rollout.rollout import first_plan
    from rapidjws.rollout.state import MemoryState

    of = engine()
    of.rollout = Rollout([Partner(name="a", scopes=["pay"])], state=MemoryState(first_plan("enforcement")))

    async def test(channel: Any, later: Later) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(channel, "unary", metadata_of(bearer(token())))
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED

    served(test, engine=of, partner_of=lambda details: "a")


@pytest.mark.parametrize("kind", KINDS)
def test_warning_phase_tells_in_trailing_metadata(kind: str) -> None:
    """In warning a call without a token is served and reported beside the handler's own metadata."""

    async def test(channel: Any, later: Later) -> None:
        messages, one = await call(channel, kind, METADATA)
        trailing = await trailing_of(one)
        assert 'rapidjws "missing_token' in trailing["warning"]
        assert trailing["deprecation"].startswith("@")
        assert ("of-the-handler" in trailing) == (kind == "unary")
        sub, _, ours = messages[0].decode().split("|")
        assert sub == "None"
        assert "x-jws-status=unverified missing_token" in ours
        assert "admin" not in ours

    served(test, engine=engine("warning"))


def test_detection_phase_says_nothing() -> None:
    """In detection a call without a token is served as if there were no middleware."""

    async def test(channel: Any, later: Later) -> None:
        _, one = await call(channel, "unary", ())
        assert "warning" not in await trailing_of(one)

    served(test, engine=engine("detection"))


def test_exempt_method_needs_no_token_and_hands_on_no_spoofed_name() -> None:
    """A method that is exempt is served, without a decision and without trusted metadata."""

    async def test(channel: Any, later: Later) -> None:
        messages, _ = await call(channel, "unary", METADATA)
        assert messages == [b"None|True|"]
        assert later.seen == []

    served(test, engine=engine(), exempt=frozenset({"/who.Who/unary"}))


def test_method_that_is_not_there_is_unimplemented() -> None:
    """A method that nobody serves is reported as such, with a token and without."""

    async def test(channel: Any, later: Later) -> None:
        for sent in ((), metadata_of(bearer(token()))):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(channel, "absent", sent)
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED

    served(test, engine=engine())


def test_decision_is_gone_when_the_call_is() -> None:
    """Threads that served a call know nothing of it afterwards."""
    with ThreadPoolExecutor(1) as pool:

        async def test(channel: Any, later: Later) -> None:
            for kind in ("unary_sync", "stream_out_sync"):
                await call(channel, kind, metadata_of(bearer(token())))
                assert pool.submit(DECISION.get).result(60) is None

        served(test, pool, engine=engine())


def test_calls_at_once_see_their_own_decision() -> None:
    """Many calls at the same time, on loop and threads, each see the claims of their own token."""

    async def test(channel: Any, later: Later) -> None:
        names = [f"user-{n}" for n in range(40)]
        calls = [
            call(channel, KINDS[n % 2], metadata_of(bearer(token(sub=name)))) for n, name in enumerate(names)
        ]
        found = [messages[0].decode().partition("|")[0] for messages, _ in await asyncio.gather(*calls)]
        assert found == names

    served(test, engine=engine())
