"""Which requests are decided about: exempt paths, websockets, and types of scopes that nobody knows."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from rollouts import engine, rollout

import rapidjws
from rapidjws.middleware import JWSMiddleware, SignedBody, WSGIMiddleware
from rapidjws.middleware.requests import is_exempt
from rapidjws.signing import LocalSigner, sign_compact
from rapidjws.testing import make_key

KEY = make_key("HS256", kid="sender")
VERIFIER = rapidjws.Verifier(KEY, algorithms=["HS256"])


def signature(body: bytes) -> str:
    """Return a detached signature."""
    return sign_compact(body, LocalSigner(KEY, "HS256"), detached=True)


def hmac_body(**options: Any) -> SignedBody:
    """Return settings for bodies signed in a header."""
    return SignedBody(verifier=VERIFIER, **options)


@pytest.mark.parametrize(
    ("path", "target", "exempt"),
    [
        ("/status/live", None, True),
        ("/status/live", "/status/live", True),
        ("/status/live", "/status/live?x=%2F", True),
        ("/status/live", "http://a/status/live", True),
        ("/status/live", "/api/status/live", True),  # a mount or SCRIPT_NAME before it
        ("/status/live", "/status%2Flive", False),
        ("/status/live", "/status%2flive", False),
        ("/status/live", "/statu%73/live", False),
        ("/status/live", "/%2E%2E/status/live", False),
        ("/status/live", "/x/../status/live", False),
        ("/.well-known/a", "/.well-known/a", True),
        ("/.well-known/a", "/api/.well-known/a", True),
        ("/a b", "/a%20b", True),
        ("/h\u00e4lth", "/h%C3%A4lth", True),
        ("/other", "/other", False),
    ],
)
def test_S22_exemption_matches_decoded_and_escaped_octets(
    path: str, target: str | None, exempt: bool
) -> None:
    """A path is exempt for a router of decoded paths and for one of escaped ones, or not at all."""
    assert (
        is_exempt(frozenset({"/status/live", "/.well-known/a", "/a b", "/h\u00e4lth"}), path, target)
        is exempt
    )


def run_asgi(scope: Any, app: Any = None, **options: Any) -> list[Any]:
    """Return what the middleware sends for a scope."""
    sent: list[Any] = []

    async def fine(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "seen", "decision": scope.get("rapidjws")})

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(JWSMiddleware(app or fine, **options)(scope, receive, send))
    return sent


def test_S22_asgi_exemption_is_no_way_to_another_route() -> None:
    """An escaped slash is refused at the middleware: a router of escaped paths would go elsewhere."""
    scope = {"type": "http", "path": "/status/live", "raw_path": b"/status%2Flive", "headers": []}
    exempt = frozenset({"/status/live"})
    assert run_asgi(scope, engine=engine(), exempt=exempt)[0]["status"] == 401
    scope["raw_path"] = b"/status/live"
    assert run_asgi(scope, engine=engine(), exempt=exempt) == [{"type": "seen", "decision": None}]


@pytest.mark.parametrize("name", ["REQUEST_URI", "RAW_URI"])
def test_S22_wsgi_exemption_is_no_way_to_another_route(name: str) -> None:
    """The same where a WSGI server tells what was sent."""

    def status_of(target: str) -> int:
        statuses: list[int] = []

        def app(environ: Any, start: Any) -> list[bytes]:
            start("200 OK", [])
            return []

        def start(status: str, headers: Any) -> Any:
            statuses.append(int(status[:3]))

        authenticator = WSGIMiddleware(app, engine=engine(), exempt=frozenset({"/status/live"}))
        authenticator({"PATH_INFO": "/status/live", name: target}, start)
        return statuses[0]

    assert [status_of(one) for one in ("/status/live", "/status/live?a", "/status%2Flive")] == [200, 200, 401]


@pytest.mark.parametrize(
    "wrong", ["/health", "/", {"/health": True}, ["health"], [""], [b"/health"], 7, None]
)
def test_S22_exempt_is_a_list_of_paths(wrong: Any) -> None:
    """One text for a list of paths would exempt each of its pieces, "/" among them."""
    with pytest.raises(rapidjws.ConfigurationError) as raised:
        WSGIMiddleware(lambda environ, start: [], engine=engine(), exempt=wrong)
    assert "exempt" in str(raised.value)


@pytest.mark.parametrize("kind", ["webtransport", "custom", "HTTP"])
def test_S28_unknown_scope_is_refused_unless_named(kind: str) -> None:
    """A type of scope that nobody decides about raises; lifespan and named ones are handed on."""
    with pytest.raises(rapidjws.ConfigurationError) as raised:
        run_asgi({"type": kind}, engine=engine())
    assert "undecided_scopes" in str(raised.value)
    assert run_asgi({"type": kind}, engine=engine(), undecided_scopes=[kind]) == [
        {"type": "seen", "decision": None}
    ]
    assert run_asgi({"type": "lifespan"}, engine=engine()) == [{"type": "seen", "decision": None}]


@pytest.mark.parametrize("wrong", ["lifespan", ["http"], ["websocket"], [7]])
def test_S28_undecided_scopes_are_checked(wrong: Any) -> None:
    """Requests and websockets are always decided about, and one text is no list."""
    with pytest.raises(rapidjws.ConfigurationError):
        JWSMiddleware(lambda *_: None, engine=engine(), undecided_scopes=wrong)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("headers", "code"),
    [([], 4401), ([(b"authorization", b"Bearer a b")], 4400)],
    ids=["none", "two"],
)
def test_S28_refused_websocket_is_closed_with_its_status(headers: Any, code: int) -> None:
    """A websocket is closed with 4000 and the status, or refused by HTTP where the server can."""
    scope: dict[str, Any] = {"type": "websocket", "path": "/", "headers": headers}
    (closed,) = run_asgi(scope, engine=engine())
    assert (closed["type"], closed["code"]) == ("websocket.close", code)
    scope["extensions"] = {"websocket.http.response": {}}
    start, body = run_asgi(scope, engine=engine())
    assert (start["type"], start["status"]) == ("websocket.http.response.start", code - 4000)
    assert json.loads(body["body"])["status"] == code - 4000


def test_S28_signature_of_nothing_opens_no_websocket() -> None:
    """Where bodies are signed a websocket has none: what comes over it is signed by nothing."""
    scope = {"type": "websocket", "path": "/", "headers": [(b"x-jws-signature", signature(b"").encode())]}
    assert run_asgi(scope, body=hmac_body())[0]["code"] == 4401
    (seen,) = run_asgi(scope, body=hmac_body(rollout=rollout(phase="detection")))
    assert (seen["decision"].code, seen["decision"].verified) == ("missing_token", None)
