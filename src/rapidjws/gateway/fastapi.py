"""A FastAPI dependency: a security scheme in OpenAPI, the door's refusals, and claims as a typed value.

Needs the extra ``fastapi``. FastAPI reads the annotations of a dependency at run time, so here they are
objects, not text.
"""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rapidjws.engine.decision import Decision
from rapidjws.gateway.answer import Answer, trusted_headers, warning_headers
from rapidjws.gateway.asgi import Scope, asked_in, encoded, stripped
from rapidjws.gateway.door import KEY, Door

try:
    from fastapi import HTTPException, Request, Response
    from fastapi.openapi import models
    from fastapi.security import SecurityScopes
    from fastapi.security.base import SecurityBase
    from pydantic import TypeAdapter, ValidationError
except ImportError as missing:
    raise ImportError("the FastAPI dependency needs: pip install 'rapidjws[fastapi]'") from missing

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from rapidjws.gateway.door import DoorSettings

ClaimsT = TypeVar("ClaimsT")

_LENIENT = ("detection", "warning")
"""Phases in which no request is refused."""

_HANDLERS = "starlette.exception_handlers"


class JWSRefused(HTTPException):
    """Carry a refusal; the dependency sees to it that its answer is that of every other door.

    Args:
        answer: What the client gets.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status, json.loads(answer.body), dict(answer.headers))
        self.answer = answer


async def refusal(request: Request, refused: Exception) -> Response:
    """Answer a request that was refused: the problem document and its headers."""
    assert isinstance(refused, JWSRefused)
    answer = refused.answer
    return Response(answer.body, answer.status, dict(answer.headers))


class JWSSecurity(SecurityBase, Generic[ClaimsT]):
    """Be a dependency that gives the verified claims of a request, or refuses it.

    ``Annotated[Caller, Security(jws, scopes=["pay"])]`` asks for scopes too. The decision stands in
    ``request.scope["rapidjws"]``. The value is None where a phase lets a request through unverified. The
    headers of a warning reach responses that FastAPI makes; a ``Response`` of the handler's own lacks them.

    Args:
        claims: What the claims are read as: a pydantic model, a dataclass, a TypedDict or ``dict[str, Any]``.
        scheme_name: Its name in OpenAPI.
        description: Words for OpenAPI.
        settings: As for :class:`rapidjws.gateway.Door`; ``partner_of`` gets the scope.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    def __init__(
        self,
        claims: type[ClaimsT],
        *,
        scheme_name: str = "JWS",
        description: str | None = None,
        **settings: "Unpack[DoorSettings[Scope]]",
    ) -> None:
        self._door: Door[Scope] = Door(**settings)
        self._claims = TypeAdapter(claims)
        self.scheme_name = scheme_name
        self.model = _model(self._door, description)

    async def __call__(
        self, request: Request, response: Response, security_scopes: SecurityScopes
    ) -> ClaimsT | None:
        """Return the claims, or None for a request that is let through without; raise JWSRefused."""
        scope, door = request.scope, self._door
        if scope["path"] in door.exempt:
            scope["headers"][:] = stripped(scope)
            return None
        decision = await door.adecide(asked_in(scope, door, tuple(security_scopes.scopes)))
        claims, decision = self._read(decision)
        refused = door.answer(decision)
        if refused is not None:
            handlers: dict[Any, Callable[..., Awaitable[Response]]] = scope.get(_HANDLERS, ({},))[0]
            handlers.setdefault(JWSRefused, refusal)
            raise JWSRefused(refused)
        scope["headers"][:] = stripped(scope) + encoded(trusted_headers(decision))
        scope[KEY] = decision
        for name, value in warning_headers(decision):
            response.headers.append(name, value)
        return claims

    def _read(self, decision: Decision) -> tuple[ClaimsT | None, Decision]:
        """Return the claims of a verified token, or a decision against one whose claims do not fit."""
        if decision.verified is None:
            return None, decision
        try:
            return self._claims.validate_python(decision.verified.claims), decision
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


def _model(door: Door[Scope], description: str | None) -> models.SecurityBase:
    """Return how OpenAPI describes the place of the token."""
    place = door.place
    if place.is_bearer:
        return models.HTTPBearer(bearerFormat="JWT", description=description)
    where = models.APIKeyIn.header if place.cookie is None else models.APIKeyIn.cookie
    name = place.header if place.cookie is None else place.cookie
    return models.APIKey.model_validate({"in": where, "name": name, "description": description})
