"""Starlette's authentication: a backend whose users are verified tokens. Needs the extra ``starlette``.

The decision stands in ``request.scope["rapidjws"]``, its subject in ``request.user``, its scopes in
``request.auth``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.jose.scopes import scopes_of
from rapidjws.middleware.asgi import decide_in_scope
from rapidjws.middleware.authenticator import KEY, Authenticator
from rapidjws.middleware.response import Answer
from rapidjws.middleware.token_subject import TokenSubject

try:
    from starlette.authentication import (
        AuthCredentials,
        AuthenticationBackend,
        AuthenticationError,
        BaseUser,
    )
    from starlette.responses import Response
except ImportError as missing:
    raise ImportError("the Starlette backend needs: pip install 'rapidjws[starlette]'") from missing

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from typing_extensions import Unpack

    from rapidjws.jwt.decision import Decision
    from rapidjws.middleware.asgi import Scope
    from rapidjws.middleware.authenticator import AuthenticatorSettings


class JWSRefused(AuthenticationError):
    """A refusal; ``on_error`` makes it the answer of every middleware.

    Attributes:
        answer: Status, headers and problem document.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__("the token was refused")
        self.answer = answer


class TokenUser(TokenSubject, BaseUser):
    """The subject of a verified token.

    Args:
        claims: Its claims.
    """

    @property
    def is_authenticated(self) -> bool:
        """Return True: an unverified request has another user."""
        return True

    @property
    def display_name(self) -> str:
        """Return the subject, or nothing."""
        return self.identity

    @property
    def identity(self) -> str:
        """Return the subject, or nothing."""
        return self._subject()


def on_error(connection: HTTPConnection, refused: AuthenticationError) -> Response:
    """Answer a refusal as every middleware does; for ``AuthenticationMiddleware(on_error=on_error)``.

    Args:
        connection: The request.
        refused: What the backend raised.

    Raises:
        ConfigurationError: ``configuration_invalid``: it is another backend's.
    """
    if not isinstance(refused, JWSRefused):
        raise error_for("configuration_invalid", "on_error", "the backend JWSBackend beside it")
    return Response(refused.answer.body, refused.answer.status, dict(refused.answer.headers))


class JWSBackend(AuthenticationBackend):
    """A backend for ``AuthenticationMiddleware(backend=JWSBackend(...), on_error=on_error)``.

    Requests are refused by the backend itself: ``@requires`` then asks for scopes only. Warnings reach no
    response and bodies cannot be read here: for these there is ``JWSMiddleware``. The keys are waited for by
    ``await_keys``, in the application's lifespan.

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

    async def await_keys(self, timeout_s: float) -> bool:
        """Wait, within a bound, until each required issuer has keys.

        Args:
            timeout_s: Longest wait, in seconds, from 0 to 3600.

        Returns:
            Whether every required issuer has keys.

        Raises:
            ConfigurationError: ``configuration_invalid``: no such bound.
        """
        return await self._authenticator.await_keys(timeout_s)

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Return the scopes and the subject of a request; None where it needs none, or passes unverified.

        Args:
            conn: The request, or a websocket's.

        Raises:
            JWSRefused: It is refused.
        """
        refused = await decide_in_scope(conn.scope, self._authenticator)
        if refused is not None:
            raise JWSRefused(refused)
        decision: Decision | None = conn.scope.get(KEY)
        if decision is None or decision.verified is None:
            return None
        claims = decision.verified.claims
        return AuthCredentials(sorted(scopes_of(claims))), TokenUser(claims)
