"""ASGI middleware: Starlette, FastAPI, Litestar and everyone who speaks ASGI 3.

The decision stands in ``scope["rapidjws"]``; verified claims are ``scope["rapidjws"].verified.claims``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from rapidjws.gateway.answer import PREFIX, Answer, is_ours, trusted_headers, warning_headers
from rapidjws.gateway.door import KEY, Asked, Door

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from rapidjws.engine.decision import Decision
    from rapidjws.gateway.door import DoorSettings

Headers = list[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


_MAY_BE_OURS = (PREFIX[:1].encode(), PREFIX[:1].upper().encode())
"""How names begin that are looked at more closely: most requests have many others."""


class JWSMiddleware:
    """Let requests through to an ASGI application as the engine decides.

    Args:
        app: The application.
        settings: As for :class:`rapidjws.gateway.Door`; ``partner_of`` gets the scope.
    """

    def __init__(self, app: ASGIApp, **settings: Unpack[DoorSettings[Scope]]) -> None:
        self._app = app
        self._door: Door[Scope] = Door(**settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        door = self._door
        if scope["path"] in door.exempt:
            await self._app({**scope, "headers": stripped(scope)}, receive, send)
            return
        asked = asked_in(scope, door)
        if scope["type"] == "http" and door.wants_body(asked):
            try:
                body, receive = await _taken(scope, receive, door.limit_bytes)
            except _ClientGone:  # nobody is there to be answered
                return
            decision = await door.adecide(asked, body)
        else:
            decision = await door.adecide(asked)
        refused = door.answer(decision)
        if refused is not None:
            await _refuse(scope, receive, send, refused)
            return
        inner = {**scope, "headers": stripped(scope) + encoded(trusted_headers(decision)), KEY: decision}
        await self._app(inner, receive, _warned(send, decision) if decision.warnings else send)


def asked_in(scope: Scope, door: Door[Scope], scopes: tuple[str, ...] = ()) -> Asked:
    """Return what a request's scope says."""
    field = door.field
    values = [value for name, value in scope["headers"] if name.lower() == field]
    return Asked(values, scope.get("query_string", b""), door.partner(scope), _target(scope), scopes)


def declared_bytes(scope: Scope) -> int:
    """Return the length that a request declares for its body, or 0."""
    values = [value for name, value in scope["headers"] if name.lower() == b"content-length"]
    return int(values[0]) if len(values) == 1 and values[0].isdigit() else 0


class _ClientGone(Exception):
    """Say that the client went before its request was whole."""


async def _taken(scope: Scope, receive: Receive, limit_bytes: int) -> tuple[bytes | None, Receive]:
    """Read a body up to a limit; return it, or None where it is longer, and what gives it out again."""
    if declared_bytes(scope) > limit_bytes:
        return None, receive
    body = bytearray()
    more = True
    while more and len(body) <= limit_bytes:
        message = await receive()
        if message["type"] != "http.request":
            raise _ClientGone
        body += message.get("body", b"")
        more = message.get("more_body", False)
    octets = bytes(body)
    whole = {"type": "http.request", "body": octets, "more_body": more}
    return octets if len(octets) <= limit_bytes else None, _again(whole, receive)


def _again(first: Message, receive: Receive) -> Receive:
    """Return a ``receive`` that gives a message out again, and then what else comes."""
    waiting = [first]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


def stripped(scope: Scope) -> Headers:
    """Return the request's headers without those that only a door may set."""
    return [
        pair
        for pair in scope["headers"]
        if pair[0][:1] not in _MAY_BE_OURS or not is_ours(pair[0].decode("latin-1"))
    ]


def encoded(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return headers as ASGI wants them."""
    return [(name.encode(), value.encode()) for name, value in headers]


def _target(scope: Scope) -> str:
    """Return the path as it was sent, where the server tells it: escapes have two readings."""
    raw: bytes | None = scope.get("raw_path")
    return scope["path"] if raw is None else raw.decode("latin-1")


def _warned(send: Send, decision: Decision) -> Send:
    """Return a ``send`` that adds the warnings to the response."""
    extra = encoded(warning_headers(decision))

    async def warned(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await send(message)

    return warned


async def _refuse(scope: Scope, receive: Receive, send: Send, refused: Answer) -> None:
    headers = encoded([*refused.headers, ("content-length", str(len(refused.body)))])
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect comes first
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": refused.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": refused.body})
