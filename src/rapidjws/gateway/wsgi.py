"""WSGI middleware (PEP 3333): Flask, Django and everyone who speaks WSGI.

The decision stands in ``environ["rapidjws"]``; verified claims are ``environ["rapidjws"].verified.claims``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from rapidjws.engine.decision import Decision
from rapidjws.errors import error_for
from rapidjws.gateway.answer import is_ours, trusted_headers, warning_headers
from rapidjws.gateway.door import KEY, Asked, Door

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from rapidjws.gateway.door import DoorSettings

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
PIECE_BYTES = 64 * 1024
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
        name = self._door.field.decode().upper().replace("-", "_")
        self._name = name if name == "CONTENT_TYPE" else f"HTTP_{name}"  # RFC 3875 s.4.1.3

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
        asked = Asked(values, query, door.partner(environ), route)
        body: bytes | None = b""
        if door.wants_body(asked):
            try:
                body, kept["wsgi.input"] = _taken(environ, door.limit_bytes)
            except EOFError:
                return _refuse(door, Decision(outcome="deny", code="malformed_request"), start_response)
        decision = door.decide(asked, body)
        if decision.outcome != "permit":
            return _refuse(door, decision, start_response)
        for name, text in trusted_headers(decision):
            kept["HTTP_" + name.upper().replace("-", "_")] = text
        kept[KEY] = decision
        if not decision.warnings:
            return self._app(kept, start_response)
        extra = warning_headers(decision)

        def warned(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            return start_response(status, [*headers, *extra], *rest)

        return self._app(kept, warned)


def _refuse(door: Door[Environ], decision: Decision, start_response: StartResponse) -> Iterable[bytes]:
    refused = door.answer(decision)
    if refused is None:  # unreachable: only what is no permit comes here
        raise error_for("internal_error", "wsgi")
    status = HTTPStatus(refused.status)
    headers = [*refused.headers, ("content-length", str(len(refused.body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [refused.body]


def _taken(environ: Environ, limit_bytes: int) -> tuple[bytes | None, Any]:
    """Read a body up to a limit; return it, or None where it is longer, and a stream that gives it out again.

    Without a declared length there is a body only where the server ends the stream by itself.

    Raises:
        EOFError: The client went before its request was whole.
    """
    stream = environ["wsgi.input"]
    declared = environ.get("CONTENT_LENGTH") or ""
    if declared.isdecimal():
        size = int(declared)
        if size > limit_bytes:
            return None, stream
        body = _read(stream, size)
        if len(body) < size:
            raise EOFError
        return body, io.BytesIO(body)
    if not environ.get("wsgi.input_terminated"):
        return b"", stream
    body = _read(stream, limit_bytes + 1)
    if len(body) > limit_bytes:
        return None, io.BufferedReader(_Chain(body, stream))
    return body, io.BytesIO(body)


def _read(stream: Any, size: int) -> bytes:
    """Read so much, or to the end."""
    body = bytearray()
    while len(body) < size and (piece := stream.read(min(size - len(body), PIECE_BYTES))):
        body += piece
    return bytes(body)


class _Chain(io.RawIOBase):
    """Give out what was read of a stream that ends by itself, and then the rest of it."""

    def __init__(self, read: bytes, rest: Any) -> None:
        self._read = io.BytesIO(read)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._read.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)
