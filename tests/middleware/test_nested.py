"""A middleware within a middleware: the inner verdict is the inner application's, neither can be made up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import served
from frameworks import reported
from verdicts import SPOOFED, bearer, engine, token

from rapidjws.middleware import JWSMiddleware, TokenLocation, WSGIMiddleware

Headers = list[tuple[str, str]]
INNER = TokenLocation(header="Inner-Token", scheme="")
EXEMPT = frozenset({"/open"})


def outer_token() -> Headers:
    """Return a good token for the outer middleware, of ann's."""
    return bearer(token(sub="ann"))


def inner_token() -> Headers:
    """Return a good token for the inner middleware, of bob's."""
    return [("Inner-Token", token(sub="bob"))]


async def _asgi(scope: Any, receive: Any, send: Any) -> None:
    from starlette.responses import JSONResponse

    headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
    seen = {**reported(scope.get("rapidjws"), headers), "outer": scope.get("outer")}
    await JSONResponse(seen)(scope, receive, send)


class _Between:
    """What stands between the two, and reads what the outer one verified."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            scope = {**scope, "outer": [scope["rapidjws"].code, headers["x-jws-subject"]]}
        await self._app(scope, receive, send)


def _wsgi(environ: Any, start_response: Any) -> list[bytes]:
    import json

    headers = [(name[5:], value) for name, value in environ.items() if name.startswith("HTTP_")]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [
        json.dumps({**reported(environ.get("rapidjws"), headers), "outer": environ.get("outer")}).encode()
    ]


def _between(app: Any) -> Any:
    def call(environ: Any, start_response: Any) -> Any:
        outer = [environ["rapidjws"].code, environ["HTTP_X_JWS_SUBJECT"]]
        return app({**environ, "outer": outer}, start_response)

    return call


def _aiohttp(outer_engine: Any) -> Any:
    from aiohttp import web

    from rapidjws.middleware.aiohttp import DECISION, setup

    async def who(request: web.Request) -> web.StreamResponse:
        return web.json_response({**reported(request.get(DECISION), request.headers.items()), "outer": None})

    async def flow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a")
        return response

    inner, outer = web.Application(), web.Application()
    inner.add_routes([web.get("/who", who), web.get("/open", who), web.get("/flow", flow)])
    setup(inner, engine=engine("warning"), place=INNER, exempt={"/in/open"}, ready_timeout_s=0)
    outer.add_subapp("/in", inner)
    setup(outer, engine=outer_engine, ready_timeout_s=0)
    return served.aiohttp(outer)


def _fastapi(outer_engine: Any) -> Any:
    from fastapi import Depends, FastAPI, Request

    from rapidjws.middleware.fastapi import JWSSecurity

    async def who(request: Any) -> Any:
        return {**reported(request.scope.get("rapidjws"), request.headers.items()), "outer": None}

    who.__annotations__ = {"request": Request}
    app = FastAPI()
    kind: Any = dict[str, Any]
    needed = [Depends(JWSSecurity(kind, engine=engine(), place=INNER, exempt={"/in/open"}))]
    for path in ("/in/who", "/in/open"):
        app.add_api_route(path, who, dependencies=needed)
    app.add_middleware(JWSMiddleware, engine=outer_engine, ready_timeout_s=0)
    return served.uvicorn(app)


def _nested(name: str, outer_engine: Any) -> Any:
    if name == "asgi":
        inner = JWSMiddleware(_asgi, engine=engine(), place=INNER, exempt={"/in/open"}, ready_timeout_s=0)
        return served.uvicorn(JWSMiddleware(_Between(inner), engine=outer_engine, ready_timeout_s=0))
    if name == "wsgi":
        within = WSGIMiddleware(_wsgi, engine=engine(), place=INNER, exempt={"/in/open"}, ready_timeout_s=0)
        return served.wsgi(WSGIMiddleware(_between(within), engine=outer_engine, ready_timeout_s=0))
    return _aiohttp(outer_engine) if name == "aiohttp" else _fastapi(outer_engine)


@pytest.fixture(name="nested", scope="module", params=["asgi", "wsgi", "aiohttp", "fastapi"])
def _nested_fixture(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    for package in {"aiohttp": ("aiohttp",), "wsgi": ()}.get(request.param, ("fastapi", "uvicorn")):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install --group middleware")
    with _nested(request.param, engine("warning")) as port:
        yield request.param, port


def test_the_inner_verdict_is_what_the_inner_application_reads(nested: tuple[str, int]) -> None:
    """Decision and headers are the inner middleware's, each header once; what a client sent is gone."""
    name, port = nested
    reply = served.ask(port, "/in/who", outer_token() + inner_token() + SPOOFED)
    assert (reply.status, reply.json["code"], reply.json["sub"]) == (200, "ok", "bob")
    ours = dict(reply.json["ours"])
    assert len(ours) == len(reply.json["ours"])
    assert (ours["x-jws-subject"], ours["x-jws-status"]) == ("bob", "verified")
    assert "admin" not in str(ours) + str(reply.json["outer"])
    if name in ("asgi", "wsgi"):
        assert reply.json["outer"] == ["ok", "ann"]


def test_the_inner_middleware_does_not_take_over_the_outer_verdict(nested: tuple[str, int]) -> None:
    """A token that is good at the outer one is none at the inner one, and the other way round."""
    name, port = nested
    reply = served.ask(port, "/in/who", outer_token() + SPOOFED)
    if name == "aiohttp":  # warns
        assert (reply.status, reply.json["code"], reply.json["sub"]) == (200, "missing_token", None)
        assert dict(reply.json["ours"])["x-jws-subject"] == ""
    else:
        assert (reply.status, reply.json["code"]) == (401, "missing_token")
    reply = served.ask(port, "/in/who", inner_token() + SPOOFED)
    assert (reply.status, reply.json["sub"]) == (200, "bob")
    if name in ("asgi", "wsgi"):
        assert reply.json["outer"] == ["missing_token", ""]


def test_a_path_that_the_inner_one_exempts_has_no_verdict(nested: tuple[str, int]) -> None:
    """Neither headers nor a decision, of whichever middleware: both say the same."""
    _, port = nested
    reply = served.ask(port, "/in/open", outer_token() + SPOOFED)
    assert (reply.status, reply.json["code"], reply.json["sub"], reply.json["ours"]) == (200, None, None, [])


def test_an_outer_middleware_that_enforces_lets_nothing_through_to_the_inner(nested: tuple[str, int]) -> None:
    """The outer one decides first."""
    name, _ = nested
    with _nested(name, engine()) as port:
        for path in ("/in/who", "/in/open"):
            assert served.ask(port, path, inner_token() + SPOOFED).status == 401
        assert served.ask(port, "/in/who", outer_token() + inner_token()).json["sub"] == "bob"


@pytest.mark.parametrize("path", ["/in/who", "/in/flow"])
def test_nested_aiohttp_applications_give_each_warning_once(path: str) -> None:
    """The response has the outer's warning and the inner's, streamed or not, neither lost nor twice."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed: pip install --group middleware")
    import http.client

    def warnings(headers: Headers) -> int:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=served.READY_S)
        try:
            link.request("GET", path, headers=dict(headers))
            answer = link.getresponse()
            answer.read()
            assert answer.status == 200
            return len(answer.headers.get_all("warning", []))
        finally:
            link.close()

    with _nested("aiohttp", engine("warning")) as port:
        one = warnings(outer_token())
        assert one == warnings(inner_token()) == 1
        assert warnings([]) == 2
        assert warnings(outer_token() + inner_token()) == 0


def test_a_decision_is_not_left_in_the_scope_of_a_caller() -> None:
    """The scope that a middleware was given stays as it was: it may be used again."""
    scope = {"type": "http", "path": "/open", "headers": [], "rapidjws": "outer", "query_string": b""}
    seen: list[dict[str, Any]] = []

    async def app(inner: Any, receive: Any, send: Any) -> None:
        seen.append(inner)

    async def nothing(*_: Any) -> Any:
        return {}

    asyncio.run(JWSMiddleware(app, engine=engine(), exempt=EXEMPT)(scope, nothing, nothing))
    assert "rapidjws" not in seen[0]
    assert scope["rapidjws"] == "outer"
