"""ASGI middleware: Starlette, FastAPI, Litestar and everyone who speaks ASGI 3.

The decision stands in ``scope["rapidjws"]``; verified claims are ``scope["rapidjws"].verified.claims``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from rapidjws.gateway.answer import Answer, answer_for, is_ours, trusted_headers, warning_headers
from rapidjws.gateway.place import TokenPlace

if TYPE_CHECKING:
    from rapidjws.engine.decision import Decision
    from rapidjws.engine.engine import Engine

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY = "rapidjws"


class JWSMiddleware:
    """Let requests through to an ASGI application as the engine decides.

    Args:
        app: The application.
        engine: Decides.
        place: Where tokens stand.
        partner_of: Names the partner of a request's scope, from what authenticates it beside the token (a
            client certificate, an API key); None where nobody is known. Never from a header that any client
            can set.
        realm: The ``realm`` of challenges.
        exempt: Paths that need no token, exactly as they are: health checks.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        engine: Engine,
        place: TokenPlace | None = None,
        partner_of: Callable[[Scope], str | None] | None = None,
        realm: str = "api",
        exempt: frozenset[str] = frozenset(),
    ) -> None:
        self._app = app
        self._engine = engine
        self._place = place or TokenPlace()
        self._field = self._place.field
        self._partner_of = partner_of
        self._realm = realm
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        kept = [pair for pair in headers if not is_ours(pair[0].decode("latin-1"))]
        if scope["path"] in self._exempt:
            await self._app({**scope, "headers": kept}, receive, send)
            return
        token = self._place.token([value for name, value in headers if name.lower() == self._field])
        partner = None if self._partner_of is None else self._partner_of(scope)
        decision = await self._engine.adecide(token, partner=partner, route=_target(scope))
        refused = answer_for(decision, realm=self._realm, scheme=self._place.scheme)
        if refused is not None:
            await _refuse(scope, receive, send, refused)
            return
        kept += [(name.encode(), value.encode()) for name, value in trusted_headers(decision)]
        inner = {**scope, "headers": kept, KEY: decision}
        await self._app(inner, receive, _warned(send, decision) if decision.warnings else send)


def _target(scope: Scope) -> str:
    """Return the path as it was sent, where the server tells it: escapes have two readings."""
    raw: bytes | None = scope.get("raw_path")
    return scope["path"] if raw is None else raw.decode("latin-1")


def _warned(send: Send, decision: Decision) -> Send:
    """Return a ``send`` that adds the warnings to the response."""
    extra = [(name.encode(), value.encode()) for name, value in warning_headers(decision)]

    async def warned(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await send(message)

    return warned


async def _refuse(scope: Scope, receive: Receive, send: Send, refused: Answer) -> None:
    headers = [(name.encode(), value.encode()) for name, value in refused.headers]
    headers.append((b"content-length", str(len(refused.body)).encode()))
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect comes first
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": refused.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": refused.body})
