"""A Django middleware, for WSGI and ASGI, synchronous and asynchronous. Needs the extra ``django``.

The decision stands in ``request.rapidjws``; verified claims are ``request.rapidjws.verified.claims``.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from rapidjws.errors import error_for
from rapidjws.middleware.asgi import is_exempt_scope, request_context, stripped
from rapidjws.middleware.authenticator import KEY, Authenticator
from rapidjws.middleware.requests import content_length
from rapidjws.middleware.response import warning_headers
from rapidjws.middleware.startup import READY_TIMEOUT_S
from rapidjws.middleware.wsgi import environ_context, environ_name, is_exempt_environ, strip_environ

try:
    from asgiref.sync import iscoroutinefunction, markcoroutinefunction
    from django import conf
    from django.core.exceptions import RequestDataTooBig
    from django.http import HttpResponse, UnreadablePostError
    from django.http.request import RawPostDataException
    from django.utils.module_loading import import_string
except ImportError as missing:
    raise ImportError("the Django middleware needs: pip install 'rapidjws[django]'") from missing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from rapidjws.jwt.decision import Decision
    from rapidjws.middleware.requests import RequestContext
    from rapidjws.middleware.response import Answer

SETTING: Final = "RAPIDJWS"
"""The name in Django's settings."""


class JWSMiddleware:
    """A middleware that lets requests through to Django's views as the engine decides.

    Name it first in ``MIDDLEWARE``: what stands before it sees the headers as the client sent them, and must
    not read the body where bodies are signed. Its settings stand in ``RAPIDJWS``: a dict with the arguments
    of :class:`rapidjws.middleware.Authenticator` and ``ready_timeout_s``, or the dotted name of such a
    dict, or of a function that returns one. ``partner_of`` gets the request. A subclass may set ``options``
    instead.

    The requests of the first ``ready_timeout_s`` seconds (0 to 3600, by default 10) wait until each required
    issuer has keys.

    Args:
        get_response: What comes next.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    sync_capable = True
    async_capable = True
    options: Mapping[str, Any] | None = None
    """The settings, in the place of ``RAPIDJWS``."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        if not callable(get_response):
            raise error_for("configuration_invalid", "get_response", "a function")
        self._get_response = get_response
        settings = dict(_settings() if self.options is None else self.options)
        ready_timeout_s = settings.pop("ready_timeout_s", READY_TIMEOUT_S)
        partner_of = settings.pop("partner_of", None)
        self._partner_of: Callable[[Any], str | None] | None = partner_of
        self._authenticator: Authenticator[Any] = Authenticator(**settings)
        self._startup = self._authenticator.startup_wait(ready_timeout_s)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Answer one request, or hand it on."""
        if self._is_async:
            return self._answer_async(request)
        if self._is_exempt(request):
            return self._get_response(request)
        if not self._startup.is_over:
            self._startup.wait()
        context, body = self._context(request)
        decision = self._understood(context, body) or self._authenticator.decide(context, _octets(body))
        return self._refusal(request, decision, context, _octets(body)) or _warned(
            self._get_response(request), decision
        )

    async def _answer_async(self, request: Any) -> Any:
        if self._is_exempt(request):
            return await self._next(request)
        if not self._startup.is_over:
            await self._startup.wait_async()
        context, body = self._context(request)
        decision = self._understood(context, body) or await self._authenticator.adecide(
            context, _octets(body)
        )
        refused = self._refusal(request, decision, context, _octets(body))
        return refused or _warned(await self._next(request), decision)

    def _next(self, request: Any) -> Awaitable[Any]:
        answer: Awaitable[Any] = self._get_response(request)
        return answer

    def _respond(self, request: Any, refused: Answer) -> Any:
        """Return a refusal as a response; of HEAD without its body, which some servers would send."""
        headers = {**dict(refused.headers), "content-length": str(len(refused.body))}
        body = b"" if request.method == "HEAD" else refused.body
        return HttpResponse(body, status=refused.status, headers=headers)

    def _is_exempt(self, request: Any) -> bool:
        """Say whether a request needs no token; it is stripped then."""
        scope, authenticator = getattr(request, "scope", None), self._authenticator
        if scope is None:
            is_exempt = is_exempt_environ(request.META, authenticator)
        else:
            is_exempt = is_exempt_scope(scope, authenticator)
        if is_exempt:
            self._strip(request)
        return is_exempt

    def _strip(self, request: Any) -> None:
        """Drop the headers that only a middleware may set, and an outer middleware's decision."""
        scope = getattr(request, "scope", None)
        request.__dict__.pop("headers", None)  # made of META once, and kept
        request.__dict__.pop(KEY, None)
        strip_environ(request.META, self._authenticator)
        if scope is not None:
            scope["headers"] = stripped(scope, self._authenticator)
            scope.pop(KEY, None)

    def _context(self, request: Any) -> tuple[RequestContext, bytes | str | None]:
        """Return what a request says, and its body where that is signed; a text where it has none."""
        scope, authenticator = getattr(request, "scope", None), self._authenticator
        if scope is None:
            context = environ_context(request.META, authenticator)
        else:
            context = request_context(scope, authenticator)
        if self._partner_of is not None:
            context = context._replace(partner=self._partner_of(request))
        return context, self._body(request) if authenticator.wants_body(context) else b""

    def _body(self, request: Any) -> bytes | str | None:
        """Return the body that views get; None where it is longer than the limit; why it cannot be known."""
        declared = request.META.get("CONTENT_LENGTH")
        size = content_length([declared.encode("latin-1", "replace")]) if declared else 0
        if size is None:
            return "malformed_request"
        if size > self._authenticator.limit_bytes:
            return None
        try:
            body: bytes = request.body
        except RequestDataTooBig:
            return None
        except RawPostDataException:  # read before: its octets are gone
            expected = "JWSMiddleware before what reads the body"
            raise error_for("configuration_invalid", "MIDDLEWARE", expected) from None
        except (UnreadablePostError, OSError):
            return "malformed_request"
        if declared and len(body) != size:
            return "malformed_request"
        return body if len(body) <= self._authenticator.limit_bytes else None

    def _understood(self, context: RequestContext, body: bytes | str | None) -> Decision | None:
        """Return the decision against a request whose body cannot be known, or None."""
        return self._authenticator.refused(context, body) if isinstance(body, str) else None

    def _refusal(self, request: Any, decision: Decision, context: RequestContext, body: bytes | None) -> Any:
        """Return the response of a refusal; or None, and the request as views get it."""
        refused = self._authenticator.answer(decision, context)
        if refused is not None:
            return self._respond(request, refused)
        only = self._authenticator.handed_on(decision, body)
        if only is not None and only != body:
            _hand_on(request, only)
        self._strip(request)  # not before: what was signed may stand under our prefix
        made = [
            *self._authenticator.trusted_headers(decision),
            *([] if context.trace is None else context.trace.headers()),
        ]
        for name, text in made:
            request.META[environ_name(name)] = text
        scope = getattr(request, "scope", None)
        if scope is not None:
            names = {name.encode() for name, _ in made}
            kept = [pair for pair in scope["headers"] if pair[0].lower() not in names]
            scope["headers"] = [*kept, *((name.encode(), text.encode()) for name, text in made)]
            scope[KEY] = decision
        else:
            request.META[KEY] = decision
        setattr(request, KEY, decision)
        return None


def _hand_on(request: Any, body: bytes) -> None:
    """Give the view a body in the place of the one that was read, which holds more than was verified."""
    request.META["CONTENT_LENGTH"] = str(len(body))
    request._body = body  # where ``request.body`` keeps it, and the form is read from
    request._stream = io.BytesIO(body)


def _octets(body: bytes | str | None) -> bytes | None:
    return None if isinstance(body, str) else body


def _warned(response: Any, decision: Decision) -> Any:
    """Add the warnings to a response."""
    if (decision.warnings or decision.nonce is not None) and response is not None:
        for name, text in warning_headers(decision):
            response.headers[name] = f"{response.headers[name]}, {text}" if name in response.headers else text
    return response


def _settings() -> Mapping[str, Any]:
    """Return what Django's settings say.

    Raises:
        ConfigurationError: ``configuration_invalid``: nothing, or something else than a dict.
    """
    found: Any = getattr(conf.settings, SETTING, None)
    if isinstance(found, str):
        try:
            found = import_string(found)
        except ImportError as fault:
            raise error_for("configuration_invalid", SETTING, "a name that can be imported", found) from fault
    found = found() if callable(found) else found
    if not isinstance(found, dict):
        raise error_for(
            "configuration_invalid", SETTING, "a dict with an engine or a signed body", type(found).__name__
        )
    return found


__all__ = ["SETTING", "JWSMiddleware"]
