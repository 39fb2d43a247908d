"""WSGI middleware (PEP 3333): Flask, Django and everyone who speaks WSGI.

The decision stands in ``environ["rapidjws"]``; verified claims are ``environ["rapidjws"].verified.claims``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from rapidjws.gateway.answer import is_ours, trusted_headers, warning_headers
from rapidjws.gateway.door import KEY, Asked, Door

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from rapidjws.gateway.door import DoorSettings

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class WSGIMiddleware:
    """Let requests through to a WSGI application as the engine decides.

    WSGI servers join headers that were sent twice with a comma: such a token is malformed, and refused.

    Args:
        app: The application.
        settings: As for :class:`rapidjws.gateway.Door`; ``partner_of`` gets the environ.
    """

    def __init__(self, app: WSGIApp, **settings: Unpack[DoorSettings[Environ]]) -> None:
        self._app = app
        self._door: Door[Environ] = Door(**settings)
        self._name = "HTTP_" + self._door.field.decode().upper().replace("-", "_")

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, or hand it on."""
        door = self._door
        kept = {
            name: value
            for name, value in environ.items()
            if not (name.startswith("HTTP_") and is_ours(name.removeprefix("HTTP_")))
        }
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if path in door.exempt:
            return self._app(kept, start_response)
        value = environ.get(self._name)
        values = [] if value is None else [value.encode("latin-1", "replace")]
        query = environ.get("QUERY_STRING", "").encode("latin-1", "replace")
        route = environ.get("REQUEST_URI") or environ.get("RAW_URI") or path
        decision = door.decide(Asked(values, query, door.partner(environ), route))
        refused = door.answer(decision)
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
