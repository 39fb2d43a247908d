"""Services that start before the keys are there: the first request gets a verdict, within a bound."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gates import COMMAND, bearer, free_port, get, write_config

from rapidjws import Engine
from rapidjws import Issuer as IssuerOf
from rapidjws.keys import RemoteJWKS, Transport
from rapidjws.middleware import JWSMiddleware
from rapidjws.testing import Fault, FaultyIssuerServer

pytest.importorskip("trustme", reason="trustme is not installed")

ISS = "https://late.example"
LATE_S = 1.0
BOUND_S = 0.3
WAIT_S = 60.0


def serve(folder: Path, issuer: FaultyIssuerServer, **server: Any) -> tuple[subprocess.Popen[bytes], int]:
    """Start a sidecar of two workers whose only issuer is this one."""
    port = free_port()
    (folder / "ca.pem").write_text(issuer.ca_pem)
    one = {"iss": ISS, "algorithms": ["ES256"], "jwks_url": issuer.url, "ca": "ca.pem"}
    server = {"listen": f"127.0.0.1:{port}", "workers": 2, "drain_s": 2.0, **server}
    rules = {"audience": "https://api.example", "required": server.pop("required", True)}
    rollout = {"state": "state", "phase": "enforcement"}
    path = write_config(folder, [{**one, **rules}], rollout=rollout, server=server)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, "serve", "--config", str(path)], stderr=log)
    return process, port


def end(process: subprocess.Popen[bytes]) -> int:
    """End a sidecar; return its status."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(WAIT_S)
    finally:
        process.kill()


def first_answer(port: int, token: str) -> tuple[int, dict[str, str]]:
    """Ask until somebody accepts; return status and headers of the very first answer."""
    end_s = time.monotonic() + WAIT_S
    while True:
        try:
            status, headers, _ = get(port, bearer(token), "/verify")
        except ConnectionRefusedError:
            assert time.monotonic() < end_s, "nobody accepts"
            time.sleep(0.02)
        else:
            return status, {name.lower(): value for name, value in dict(headers).items()}


def lines(folder: Path, wanted: str) -> list[str]:
    """Return what a sidecar wrote once it wrote this."""
    end_s = time.monotonic() + WAIT_S
    while not re.search(wanted, text := (folder / "log").read_text("utf-8")):
        assert time.monotonic() < end_s, f"no {wanted!r} in {text!r}"
        time.sleep(0.02)
    return [line for line in text.splitlines() if not line.startswith("{")]  # those of the log


def test_N4_serve_accepts_once_the_keys_are_there(tmp_path: Path) -> None:
    """The very first answer of a sidecar whose keys come late is the verdict, and no line complains."""
    with FaultyIssuerServer(ISS, "ES256") as issuer:
        issuer.always(Fault(delay_s=LATE_S))
        process, port = serve(tmp_path, issuer)
        try:
            assert first_answer(port, issuer.token(issuer.claims(int(time.time()))))[0] == 200
            assert lines(tmp_path, "2 workers") == [f"rapidjws serve: 127.0.0.1:{port}, 2 workers"]
        finally:
            assert end(process) == 0


def test_N4_serve_waits_within_its_bound_and_names_the_issuer(tmp_path: Path) -> None:
    """Past ``ready_timeout_s`` it serves, one line names who has no keys, and the answer is 503 for now."""
    with FaultyIssuerServer(ISS, "ES256") as issuer:
        issuer.always(Fault(silent=True))
        process, port = serve(tmp_path, issuer, ready_timeout_s=BOUND_S)
        try:
            token = issuer.token(issuer.claims(int(time.time())))
            status, headers = first_answer(port, token)
            assert status == 503
            assert int(headers["retry-after"]) > 0
            assert get(port, [], "/readyz")[0] == 503
            missing, start = lines(tmp_path, "2 workers")
            assert missing.startswith(f"rapidjws serve: not ready after {BOUND_S:g} s: no keys of ")
            assert repr(ISS) in missing
            assert start == f"rapidjws serve: 127.0.0.1:{port}, 2 workers"
        finally:
            assert end(process) == 0


@pytest.mark.parametrize("server", [{"required": False}, {"ready_timeout_s": 0}], ids=["not required", "0"])
def test_N4_serve_does_not_wait_where_it_need_not(tmp_path: Path, server: dict[str, Any]) -> None:
    """An issuer that is not required holds up no start, and neither does a bound of 0."""
    with FaultyIssuerServer(ISS, "ES256") as issuer:
        issuer.always(Fault(silent=True))
        process, port = serve(tmp_path, issuer, **{"ready_timeout_s": 3600, **server})
        try:
            assert lines(tmp_path, "2 workers")[-1] == f"rapidjws serve: 127.0.0.1:{port}, 2 workers"
        finally:
            assert end(process) == 0


def test_N4_serve_ends_while_it_waits(tmp_path: Path) -> None:
    """SIGTERM during the wait ends it at once with 0; nobody was served, and no start line came."""
    with FaultyIssuerServer(ISS, "ES256") as issuer:
        issuer.always(Fault(silent=True))
        process, port = serve(tmp_path, issuer, ready_timeout_s=3600)
        try:
            end_s = time.monotonic() + WAIT_S
            while len(issuer.requests) < 2:  # each worker asks once it has begun to wait, or is about to
                assert time.monotonic() < end_s
                time.sleep(0.02)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
        finally:
            start_s = time.monotonic()
            assert end(process) == 0
        assert time.monotonic() - start_s < 30
        assert lines(tmp_path, "service_stopped") == []


# --- middlewares --------------------------------------------------------------------------------------------


def engine_of(issuer: FaultyIssuerServer, **options: Any) -> Engine:
    """Return an engine whose keys are fetched from this issuer."""
    keys = RemoteJWKS(issuer.url, transport=Transport(ca=issuer.ca_pem))
    return Engine(IssuerOf(ISS, keys=keys, algorithms=["ES256"], audience="https://api.example", **options))


def lifespan(middleware: Any, scope: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Run a lifespan: its startup, and its shutdown where it started; return what was sent."""
    sent: list[dict[str, Any]] = []

    async def run() -> None:
        messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        messages.put_nowait({"type": "lifespan.startup"})

        async def send(message: Any) -> None:
            sent.append(message)
            messages.put_nowait({"type": "lifespan.shutdown"})

        await middleware(scope or {"type": "lifespan", "state": {}}, messages.get, send)

    asyncio.run(asyncio.wait_for(run(), WAIT_S))
    return sent


def app_that(
    startup: Callable[[], None] = lambda: None, seen: list[Any] | None = None
) -> Callable[..., Awaitable[None]]:
    """Return an ASGI application with a lifespan."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if seen is not None:
            seen.append(scope)
        assert (await receive())["type"] == "lifespan.startup"
        startup()
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})

    return app


COMPLETE = [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


def test_N4_asgi_startup_ends_once_the_keys_are_there() -> None:
    """``startup.complete`` waits for keys, which the application's own startup may bring."""
    with FaultyIssuerServer(ISS, "ES256") as issuer:
        issuer.always(Fault(delay_s=LATE_S))
        engine = engine_of(issuer)
        ready_in_app: list[bool] = []
        seen: list[Any] = []
        app = app_that(lambda: ready_in_app.append(engine.ready), seen)
        scope: dict[str, Any] = {"type": "lifespan", "state": {"pool": 1}}
        assert lifespan(JWSMiddleware(app, engine=engine, ready_timeout_s=WAIT_S), scope) == COMPLETE
        assert ready_in_app == [False]
        assert engine.ready
        assert seen[0] is scope


def test_N4_asgi_startup_waits_within_its_bound(caplog: pytest.LogCaptureFixture) -> None:
    """Past the bound the application starts all the same, and a warning names the issuer."""
    with FaultyIssuerServer(ISS, "ES256") as issuer, caplog.at_level(logging.WARNING, "rapidjws.middleware"):
        issuer.always(Fault(silent=True))
        engine = engine_of(issuer)
        assert lifespan(JWSMiddleware(app_that(), engine=engine, ready_timeout_s=BOUND_S)) == COMPLETE
        assert not engine.ready
        assert [repr(ISS) in one.message for one in caplog.records] == [True]


def test_N4_asgi_waits_for_an_application_without_a_lifespan() -> None:
    """An application that returns from, or raises at, a lifespan starts with keys too; its error passes."""

    async def returns(scope: Any, receive: Any, send: Any) -> None:
        return None

    async def raises(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError(scope["type"])

    with FaultyIssuerServer(ISS, "ES256") as issuer:
        issuer.always(Fault(delay_s=LATE_S))
        engine = engine_of(issuer)
        assert lifespan(JWSMiddleware(returns, engine=engine)) == []
        assert engine.ready
        engine = engine_of(issuer)
        with pytest.raises(KeyError, match="lifespan"):
            lifespan(JWSMiddleware(raises, engine=engine))
        assert engine.ready


def test_N4_asgi_startup_that_failed_is_not_held_up() -> None:
    """What ends a startup otherwise is handed on at once: nobody waits for keys any more."""
    failed = {"type": "lifespan.startup.failed", "message": "no database"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(failed)
        raise ConnectionResetError

    with FaultyIssuerServer(ISS, "ES256") as issuer:
        issuer.always(Fault(silent=True))
        start_s = time.monotonic()
        with pytest.raises(ConnectionResetError):
            lifespan(JWSMiddleware(app, engine=engine_of(issuer), ready_timeout_s=WAIT_S * 2))
        assert time.monotonic() - start_s < WAIT_S


@pytest.mark.parametrize("wrong", [-1, 3601, float("nan"), True, "1", None])
def test_N4_the_bound_of_a_middleware_is_checked(wrong: Any) -> None:
    """A bound that is none is refused where it is given."""
    from rapidjws import ConfigurationError

    with FaultyIssuerServer(ISS, "ES256", plain=False) as issuer:
        engine = engine_of(issuer)
        with pytest.raises(ConfigurationError, match="ready_timeout_s"):
            JWSMiddleware(app_that(), engine=engine, ready_timeout_s=wrong)


@pytest.mark.parametrize("bound_s", [WAIT_S, BOUND_S])
def test_N4_aiohttp_starts_once_the_keys_are_there(bound_s: float, caplog: pytest.LogCaptureFixture) -> None:
    """An aiohttp application answers no request before the keys are there, or the bound is over."""
    web = pytest.importorskip(
        "aiohttp.web", reason="aiohttp is not installed: pip install --group middleware"
    )
    from served import aiohttp, ask

    from rapidjws.middleware.aiohttp import setup

    late = bound_s == WAIT_S

    async def who(request: Any) -> Any:
        return web.json_response({})

    with FaultyIssuerServer(ISS, "ES256") as issuer:
        issuer.always(Fault(delay_s=LATE_S) if late else Fault(silent=True))
        app = web.Application()
        app.add_routes([web.get("/", who)])
        setup(app, engine=engine_of(issuer), ready_timeout_s=bound_s)
        with aiohttp(app) as port:
            reply = ask(port, "/", bearer(issuer.token(issuer.claims(int(time.time())))))
    assert reply.status == (200 if late else 503)
    if not late:
        assert json.loads(reply.body)["status"] == 503
        assert [repr(ISS) in one.message for one in caplog.records if "not ready" in one.message] == [True]


# --- protocols without a startup event ----------------------------------------------------------------------


@pytest.mark.parametrize("early", [False, True], ids=["first request", "wait_ready"])
@pytest.mark.parametrize("bound_s", [WAIT_S, BOUND_S], ids=["late keys", "no keys"])
def test_N4_wsgi_first_answer_is_a_verdict(
    bound_s: float, early: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The first requests of a WSGI server wait for keys within the bound; a warning names who has none."""
    from served import ask, wsgi

    from rapidjws.middleware import WSGIMiddleware

    late = bound_s == WAIT_S

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("content-length", "0")])
        return [b""]

    with FaultyIssuerServer(ISS, "ES256") as issuer:
        issuer.always(Fault(delay_s=LATE_S) if late else Fault(silent=True))
        middleware = WSGIMiddleware(
            app, engine=engine_of(issuer), ready_timeout_s=bound_s, exempt=["/health"]
        )
        if early:
            assert middleware.wait_ready(bound_s) is late
        with wsgi(middleware) as port:
            assert ask(port, "/health", []).status == 200
            sent = bearer(issuer.token(issuer.claims(int(time.time()))))
            assert [ask(port, "/", sent).status for _ in range(2)] == [200 if late else 503] * 2
    warnings = [one.message for one in caplog.records if "not ready" in one.message]
    assert [repr(ISS) in one for one in warnings] == [True] * (0 if late else 1 + early)


@pytest.mark.parametrize("early", [False, True], ids=["first call", "before the start"])
@pytest.mark.parametrize("is_async", [False, True], ids=["server", "aio"])
@pytest.mark.parametrize("bound_s", [WAIT_S, BOUND_S], ids=["late keys", "no keys"])
def test_N4_grpc_first_answer_is_a_verdict(bound_s: float, is_async: bool, early: bool) -> None:
    """The first calls of a gRPC server of either kind wait for the keys within the bound."""
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed: pip install --group middleware")
    from rapidjws.middleware.grpc import JWSInterceptor

    late = bound_s == WAIT_S

    def plain(request: bytes, context: Any) -> bytes:
        return b"served"

    async def awaited(request: bytes, context: Any) -> bytes:
        return b"served"

    def handlers(behaviour: Any) -> Any:
        return grpc.method_handlers_generic_handler(
            "x.Y", {"Z": grpc.unary_unary_rpc_method_handler(behaviour)}
        )

    def call(port: int, token: str) -> str:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            method = channel.unary_unary("/x.Y/Z")
            try:
                return str(
                    method(b"", metadata=(("authorization", f"Bearer {token}"),), timeout=WAIT_S).decode()
                )
            except grpc.RpcError as refused:
                return str(refused.code().name)

    async def serve_async(interceptor: Any, token: str) -> str:
        if early:
            assert await interceptor.await_ready(bound_s) is late
        server = grpc.aio.server(interceptors=[interceptor])
        server.add_generic_rpc_handlers((handlers(awaited),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            return await asyncio.to_thread(call, port, token)
        finally:
            await server.stop(None)

    with FaultyIssuerServer(ISS, "ES256") as issuer:
        issuer.always(Fault(delay_s=LATE_S) if late else Fault(silent=True))
        token = issuer.token(issuer.claims(int(time.time())))
        interceptor = JWSInterceptor(engine=engine_of(issuer), ready_timeout_s=bound_s)
        if is_async:
            answer = asyncio.run(serve_async(interceptor, token))
        else:
            if early:
                assert interceptor.wait_ready(bound_s) is late
            server = grpc.server(ThreadPoolExecutor(2), interceptors=[interceptor])
            server.add_generic_rpc_handlers((handlers(plain),))
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            try:
                answer = call(port, token)
            finally:
                server.stop(None).wait(WAIT_S)
    assert answer == ("served" if late else "UNAVAILABLE")


@pytest.mark.parametrize("wrong", [-1, 3601, float("nan"), True, "1", None])
def test_N4_the_bound_of_the_first_requests_is_checked(wrong: Any) -> None:
    """A bound that is none is refused where it is given."""
    from rapidjws import ConfigurationError
    from rapidjws.middleware import WSGIMiddleware

    with FaultyIssuerServer(ISS, "ES256", plain=False) as issuer:
        engine = engine_of(issuer)
        with pytest.raises(ConfigurationError, match="ready_timeout_s"):
            WSGIMiddleware(lambda environ, start: [], engine=engine, ready_timeout_s=wrong)
