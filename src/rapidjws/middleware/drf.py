"""An authentication class of Django REST framework. Needs the extra ``drf``.

``request.user`` is the subject of the token, ``request.auth`` the decision.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rapidjws.errors import error_for
from rapidjws.middleware.authenticator import KEY
from rapidjws.middleware.django import JWSMiddleware
from rapidjws.middleware.response import Answer
from rapidjws.middleware.token_subject import TokenSubject

try:
    from django.http import HttpResponse
    from rest_framework import exceptions
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.settings import api_settings
except ImportError as missing:
    raise ImportError("the authentication class needs: pip install 'rapidjws[drf]'") from missing

if TYPE_CHECKING:
    from collections.abc import Mapping


class JWSRefused(exceptions.APIException):  # type: ignore[misc]
    """A refusal: status, challenge and problem document of every middleware.

    Attributes:
        answer: Status, headers and problem document.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(json.loads(answer.body))
        self.answer = answer
        self.status_code = answer.status
        headers = dict(answer.headers)
        self.auth_header = headers.get("www-authenticate")
        self.wait = int(headers["retry-after"]) if "retry-after" in headers else None


class TokenUser(TokenSubject):
    """The subject of a verified token.

    Args:
        claims: Its claims.
    """

    is_authenticated = True
    is_anonymous = False
    is_active = True

    @property
    def pk(self) -> str:
        """Return the subject, or nothing."""
        return self._subject()

    @property
    def username(self) -> str:
        """Return the subject, or nothing."""
        return self.pk

    def __str__(self) -> str:
        """Return the subject, or nothing."""
        return self.pk


class JWSAuthentication(BaseAuthentication):  # type: ignore[misc]
    """An authentication class that lets requests through to a view as the engine decides.

    Its settings stand in ``RAPIDJWS``, as for :class:`rapidjws.middleware.django.JWSMiddleware`; a
    subclass may set ``options`` instead. Whoever has no token is refused: classes named after this one
    get no turn, and ``AllowAny`` lets nobody through whom this one refuses. What runs before the
    view sees the headers as the client sent them; signed bodies take the middleware.

    With ``EXCEPTION_HANDLER`` set to ``rapidjws.middleware.drf.exception_handler``, a refusal has the problem
    document and all headers of every middleware; without, its status, challenge and code.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    options: Mapping[str, Any] | None = None
    """The settings, in the place of ``RAPIDJWS``."""

    def __init__(self) -> None:
        self._deciding = _deciding(type(self), self.options)

    def authenticate(self, request: Any) -> tuple[Any, Any] | None:
        """Return the user and the decision of a request; None for an exempt path.

        Args:
            request: REST framework's request.

        Raises:
            JWSRefused: It is refused.
        """
        inner = getattr(request, "_request", request)
        answer = self._deciding(inner)
        if isinstance(answer, Answer):
            raise JWSRefused(answer)
        decision = getattr(inner, KEY, None)
        if decision is None:
            return None
        if decision.verified is not None:
            return TokenUser(decision.verified.claims), decision
        nobody = api_settings.UNAUTHENTICATED_USER
        return (None if nobody is None else nobody()), decision

    def authenticate_header(self, request: Any) -> str:
        """Return the challenge for what permissions refuse.

        Args:
            request: REST framework's request.
        """
        return 'Bearer realm="api"'


class _Deciding(JWSMiddleware):
    """The Django middleware before nothing: it decides, and says what it would answer."""

    def _respond(self, request: Any, refused: Answer) -> Answer:
        return refused


_MADE: dict[type, tuple[Any, _Deciding]] = {}
"""One of them a class: REST framework makes an authentication class for each request."""


def _deciding(of: type, options: Mapping[str, Any] | None) -> _Deciding:
    kept = _MADE.get(of)
    if kept is None or kept[0] is not options:
        made = type("_Deciding", (_Deciding,), {"options": options})(lambda _: None)
        if made._authenticator.body is not None:
            raise error_for("configuration_invalid", "body", "JWSMiddleware for signed bodies")
        kept = _MADE[of] = (options, made)
    return kept[1]


def exception_handler(refused: Exception, context: dict[str, Any]) -> Any:
    """Answer a refusal as every middleware does, and everything else as REST framework does.

    Args:
        refused: What was raised.
        context: The view and its request.
    """
    if not isinstance(refused, JWSRefused):
        from rest_framework import views  # reads Django's settings when it is imported

        return views.exception_handler(refused, context)
    body = b"" if context["request"].method == "HEAD" else refused.answer.body
    headers = {**dict(refused.answer.headers), "content-length": str(len(refused.answer.body))}
    return HttpResponse(body, status=refused.answer.status, headers=headers)
