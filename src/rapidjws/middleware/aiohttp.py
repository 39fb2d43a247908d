"""aiohttp middleware. Needs the extra ``aiohttp``.

The decision stands in ``request[DECISION]``; verified claims are ``request[DECISION].verified.claims``.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING

from rapidjws._checks import checked
from rapidjws.jwt.decision import Decision
from rapidjws.middleware.authenticator import KEY, Authenticator
from rapidjws.middleware.requests import RequestContext, content_length, is_exempt, is_websocket
from rapidjws.middleware.response import warning_headers
from rapidjws.middleware.startup import READY_TIMEOUT_S, checked_ready_timeout_s
from rapidjws.observe.request_info import IdentifiedHeaders

try:
    from aiohttp import web
    from multidict import CIMultiDict
except ImportError as missing:
    raise ImportError("the aiohttp middleware needs: pip install 'rapidjws[aiohttp]'") from missing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from typing_extensions import Unpack

    from rapidjws.middleware.authenticator import AuthenticatorSettings

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

DECISION = web.RequestKey(KEY, Decision)
"""The key of the decision in a request."""

_DUE = web.RequestKey(f"{KEY} warnings", list)
"""The key of the headers that its response is still to get."""


@checked(but=("settings",))
def setup(
    app: web.Application,
    *,
    ready_timeout_s: float = READY_TIMEOUT_S,
    **settings: Unpack[AuthenticatorSettings[web.Request]],
) -> None:
    """Put a middleware before all handlers and middlewares of an application.

    aiohttp unpacks bodies with a Content-Encoding: what was signed must be what came out of it.

    Args:
        app: The application, not started yet.
        ready_timeout_s: Longest time, 0 to 3600 seconds, that the application's startup waits until each
            required issuer has keys; then it starts all the same.
        settings: As for :class:`rapidjws.middleware.Authenticator`; ``partner_of`` gets the request.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    authenticator: Authenticator[web.Request] = Authenticator(**settings)
    bound_s = checked_ready_timeout_s("ready_timeout_s", ready_timeout_s)

    async def await_keys(_: web.Application) -> None:
        await authenticator.await_keys(bound_s)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await _through(authenticator, request, handler)

    app.middlewares.insert(0, middleware)
    app.on_response_prepare.append(_warn)
    app.on_startup.append(await_keys)


async def _through(
    authenticator: Authenticator[web.Request], request: web.Request, handler: Handler
) -> web.StreamResponse:
    """Answer one request, or hand it on."""
    headers = CIMultiDict([pair for pair in request.headers.items() if not authenticator.is_ours(pair[0])])
    if is_exempt(authenticator.exempt, request.path, request.rel_url.raw_path):  # what the router matches
        inner = request.clone(headers=headers)
        inner.pop(DECISION, None)  # that of an outer application is none of this one
        return await handler(inner)
    context = _request_context(request, authenticator)
    body: bytes | None = b""
    try:
        if authenticator.wants_body(context):
            body = await _read_body(request, authenticator.limit_bytes)
        decision = await authenticator.adecide(context, body)
        only = authenticator.handed_on(decision, body)
        if body is not None and only is not None and only != body:
            await request.content.readexactly(len(body))
            _put_back(request, only)
            headers["Content-Length"] = str(len(only))
            headers.pop("Transfer-Encoding", None)
    except _MalformedLength:
        decision = authenticator.refused(context, "malformed_request")
    refused = authenticator.answer(decision, context)
    if refused is not None:
        return web.Response(status=refused.status, headers=dict(refused.headers), body=refused.body)
    headers.update(authenticator.trusted_headers(decision))
    if context.trace is not None:
        headers.update(context.trace.headers())
    request[DECISION] = decision  # its clone takes it over
    request.setdefault(_DUE, []).extend(warning_headers(decision))  # one list for all clones
    return await handler(request.clone(headers=headers))


def _request_context(request: web.Request, authenticator: Authenticator[web.Request]) -> RequestContext:
    values = authenticator.values(partial(_values, request))
    if authenticator.body is not None and is_websocket(request.headers.get("Upgrade", "")):
        values = []  # what comes over a websocket is signed by nothing
    target = request.raw_path
    query = target.partition("?")[2].encode("utf-8", "replace")
    headers = IdentifiedHeaders(partial(_values, request))
    return RequestContext(
        values,
        query,
        authenticator.partner(request),
        target,
        (),
        headers,
        authenticator.begin(headers),
        request.method,
        target,
        "unix" if request.remote == "" else request.remote,
    )


def _values(request: web.Request, field: bytes) -> list[bytes]:
    return [value for name, value in request.raw_headers if name.lower() == field]


class _MalformedLength(Exception):
    """A Content-Length that is not one plain number."""


async def _read_body(request: web.Request, limit_bytes: int) -> bytes | None:
    """Read a body up to a limit and put it back; return it, or None where it is longer.

    Raises:
        _MalformedLength: The declared length is malformed.
    """
    declared = _values(request, b"content-length")
    size = content_length(declared) if declared else 0
    if size is None:
        raise _MalformedLength
    if size > limit_bytes:
        return None
    if not request.body_exists:
        return b""
    if not request.can_read_body:  # a middleware before this one read it: aiohttp keeps what read() gave
        body = bytearray(await request.read())
    else:
        body = bytearray()
        while len(body) <= limit_bytes and (piece := await request.content.readany()):
            body += piece
    _put_back(request, bytes(body))
    return bytes(body) if len(body) <= limit_bytes else None


def _put_back(request: web.Request, body: bytes) -> None:
    """Let whoever reads next read these octets first."""
    with warnings.catch_warnings():  # deprecated since long, and the only way to give octets back
        warnings.simplefilter("ignore", DeprecationWarning)
        request.content.unread_data(body)


async def _warn(request: web.Request, response: web.StreamResponse) -> None:
    """Add the warnings to a response before its head is sent, streamed ones included.

    Of applications within each other each calls this, with whichever clone of the request.
    """
    due = request.get(_DUE)
    if due:
        response.headers.extend(due)
        due.clear()
