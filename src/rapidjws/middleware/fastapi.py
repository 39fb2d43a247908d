"""A FastAPI dependency: a security scheme in OpenAPI, the middleware's refusals, and claims as a typed value.

Needs the extra ``fastapi``. FastAPI reads the annotations of a dependency at run time, so here they are
objects, not text.
"""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_origin

from rapidjws._checks import is_text, refused
from rapidjws.errors import error_for
from rapidjws.jwt.decision import Decision
from rapidjws.middleware.asgi import (
    Headers,
    MalformedLength,
    Scope,
    can_deny_websocket,
    close_code,
    declared_bytes,
    is_exempt_scope,
    request_context,
    stripped,
    with_length,
    with_trace,
)
from rapidjws.middleware.authenticator import KEY, Authenticator
from rapidjws.middleware.requests import RequestContext
from rapidjws.middleware.response import Answer, warning_headers

try:
    from fastapi import HTTPException, Request, Response
    from fastapi.openapi import models
    from fastapi.security import SecurityScopes
    from fastapi.security.base import SecurityBase
    from pydantic import TypeAdapter, ValidationError
    from starlette.requests import ClientDisconnect, HTTPConnection
    from starlette.websockets import WebSocket
except ImportError as missing:
    raise ImportError("the FastAPI dependency needs: pip install 'rapidjws[fastapi]'") from missing

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from rapidjws.middleware.authenticator import AuthenticatorSettings

ClaimsT = TypeVar("ClaimsT")

_LENIENT = ("detection", "warning")
"""Phases in which no request is refused."""

_HANDLERS = "starlette.exception_handlers"


class JWSRefused(HTTPException):
    """A refusal; the dependency sees to it that its answer is that of every middleware.

    Args:
        answer: What the client gets.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status, json.loads(answer.body), dict(answer.headers))
        self.answer = answer


async def refusal(connection: HTTPConnection, refused: Exception) -> Response | None:
    """Answer a request that was refused: the problem document and its headers, or the end of a websocket."""
    assert isinstance(refused, JWSRefused)
    answer = refused.answer
    response = Response(answer.body, answer.status, dict(answer.headers))
    if not isinstance(connection, WebSocket):
        return response
    if can_deny_websocket(connection.scope):
        await connection.send_denial_response(response)
    else:
        await connection.close(close_code(answer))
    return None


class JWSSecurity(SecurityBase, Generic[ClaimsT]):
    """A dependency that gives the verified claims of a request, or refuses it.

    ``Annotated[Caller, Security(jws, scopes=["pay"])]`` asks for scopes too. The decision stands in
    ``request.scope["rapidjws"]``. The value is None where a phase lets a request through unverified. The
    headers of a warning reach responses that FastAPI makes; a ``Response`` of the handler's own lacks them.

    A route for websockets may depend on it: who is refused is closed with 4000 and the HTTP status (4401,
    4403, 4503), or gets that answer itself where the server can. FastAPI does not run dependencies for
    applications that are mounted (``app.mount``), and runs those that a route names first before this one:
    they see the headers as the client sent them. ``JWSMiddleware`` covers both. A signed body cannot be read
    again where a route has form or file parameters; there it takes ``JWSMiddleware`` too. Where a ``part``
    of a body is verified, the route reads that part alone by ``Request.body``; one with a body parameter,
    which FastAPI has read by then, gets no body with more in it than that part.

    Args:
        claims: What the claims are read as: a pydantic model, a dataclass, a TypedDict or ``dict[str, Any]``.
            Of a body that a Verifier verified, its payload is read so.
        scheme_name: Its name in OpenAPI.
        description: Words for OpenAPI.
        settings: As for :class:`rapidjws.middleware.Authenticator`; ``partner_of`` gets the scope.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(
        self,
        claims: type[ClaimsT],
        *,
        scheme_name: str = "JWS",
        description: str | None = None,
        **settings: "Unpack[AuthenticatorSettings[Scope]]",
    ) -> None:
        if not (isinstance(claims, type) or get_origin(claims) is not None):
            raise refused("claims", "a pydantic model, a dataclass, a TypedDict or dict[str, Any]", claims)
        for name, text in (
            ("scheme_name", scheme_name),
            ("description", "" if description is None else description),
        ):
            if not is_text(text):
                raise refused(name, "a string", text)
        self._authenticator: Authenticator[Scope] = Authenticator(**settings)
        self._claims = TypeAdapter(claims)
        self.scheme_name = scheme_name
        self.model = _model(self._authenticator, description)

    async def __call__(
        self, request: HTTPConnection, response: Response, security_scopes: SecurityScopes
    ) -> ClaimsT | None:
        """Return the claims, or None for a request that is let through without; raise JWSRefused."""
        scope, authenticator = request.scope, self._authenticator
        if is_exempt_scope(scope, authenticator):
            _hand_on(request, stripped(scope, authenticator))
            scope.pop(KEY, None)  # a middleware's decision is none of this dependency
            return None
        context = request_context(scope, authenticator, tuple(security_scopes.scopes))
        body: bytes | None = b""
        is_read_before = hasattr(request, "_body")  # by FastAPI, for a route with a body parameter
        if isinstance(request, Request) and authenticator.wants_body(context):
            body = await self._read_body(request, context)
        found = await authenticator.adecide(context, body)
        only = authenticator.handed_on(found, body)
        if only is not None and only != body:  # the route may read no more of it
            if is_read_before:
                found = authenticator.refused(context, "malformed_token", place="body")
            else:
                request._body = only  # type: ignore[attr-defined]
                _hand_on(request, with_length(scope["headers"], len(only)))
        claims, decision = self._read(found)
        if decision is not found:
            authenticator.note(decision, context._replace(trace=None))  # its span has ended
        self._refuse(request, context, decision)
        headers = stripped(scope, authenticator)
        headers = headers if context.trace is None else with_trace(headers, context.trace)
        _hand_on(request, headers + authenticator.trusted_octets(decision))
        scope[KEY] = decision
        for name, value in warning_headers(decision):
            response.headers.append(name, value)
        return claims

    def _refuse(self, request: HTTPConnection, context: RequestContext, decision: Decision) -> None:
        """Raise JWSRefused for what is no permit, and see to its answer."""
        refused = self._authenticator.answer(decision, context)
        if refused is not None:
            handlers: dict[Any, Callable[..., Awaitable[Response | None]]] = request.scope.get(
                _HANDLERS, ({},)
            )[0]
            handlers.setdefault(JWSRefused, refusal)
            raise JWSRefused(refused)

    async def _read_body(self, request: Request, context: RequestContext) -> bytes | None:
        """Return the body, or None where it is longer than the limit; the handler gets it again.

        FastAPI itself reads the body of a route with a body parameter before its dependencies run.
        """
        limit_bytes = self._authenticator.limit_bytes
        if not hasattr(request, "_body"):
            try:
                size = declared_bytes(request.scope)
                if size is not None and size > limit_bytes:
                    return None
                request._body = await self._stream(request, context)  # where Request.body() keeps it too
                if size is not None and size != len(request._body):
                    raise MalformedLength
            except (ClientDisconnect, MalformedLength):
                self._refuse(request, context, self._authenticator.refused(context, "malformed_request"))
        whole = await request.body()
        return whole if len(whole) <= limit_bytes else None

    async def _stream(self, request: Request, context: RequestContext) -> bytes:
        """Read a body that nobody read yet, up to the limit."""
        if request._stream_consumed:  # into a form: its octets are gone
            raise error_for(
                "configuration_invalid", "route", "JWSMiddleware before routes with form parameters"
            )
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._authenticator.limit_bytes:  # half is read, and cannot be given back
                self._refuse(
                    request, context, self._authenticator.refused(context, "too_large", place="body")
                )
        return bytes(body)

    def _read(self, decision: Decision) -> tuple[ClaimsT | None, Decision]:
        """Return the claims of a verified token, or a decision against one whose claims do not fit."""
        if decision.verified is None:
            return None, decision
        try:
            if self._authenticator.body is None or decision.verified.issuer is not None:
                return self._claims.validate_python(decision.verified.claims), decision
            return self._claims.validate_json(decision.verified.payload), decision
        except ValidationError as fault:
            place = ".".join(["claims", *map(str, fault.errors()[0]["loc"])])
            passes = decision.phase in _LENIENT
            return None, Decision(
                outcome="permit" if passes else "deny",
                code="malformed_claim",
                phase=decision.phase,
                partner=decision.partner,
                route=decision.route,
                place=place,
            )


def _hand_on(request: HTTPConnection, headers: Headers) -> None:
    """Put other headers in the place of the request's, also for who holds ``request.headers`` already."""
    if request.headers is not None:  # the first look makes a list of what the server gave
        request.scope["headers"][:] = headers


def _model(authenticator: Authenticator[Scope], description: str | None) -> models.SecurityBase:
    """Return how OpenAPI describes the place of the token."""
    if authenticator.body is not None:
        names = authenticator.body.signature_header
        if names is None or authenticator.body.part is not None:  # no scheme of OpenAPI stands in a body
            return models.HTTPBase(scheme="JWS", description=description or "The body is a JWS.")
        return _key(models.APIKeyIn.header, names if isinstance(names, str) else names[0], description)
    place = authenticator.place
    if place.is_bearer:
        return models.HTTPBearer(bearerFormat="JWT", description=description)
    where = models.APIKeyIn.header if place.cookie is None else models.APIKeyIn.cookie
    name = place.header if place.cookie is None else place.cookie
    return _key(where, name, description)


def _key(where: models.APIKeyIn, name: str, description: str | None) -> models.APIKey:
    return models.APIKey.model_validate({"in": where, "name": name, "description": description})
