"""aiohttp middleware. Needs the extra ``aiohttp``.

The decision stands in ``request[DECISION]``; verified claims are ``request[DECISION].verified.claims``.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from rapidjws.engine.decision import Decision
from rapidjws.gateway.answer import is_ours, trusted_headers, warning_headers
from rapidjws.gateway.door import KEY, Asked, Door

try:
    from aiohttp import web
    from multidict import CIMultiDict
except ImportError as missing:
    raise ImportError("the aiohttp middleware needs: pip install 'rapidjws[aiohttp]'") from missing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from typing_extensions import Unpack

    from rapidjws.gateway.door import DoorSettings

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

DECISION = web.RequestKey(KEY, Decision)
"""The key of the decision in a request."""


def setup(app: web.Application, **settings: Unpack[DoorSettings[web.Request]]) -> None:
    """Put a door before all handlers and middlewares of an application.

    aiohttp unpacks bodies with a Content-Encoding: what was signed must be what came out of it.

    Args:
        app: The application, not started yet.
        settings: As for :class:`rapidjws.gateway.Door`; ``partner_of`` gets the request.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    door: Door[web.Request] = Door(**settings)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await _through(door, request, handler)

    app.middlewares.insert(0, middleware)
    app.on_response_prepare.append(_warn)


async def _through(door: Door[web.Request], request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer one request, or hand it on."""
    headers = CIMultiDict([pair for pair in request.headers.items() if not is_ours(pair[0])])
    if request.path in door.exempt:
        return await handler(request.clone(headers=headers))
    asked = _asked_in(request, door)
    if door.wants_body(asked):
        decision = await door.adecide(asked, await _taken(request, door.limit_bytes))
    else:
        decision = await door.adecide(asked)
    refused = door.answer(decision)
    if refused is not None:
        return web.Response(status=refused.status, headers=dict(refused.headers), body=refused.body)
    headers.update(trusted_headers(decision))
    request[DECISION] = decision  # its clone takes it over, and _warn is given either
    return await handler(request.clone(headers=headers))


def _asked_in(request: web.Request, door: Door[web.Request]) -> Asked:
    values = [value for name, value in request.raw_headers if name.lower() == door.field]
    target = request.raw_path
    query = target.partition("?")[2].encode("utf-8", "replace")
    return Asked(values, query, door.partner(request), target)


async def _taken(request: web.Request, limit_bytes: int) -> bytes | None:
    """Read a body up to a limit and put it back; return it, or None where it is longer."""
    if (request.content_length or 0) > limit_bytes:
        return None
    if not request.body_exists:
        return b""
    body = bytearray()
    while len(body) <= limit_bytes and (piece := await request.content.readany()):
        body += piece
    with warnings.catch_warnings():  # deprecated since long, and the only way to give octets back
        warnings.simplefilter("ignore", DeprecationWarning)
        request.content.unread_data(bytes(body))
    return bytes(body) if len(body) <= limit_bytes else None


async def _warn(request: web.Request, response: web.StreamResponse) -> None:
    """Add the warnings to a response before its head is sent, streamed ones included."""
    decision = request.get(DECISION)
    if decision is not None and decision.warnings:
        response.headers.extend(warning_headers(decision))
