"""A Litestar guard. Needs the extra ``litestar``.

The decision stands in ``request.scope["rapidjws"]``; verified claims are
``request.scope["rapidjws"].verified.claims``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.middleware.asgi import decide_in_scope
from rapidjws.middleware.authenticator import Authenticator
from rapidjws.middleware.response import Answer
from rapidjws.verify.arguments import names_of

try:
    from litestar import Response
    from litestar.exceptions import HTTPException
except ImportError as missing:
    raise ImportError("the Litestar guard needs: pip install 'rapidjws[litestar]'") from missing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from litestar import Request
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler
    from typing_extensions import Unpack

    from rapidjws.middleware.asgi import Scope
    from rapidjws.middleware.authenticator import AuthenticatorSettings

    Connection = ASGIConnection[Any, Any, Any, Any]
    Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]


class JWSRefused(HTTPException):
    """A refusal.

    Attributes:
        answer: Status, headers and problem document.
    """

    def __init__(self, answer: Answer) -> None:
        problem = json.loads(answer.body)
        super().__init__(
            detail=problem["detail"],
            status_code=answer.status,
            headers=dict(answer.headers),
            extra={"code": problem["code"]},
        )
        self.answer = answer


def refusal(request: Request[Any, Any, Any], refused: JWSRefused) -> Response[bytes]:
    """Answer a refusal as every middleware does; for ``exception_handlers={JWSRefused: refusal}``.

    Args:
        request: The request.
        refused: What the guard raised.
    """
    headers = dict(refused.answer.headers)
    media_type = headers.pop("content-type")
    return Response(
        refused.answer.body, status_code=refused.answer.status, headers=headers, media_type=media_type
    )


class JWSGuard:
    """A guard that lets requests through to a handler as the engine decides.

    ``guards=[jws]`` of an application, a controller or a handler; ``jws.scopes("pay")`` asks for scopes too.
    Guards run after middlewares and before dependencies: what comes before sees the headers as the client
    sent them. Warnings reach no response and bodies cannot be read here: for these there is
    ``JWSMiddleware``. With ``exception_handlers={JWSRefused: refusal}`` a refusal has the problem document of
    every middleware. ``on_startup=[jws.await_keys]`` waits for keys.

    Args:
        settings: As for :class:`rapidjws.middleware.Authenticator`, without ``body``; ``partner_of`` gets the
            scope.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked(but=("settings",))
    def __init__(self, **settings: Unpack[AuthenticatorSettings[Scope]]) -> None:
        if settings.get("body") is not None:
            raise error_for("configuration_invalid", "body", "JWSMiddleware for signed bodies")
        self._authenticator: Authenticator[Scope] = Authenticator(**settings)

    async def await_keys(self, timeout_s: float = 10.0) -> bool:
        """Wait, within a bound, until each required issuer has keys.

        Args:
            timeout_s: Longest wait, in seconds, from 0 to 3600.

        Returns:
            Whether every required issuer has keys.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such bound.
        """
        return await self._authenticator.await_keys(timeout_s)

    def scopes(self, *scopes: str) -> Guard:
        """Return a guard that asks for scopes too.

        Args:
            scopes: All of them are due (RFC 6749 section 3.3).

        Raises:
            ConfigurationError: ``configuration_invalid``: something else than strings.
        """
        due = names_of(scopes, "scopes")

        async def guard(connection: Connection, _: BaseRouteHandler) -> None:
            await self._check(connection, due)

        return guard

    async def __call__(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Decide about a request.

        Args:
            connection: The request.
            handler: The handler it is for.

        Raises:
            JWSRefused: It is refused.
        """
        await self._check(connection, ())

    async def _check(self, connection: Connection, due: tuple[str, ...]) -> None:
        scope: Scope = connection.scope  # type: ignore[assignment]
        refused = await decide_in_scope(scope, self._authenticator, due)
        if refused is not None:
            raise JWSRefused(refused)
