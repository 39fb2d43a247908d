"""ASGI middleware: Starlette, FastAPI, Litestar and everyone who speaks ASGI 3.

The decision stands in ``scope["rapidjws"]``; verified claims are ``scope["rapidjws"].verified.claims``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.middleware.authenticator import KEY, Authenticator
from rapidjws.middleware.requests import (
    RequestContext,
    content_length,
    is_exempt,
    routes_of,
    signed_target,
)
from rapidjws.middleware.response import Answer, warning_headers
from rapidjws.middleware.startup import READY_TIMEOUT_S, checked_ready_timeout_s
from rapidjws.observe.request_info import IdentifiedHeaders

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from rapidjws.jwt.decision import Decision
    from rapidjws.middleware.authenticator import AuthenticatorSettings
    from rapidjws.observe.tracing import RequestTrace

Headers = list[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


_FRAMING = (b"content-length", b"transfer-encoding")
"""Headers about the length of a body, from before it was read whole."""


class JWSMiddleware:
    """A middleware that lets requests through to an ASGI application as the engine decides.

    A refused websocket is closed with 4000 and the HTTP status (4401, 4403, 4503), or gets that answer itself
    from a server with the extension ``websocket.http.response``. Where bodies are signed, a websocket is a
    request without a signature: nothing signs what comes over it.

    A middleware within another decides by itself: what the outer one set is removed, headers and decision.

    Args:
        app: The application.
        undecided_scopes: Types of ASGI scopes, beside ``lifespan``, that are handed on without a decision.
            Any other type that is neither ``http`` nor ``websocket`` raises.
        ready_timeout_s: Longest time, 0 to 3600 seconds, that the end of the application's startup is held
            back until each required issuer has keys; then it starts all the same.
        settings: As for :class:`rapidjws.middleware.Authenticator`; ``partner_of`` gets the scope.

    Raises:
        ConfigurationError: ``configuration_invalid``; of a call, for a scope's type that is not named.
    """

    @checked(but=("settings",))
    def __init__(
        self,
        app: ASGIApp,
        *,
        undecided_scopes: Iterable[str] = (),
        ready_timeout_s: float = READY_TIMEOUT_S,
        **settings: Unpack[AuthenticatorSettings[Scope]],
    ) -> None:
        self._app = app
        self._undecided = _undecided(undecided_scopes)
        self._ready_timeout_s = checked_ready_timeout_s("ready_timeout_s", ready_timeout_s)
        self._authenticator: Authenticator[Scope] = Authenticator(**settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            if kind not in self._undecided:
                raise error_for(
                    "configuration_invalid", "scope.type", "a type in undecided_scopes", str(kind)
                )
            if kind == "lifespan":
                await self._start(scope, receive, send)
            else:
                await self._app(scope, receive, send)
            return
        authenticator = self._authenticator
        if is_exempt_scope(scope, authenticator):
            inner = {**scope, "headers": stripped(scope, authenticator)}
            inner.pop(KEY, None)  # an outer middleware's decision is none of this one
            await self._app(inner, receive, send)
            return
        context = request_context(scope, authenticator)
        headers = stripped(scope, authenticator)
        if kind == "http" and authenticator.wants_body(context):
            try:
                body, receive = await _read_body(scope, receive, authenticator.limit_bytes)
                decision = await authenticator.adecide(context, body)
                read, body = body, authenticator.handed_on(decision, body)
                if body is not None and body != read:
                    first = {"type": "http.request", "body": body, "more_body": False}
                    receive = _replaying(first, receive)
                headers = headers if body is None else with_length(headers, len(body))
            except ClientGone:  # nobody is there to be answered
                return
            except MalformedLength:
                decision = authenticator.refused(context, "malformed_request")
        else:
            decision = await authenticator.adecide(context)
        refused = authenticator.answer(decision, context)
        if refused is not None:
            await _refuse(scope, receive, send, refused)
            return
        if context.trace is not None:
            headers = with_trace(headers, context.trace)
        inner = {
            **scope,
            "headers": headers + authenticator.trusted_octets(decision),
            KEY: decision,
        }
        has_more = decision.warnings or decision.nonce is not None
        await self._app(inner, receive, _warned(send, decision) if has_more else send)

    async def _start(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a lifespan on, and hold back the end of its startup until the keys are there.

        The application's own startup runs meanwhile: it may be what brings them. At the end of its shutdown
        what was counted is put by: some servers then end by the signal itself.
        """
        is_open = True

        async def passed(message: Message) -> None:
            nonlocal is_open
            if is_open and message["type"] == "lifespan.startup.complete":
                await self._authenticator.await_keys(self._ready_timeout_s)
            is_open = False
            if message["type"].startswith("lifespan.shutdown."):
                await self._authenticator.aflush()
            await send(message)

        try:
            await self._app(scope, receive, passed)
        except Exception:
            if is_open:  # no lifespan there: servers go on to requests
                await self._authenticator.await_keys(self._ready_timeout_s)
            raise
        if is_open:
            await self._authenticator.await_keys(self._ready_timeout_s)


def _undecided(types: Iterable[str]) -> frozenset[str]:
    names = () if isinstance(types, str) else tuple(types)
    if isinstance(types, str) or not all(isinstance(name, str) for name in names):
        raise error_for("configuration_invalid", "undecided_scopes", expected="a list of types of scopes")
    if not {"http", "websocket"}.isdisjoint(names):
        raise error_for("configuration_invalid", "undecided_scopes", expected="neither http nor websocket")
    return frozenset(("lifespan", *names))


def is_exempt_scope(scope: Scope, authenticator: Authenticator[Scope]) -> bool:
    """Return whether a request needs no token."""
    path: str = scope["path"]
    if path not in authenticator.exempt:
        return False
    inner = path.removeprefix(_root_path(scope, authenticator)) or "/"
    return inner in authenticator.exempt and is_exempt(authenticator.exempt, path, _target(scope) or path)


def request_context(
    scope: Scope, authenticator: Authenticator[Scope], scopes: tuple[str, ...] = ()
) -> RequestContext:
    """Return what a request's scope says."""
    given = partial(_values, scope)
    values = authenticator.values(given)
    if authenticator.body is not None and scope["type"] == "websocket":
        values = []  # what comes over a websocket is signed by nothing
    route = routes_of(_target(scope), scope["path"], _root_path(scope, authenticator), codec="utf-8")
    headers = IdentifiedHeaders(given)
    query = scope.get("query_string", b"")
    method = scope.get("method", "GET" if scope["type"] == "websocket" else "")  # RFC 6455 s.4.1
    trace = authenticator.begin(headers) if authenticator.observer.is_tracing else None
    context = RequestContext(
        values, query, authenticator.partner(scope), route, scopes, headers, trace, method
    )
    if not authenticator.reads_target:
        return context
    target = signed_target(_target(scope), scope["path"], query, codec="utf-8")
    return context._replace(target=target, peer=_peer(scope))


def _peer(scope: Scope) -> str | None:
    """Return who sent a request, ``"unix"`` where the server says that it listens on a Unix socket."""
    client, server = scope.get("client"), scope.get("server")
    if client and client[0]:
        return str(client[0])
    return "unix" if server and server[0] and server[1] is None else None


async def decide_in_scope(
    scope: Scope, authenticator: Authenticator[Scope], scopes: tuple[str, ...] = ()
) -> Answer | None:
    """Return the refusal of a request, or None, and its scope with what the application may read.

    For what a framework itself calls, with the scope that the application gets; bodies are not read.

    Args:
        scope: The request's scope: the decision and the trusted headers are put into it.
        authenticator: The settings.
        scopes: The scopes that are due.
    """
    scope.pop(KEY, None)
    if is_exempt_scope(scope, authenticator):
        scope["headers"] = stripped(scope, authenticator)
        return None
    context = request_context(scope, authenticator, scopes)
    decision = await authenticator.adecide(context)
    refused = authenticator.answer(decision, context)
    if refused is None:
        headers = stripped(scope, authenticator)
        if context.trace is not None:
            headers = with_trace(headers, context.trace)
        scope["headers"] = headers + authenticator.trusted_octets(decision)
        scope[KEY] = decision
    return refused


def with_trace(headers: Headers, trace: RequestTrace) -> Headers:
    """Return headers whose ``traceparent`` names our span."""
    made = encoded(trace.headers())
    names = {name for name, _ in made}
    return [*(pair for pair in headers if pair[0].lower() not in names), *made]


def _values(scope: Scope, field: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name.lower() == field]


def declared_bytes(scope: Scope) -> int | None:
    """Return the length that a request declares for its body, or None.

    Raises:
        MalformedLength: It is not one plain number.
    """
    values = _values(scope, b"content-length")
    if not values:
        return None
    size = content_length(values)
    if size is None:
        raise MalformedLength
    return size


def with_length(headers: Headers, size: int) -> Headers:
    """Return headers with the length of a body that was read whole: frameworks read so much, and no more."""
    kept = [pair for pair in headers if pair[0].lower() not in _FRAMING]
    return [*kept, (b"content-length", b"%d" % size)]


class ClientGone(Exception):
    """The client went before its request was whole."""


class MalformedLength(Exception):
    """A Content-Length that is not one plain number, or not the body's."""


async def _read_body(scope: Scope, receive: Receive, limit_bytes: int) -> tuple[bytes | None, Receive]:
    """Read a body up to a limit; return it, or None where it is longer, and what gives it out again.

    Raises:
        ClientGone: The client went away.
        MalformedLength: The declared length is malformed, or not that of the body.
    """
    size = declared_bytes(scope)
    if size is not None and size > limit_bytes:
        return None, receive
    body = bytearray()
    more = True
    while more and len(body) <= limit_bytes:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        body += message.get("body", b"")
        more = message.get("more_body", False)
    octets = bytes(body)
    if size is not None and size != len(octets):
        raise MalformedLength
    first = {"type": "http.request", "body": octets, "more_body": more}
    return octets if len(octets) <= limit_bytes else None, _replaying(first, receive)


def _replaying(first: Message, receive: Receive) -> Receive:
    """Return a ``receive`` that gives a message out again, then what else comes: no octets past the end."""
    waiting = [first]
    ended = not first["more_body"]

    async def replayed() -> Message:
        if waiting:
            return waiting.pop()
        message = await receive()
        if ended and message["type"] == "http.request":  # its octets were not verified
            return {"type": "http.request", "body": b"", "more_body": False}
        return message

    return replayed


def stripped(scope: Scope, authenticator: Authenticator[Scope]) -> Headers:
    """Return the request's headers without those that only a middleware may set."""
    may_be_ours, is_ours = authenticator.first_letters, authenticator.is_ours_octets
    return [pair for pair in scope["headers"] if pair[0][:1] not in may_be_ours or not is_ours(pair[0])]


def encoded(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return headers as ASGI wants them."""
    return [(name.encode(), value.encode()) for name, value in headers]


def _target(scope: Scope) -> str | None:
    """Return the path as it was sent, where the server tells it: escapes have two readings."""
    raw: bytes | None = scope.get("raw_path")
    return None if raw is None else raw.decode("latin-1")


def _root_path(scope: Scope, authenticator: Authenticator[Scope]) -> str:
    """Return where the server says that the application is mounted, if that is not known.

    Starlette's own mounts come after it in ``root_path``; it keeps the server's value.
    """
    root_path: str | None = scope.get("app_root_path", scope.get("root_path"))
    return authenticator.unknown_root_path(root_path) if root_path else ""


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
        if not can_deny_websocket(scope):
            await send({"type": "websocket.close", "code": close_code(refused), "reason": ""})
            return
        kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": refused.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": refused.body})


def can_deny_websocket(scope: Scope) -> bool:
    """Return whether a server can answer a websocket's request by HTTP (the Websocket Denial Response)."""
    return "websocket.http.response" in (scope.get("extensions") or {})


def close_code(refused: Answer) -> int:
    """Return the close code of a refused websocket: 4401 for 401 and so on (RFC 6455 s.7.4.2)."""
    return 4000 + refused.status
