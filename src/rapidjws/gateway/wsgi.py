"""WSGI middleware (PEP 3333): Flask, Django and everyone who speaks WSGI.

The decision stands in ``environ["rapidjws"]``; verified claims are ``environ["rapidjws"].verified.claims``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from rapidjws.gateway.answer import answer_for, is_ours, trusted_headers, warning_headers
from rapidjws.gateway.place import TokenPlace

if TYPE_CHECKING:
    from rapidjws.engine.engine import Engine

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]

KEY = "rapidjws"


class WSGIMiddleware:
    """Let requests through to a WSGI application as the engine decides.

    WSGI servers join headers that were sent twice with a comma: such a token is malformed, and refused.

    Args:
        app: The application.
        engine: Decides.
        place: Where tokens stand.
        partner_of: Names the partner of a request's environ, from what authenticates it beside the token;
            None where nobody is known. Never from a header that any client can set.
        realm: The ``realm`` of challenges.
        exempt: Paths that need no token, exactly as they are: health checks.
    """

    def __init__(
        self,
        app: WSGIApp,
        *,
        engine: Engine,
        place: TokenPlace | None = None,
        partner_of: Callable[[Environ], str | None] | None = None,
        realm: str = "api",
        exempt: frozenset[str] = frozenset(),
    ) -> None:
        self._app = app
        self._engine = engine
        self._place = place or TokenPlace()
        self._name = "HTTP_" + self._place.field.decode().upper().replace("-", "_")
        self._partner_of = partner_of
        self._realm = realm
        self._exempt = exempt

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, or hand it on."""
        kept = {
            name: value
            for name, value in environ.items()
            if not (name.startswith("HTTP_") and is_ours(name.removeprefix("HTTP_")))
        }
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if path in self._exempt:
            return self._app(kept, start_response)
        value = environ.get(self._name)
        token = self._place.token([] if value is None else [value.encode("latin-1", "replace")])
        partner = None if self._partner_of is None else self._partner_of(environ)
        route = environ.get("REQUEST_URI") or environ.get("RAW_URI") or path
        decision = self._engine.decide(token, partner=partner, route=route)
        refused = answer_for(decision, realm=self._realm, scheme=self._place.scheme)
        if refused is not None:
            status = HTTPStatus(refused.status)
            headers = [*refused.headers, ("content-length", str(len(refused.body)))]
            start_response(f"{status.value} {status.phrase}", headers)
            return [refused.body]
        for name, text in trusted_headers(decision):
            kept["HTTP_" + name.upper().replace("-", "_")] = text
        kept[KEY] = decision
        if not decision.warnings:
            return self._app(kept, start_response)
        extra = warning_headers(decision)

        def warned(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            return start_response(status, [*headers, *extra], *rest)

        return self._app(kept, warned)
