"""Websockets behind the ASGI middleware and the FastAPI dependency, and exempt paths of aiohttp's router."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from frameworks import EXEMPT
from served import aiohttp as served_aiohttp
from served import ask
from verdicts import GONE, bearer, engine, token

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install --group middleware")

from fastapi import FastAPI, Security, WebSocket

import rapidjws
from rapidjws.middleware import JWSMiddleware, SignedBody
from rapidjws.middleware.fastapi import JWSSecurity
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

KEY = make_key("ES256", kid="sender")
BODY = SignedBody(verifier=rapidjws.Verifier(KEY.public(), algorithms=["ES256"]))
NOTHING_SIGNED = sign_compact(b"", LocalSigner(KEY), detached=True)


def app_of(jws: JWSSecurity[Any] | None, *scopes: str) -> FastAPI:
    """Return an application with a websocket that tells whose it is."""
    app = FastAPI()

    async def talk(websocket: Any, caller: Any = None) -> None:
        await websocket.accept()
        subjects = websocket.headers.getlist("x-jws-subject")
        reported = [websocket.scope["rapidjws"].code, None if caller is None else caller["sub"], subjects]
        await websocket.send_json(reported)
        await websocket.close()

    async def talk_alone(websocket: Any) -> None:
        await talk(websocket)

    view = talk_alone if jws is None else talk
    view.__annotations__ = {"websocket": WebSocket}
    if jws is not None:
        view.__annotations__["caller"] = Annotated[Any, Security(jws, scopes=scopes)]
    app.add_api_websocket_route("/talk", view)
    return app


def connect(app: Any, headers: list[tuple[str, str]], *, can_deny: bool) -> list[dict[str, Any]]:
    """Open a websocket; return what the application sends."""
    sent: list[dict[str, Any]] = []
    messages = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "path": "/talk",
        "raw_path": b"/talk",
        "query_string": b"",
        "root_path": "",
        "subprotocols": [],
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "extensions": {"websocket.http.response": {}} if can_deny else {},
    }
    asyncio.run(app(scope, receive, send))
    return sent


KINDS = pytest.mark.parametrize("kind", ["dependency", "middleware"])


def built(kind: str, scopes: tuple[str, ...] = (), **settings: Any) -> Any:
    """Return the application behind the dependency, or behind the middleware."""
    if kind == "dependency":
        return app_of(JWSSecurity(dict[str, Any], **settings), *scopes)
    return JWSMiddleware(app_of(None), ready_timeout_s=0, **settings)


@KINDS
def test_S28_good_token_opens_a_websocket(kind: str) -> None:
    """A websocket with a good token opens, with its claims and trusted headers, and nothing spoofed."""
    headers = [*bearer(token(sub="ann")), ("X-JWS-Subject", "admin"), ("X_JWS_Subject", "admin")]
    sent = connect(built(kind, engine=engine()), headers, can_deny=False)
    assert [one["type"] for one in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    caller = '"ann"' if kind == "dependency" else "null"
    assert sent[1]["text"].replace(" ", "") == f'["ok",{caller},["ann"]]'


@KINDS
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        (bearer("a.b.c"), 401),
        (bearer("a b"), 400),
        (bearer(token(aud="https://other.example")), 401),
        (bearer(token(iss="https://gone.example")), 401),
    ],
    ids=["none", "broken", "two", "audience", "another key's"],
)
def test_S28_refused_websocket_never_opens(kind: str, headers: Any, status: int) -> None:
    """It is closed with 4000 and the status before it opens, or gets that answer where the server can."""
    app = built(kind, engine=engine())
    (closed,) = connect(app, headers, can_deny=False)
    assert (closed["type"], closed["code"]) in [
        ("websocket.close", 4000 + status),
        ("websocket.close", 4503),  # whose keys cannot be had
    ]
    start, body = connect(app, headers, can_deny=True)
    assert start["type"] == "websocket.http.response.start"
    assert start["status"] == closed["code"] - 4000
    assert dict(start["headers"])[b"content-type"] == b"application/problem+json"
    assert body["type"] == "websocket.http.response.body"


def test_S28_websocket_without_a_scope_is_4403() -> None:
    """Scopes that a route asks for are due of websockets too."""
    app = built("dependency", ("pay",), engine=engine())
    (closed,) = connect(app, bearer(token(scope="read")), can_deny=False)
    assert closed["code"] == 4403
    assert connect(app, bearer(token(scope="pay")), can_deny=False)[0]["type"] == "websocket.accept"


def test_S28_websocket_while_no_keys_can_be_had_is_4503() -> None:
    """An outage is neither 4401 nor 4403: the client may try again."""
    for kind in ("dependency", "middleware"):
        (closed,) = connect(built(kind, engine=engine()), bearer(token(GONE)), can_deny=False)
        assert closed["code"] == 4503


@KINDS
def test_S28_signature_of_nothing_opens_no_websocket(kind: str) -> None:
    """Where bodies are signed, nothing signs what comes over a websocket."""
    (closed,) = connect(built(kind, body=BODY), [("X-JWS-Signature", NOTHING_SIGNED)], can_deny=False)
    assert closed["code"] == 4401


def test_S22_aiohttp_exemption_is_no_way_to_another_route() -> None:
    """aiohttp matches escaped paths: ``/status%2Flive`` is its ``/{name}``, and needs a token there."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed: pip install --group middleware")
    from aiohttp import web

    from rapidjws.middleware.aiohttp import DECISION, setup

    async def named(request: web.Request) -> web.StreamResponse:
        decision = request.get(DECISION)
        return web.json_response([request.match_info.get("name"), getattr(decision, "code", None)])

    app = web.Application()
    app.add_routes([web.get("/status/live", named), web.get("/{name}", named), web.get("/{name}/{x}", named)])
    setup(app, engine=engine(), exempt=EXEMPT | {"/status/live"}, ready_timeout_s=0)
    with served_aiohttp(app) as port:
        assert ask(port, "/status/live?a=%2F", []).json == [None, None]
        for path in ("/status%2Flive", "/status%2flive", "/%73tatus/live", "/statu%73/live", "/%68ealth"):
            assert ask(port, path, []).status == 401, path
        assert ask(port, "/status%2Flive", bearer(token())).json == ["status/live", "ok"]
        assert ask(port, "/health", []).json == ["health", None]


def test_S22_fastapi_dependency_and_middleware_agree() -> None:
    """Both take an escaped slash for another path than the exempt one."""
    from frameworks import fastapi_dependency, fastapi_middleware, starlette

    for serve in (fastapi_dependency, fastapi_middleware, starlette):
        with serve(engine=engine()) as port:
            assert ask(port, "/health", []).status == 200
            assert ask(port, "/%68ealth", []).status == 401


def test_S28_form_routes_say_that_they_need_the_middleware() -> None:
    """A body that FastAPI read into a form cannot be verified: an error of ours, never an unverified form."""
    from fastapi import Depends, Form
    from fastapi.responses import PlainTextResponse
    from served import uvicorn

    app = FastAPI()

    async def put(caller: Any, order: Any) -> Any:
        raise AssertionError

    put.__annotations__ = {
        "caller": Annotated[Any, Depends(JWSSecurity(dict[str, Any], body=BODY))],
        "order": Annotated[str, Form()],
    }
    app.add_api_route("/put", put, methods=["POST"])

    async def explain(_: Any, fault: Exception) -> Any:
        return PlainTextResponse(str(fault), 500)

    app.add_exception_handler(rapidjws.ConfigurationError, explain)
    with uvicorn(app) as port:
        headers = [("Content-Type", "application/x-www-form-urlencoded"), ("X-JWS-Signature", NOTHING_SIGNED)]
        reply = ask(port, "/put", headers, b"order=7", method="POST")
    assert reply.status == 500
    assert b"JWSMiddleware before routes with form parameters" in reply.body
