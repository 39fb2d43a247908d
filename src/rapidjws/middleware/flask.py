"""A Flask decorator. Needs the extra ``flask``.

The decision stands in ``flask.g.rapidjws`` and in ``request.environ["rapidjws"]``.
"""

from __future__ import annotations

import io
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.middleware.authenticator import KEY, Authenticator
from rapidjws.middleware.keys_before_start import KeysBeforeStart
from rapidjws.middleware.requests import content_length
from rapidjws.middleware.response import Answer, warning_headers
from rapidjws.middleware.startup import READY_TIMEOUT_S
from rapidjws.middleware.wsgi import environ_context, environ_name, is_exempt_environ, strip_environ
from rapidjws.verify.arguments import names_of

try:
    from flask import Response, after_this_request, current_app, g, request
    from werkzeug.exceptions import HTTPException
except ImportError as missing:
    raise ImportError("the Flask decorator needs: pip install 'rapidjws[flask]'") from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Unpack

    from rapidjws.jwt.decision import Decision
    from rapidjws.middleware.authenticator import AuthenticatorSettings
    from rapidjws.middleware.requests import RequestContext

ViewT = TypeVar("ViewT", bound="Callable[..., Any]")


class JWSRefused(HTTPException):
    """A refusal; its response is that of every middleware."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(response=Response(answer.body, answer.status, list(answer.headers)))
        self.code = answer.status


class JWSRequired(KeysBeforeStart):
    """A decorator for views: their requests are let through as the engine decides.

    ``@jws`` protects a view, ``@jws.scopes("pay")`` asks for scopes too, ``app.before_request(jws.check)``
    protects all of an application or a blueprint. Put the decorator below ``@app.route``: above it, it
    protects nothing. What runs before it sees the headers as the client sent them.

    Flask has no startup event: the requests of the first ``ready_timeout_s`` seconds wait until each required
    issuer has keys. ``wait_ready`` waits before a server accepts.

    Args:
        ready_timeout_s: Longest time, 0 to 3600 seconds from now on, that requests wait for keys.
        settings: As for :class:`rapidjws.middleware.Authenticator`; ``partner_of`` gets the environ.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked(but=("settings",))
    def __init__(
        self,
        *,
        ready_timeout_s: float = READY_TIMEOUT_S,
        **settings: Unpack[AuthenticatorSettings[dict[str, Any]]],
    ) -> None:
        self._authenticator: Authenticator[dict[str, Any]] = Authenticator(**settings)
        self._startup = self._authenticator.startup_wait(ready_timeout_s)

    def __call__(self, view: ViewT) -> ViewT:
        """Protect a view."""
        return self._protected(view, ())

    def scopes(self, *scopes: str) -> Callable[[ViewT], ViewT]:
        """Return a decorator that asks for scopes too.

        Args:
            scopes: All of them are due (RFC 6749 section 3.3).

        Raises:
            ConfigurationError: ``configuration_invalid``: no scopes, or something else than strings.
        """
        due = names_of(scopes, "scopes")
        return partial(self._protected, due=due)

    def _protected(self, view: ViewT, due: tuple[str, ...]) -> ViewT:
        @wraps(view)
        def protected(*args: Any, **kwargs: Any) -> Any:
            self._check(due)
            return current_app.ensure_sync(view)(*args, **kwargs)

        return protected  # type: ignore[return-value]

    def check(self) -> None:
        """Decide about the request that is being answered; for ``before_request``.

        Raises:
            JWSRefused: It is refused.
        """
        self._check(())

    def _check(self, due: tuple[str, ...]) -> None:
        environ, authenticator = request.environ, self._authenticator
        g.pop(KEY, None)
        if is_exempt_environ(environ, authenticator):
            strip_environ(environ, authenticator)
            return
        if not self._startup.is_over:
            self._startup.wait()
        context = environ_context(environ, authenticator, due)
        body: bytes | None = b""
        if authenticator.wants_body(context):
            body = self._read_body(context)
        decision = authenticator.decide(context, body)
        self._refuse(decision, context)
        only = authenticator.handed_on(decision, body)
        if only is not None and only != body:
            _hand_on(environ, only)
        strip_environ(environ, authenticator)  # not before: what was signed may stand under our prefix
        for name, text in authenticator.trusted_headers(decision):
            environ[environ_name(name)] = text
        if context.trace is not None:
            for name, text in context.trace.headers():
                environ[environ_name(name)] = text
        environ[KEY] = decision
        setattr(g, KEY, decision)
        if decision.warnings or decision.nonce is not None:
            self._warn(warning_headers(decision))

    def _refuse(self, decision: Decision, context: RequestContext) -> None:
        refused = self._authenticator.answer(decision, context)
        if refused is not None:
            raise JWSRefused(refused)

    def _read_body(self, context: RequestContext) -> bytes | None:
        """Return the body that the view gets, or None where it is longer than the limit."""
        if "form" in request.__dict__ or (
            "stream" in request.__dict__ and not hasattr(request, "_cached_data")
        ):
            expected = "@jws before what reads the form or the stream"  # the octets are gone
            raise error_for("configuration_invalid", "route", expected)
        malformed = partial(self._authenticator.refused, context, "malformed_request")
        declared = request.environ.get("CONTENT_LENGTH")
        size = content_length([declared.encode("latin-1", "replace")]) if declared else 0
        if size is None:
            self._refuse(malformed(), context)
        elif size > self._authenticator.limit_bytes:
            return None
        try:
            body = request.get_data(cache=True)
        except (HTTPException, OSError):  # a client that went away, or Flask's own limit
            self._refuse(malformed(), context)
            raise
        if declared and len(body) != size:
            self._refuse(malformed(), context)
        return body if len(body) <= self._authenticator.limit_bytes else None

    @staticmethod
    def _warn(extra: Iterable[tuple[str, str]]) -> None:
        @after_this_request
        def warned(response: Response) -> Response:
            response.headers.extend(list(extra))
            return response


def _hand_on(environ: dict[str, Any], body: bytes) -> None:
    """Give the view a body in the place of the one that was read, which holds more than was verified."""
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
    for name in ("stream", "data", "form", "files", "values"):
        request.__dict__.pop(name, None)
    request._cached_data = body  # where get_data() keeps it
