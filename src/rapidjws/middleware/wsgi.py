"""WSGI middleware (PEP 3333): Flask, Django and everyone who speaks WSGI.

The decision stands in ``environ["rapidjws"]``; verified claims are ``environ["rapidjws"].verified.claims``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from rapidjws._checks import checked
from rapidjws.errors import error_for
from rapidjws.middleware.authenticator import KEY, Authenticator
from rapidjws.middleware.keys_before_start import KeysBeforeStart
from rapidjws.middleware.requests import (
    RequestContext,
    content_length,
    is_exempt,
    is_websocket,
    routes_of,
    signed_target,
)
from rapidjws.middleware.response import warning_headers
from rapidjws.middleware.startup import READY_TIMEOUT_S
from rapidjws.observe.request_info import IdentifiedHeaders

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from rapidjws.jwt.decision import Decision
    from rapidjws.middleware.authenticator import AuthenticatorSettings

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
PIECE_BYTES = 64 * 1024
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class WSGIMiddleware(KeysBeforeStart):
    """A middleware that lets requests through to a WSGI application as the engine decides.

    WSGI servers join headers that were sent twice with a comma: such a token is malformed, and refused.

    A middleware within another decides by itself: what the outer one set is removed, headers and decision.

    WSGI has no startup event: the requests of the first ``ready_timeout_s`` seconds wait until each required
    issuer has keys, so that the first answer is a verdict. ``wait_ready`` waits before a server accepts.

    Args:
        app: The application.
        ready_timeout_s: Longest time, 0 to 3600 seconds from now on, that requests wait for keys.
        settings: As for :class:`rapidjws.middleware.Authenticator`; ``partner_of`` gets the environ.
    """

    @checked(but=("settings",))
    def __init__(
        self,
        app: WSGIApp,
        *,
        ready_timeout_s: float = READY_TIMEOUT_S,
        **settings: Unpack[AuthenticatorSettings[Environ]],
    ) -> None:
        self._app = app
        self._authenticator: Authenticator[Environ] = Authenticator(**settings)
        self._startup = self._authenticator.startup_wait(ready_timeout_s)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, or hand it on."""
        authenticator, kept = self._authenticator, dict(environ)
        strip_environ(kept, authenticator)
        if is_exempt_environ(environ, authenticator):
            return self._app(kept, start_response)
        if not self._startup.is_over:
            self._startup.wait()
        context = environ_context(environ, authenticator)
        body: bytes | None = b""
        if authenticator.wants_body(context):
            try:
                body = _with_read_body(environ, kept, authenticator.limit_bytes)
            except _UnreadableBody:
                malformed = authenticator.refused(context, "malformed_request")
                return _refuse(authenticator, malformed, context, environ, start_response)
        decision = authenticator.decide(context, body)
        only = authenticator.handed_on(decision, body)
        if only is not None and only != body:
            kept["wsgi.input"], kept["CONTENT_LENGTH"] = io.BytesIO(only), str(len(only))
        if decision.outcome != "permit":
            return _refuse(authenticator, decision, context, environ, start_response)
        trace = context.trace
        for name, text in (
            *authenticator.trusted_headers(decision),
            *([] if trace is None else trace.headers()),
        ):
            kept[environ_name(name)] = text
        kept[KEY] = decision
        if not decision.warnings and decision.nonce is None:
            return self._app(kept, start_response)
        extra = warning_headers(decision)

        def warned(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            return start_response(status, [*headers, *extra], *rest)

        return self._app(kept, warned)


def strip_environ(environ: Environ, authenticator: Authenticator[Environ]) -> None:
    """Drop the headers that only a middleware may set, and an outer middleware's decision."""
    for name in [name for name in environ if name.startswith("HTTP_")]:
        if authenticator.is_ours(name.removeprefix("HTTP_")):
            del environ[name]
    environ.pop(KEY, None)


def environ_name(name: str) -> str:
    """Return the variable of a header (RFC 3875 section 4.1.18)."""
    return "HTTP_" + name.upper().replace("-", "_")


def is_exempt_environ(environ: Environ, authenticator: Authenticator[Environ]) -> bool:
    """Return whether a request needs no token."""
    exempt, path = authenticator.exempt, _path(environ)
    if not is_exempt(exempt, path, _target(environ) or path):
        return False
    unknown = authenticator.unknown_root_path(environ.get("SCRIPT_NAME", ""))
    return not unknown or (environ.get("PATH_INFO", "") or "/") in exempt


def environ_context(
    environ: Environ, authenticator: Authenticator[Environ], scopes: tuple[str, ...] = ()
) -> RequestContext:
    """Return what a request's environ says.

    Args:
        environ: The server's environ.
        authenticator: The settings.
        scopes: The scopes that are due.
    """
    values = authenticator.values(partial(_values, environ))
    if authenticator.body is not None and is_websocket(environ.get("HTTP_UPGRADE", "")):
        values = []  # what comes over a websocket is signed by nothing
    query = environ.get("QUERY_STRING", "").encode("latin-1", "replace")
    unknown = authenticator.unknown_root_path(environ.get("SCRIPT_NAME", ""))
    route = routes_of(_target(environ), _path(environ), unknown, codec="latin-1")
    headers = IdentifiedHeaders(partial(_values, environ))
    trace = authenticator.begin(headers)
    method = environ.get("REQUEST_METHOD", "")
    partner = authenticator.partner(environ)
    context = RequestContext(values, query, partner, route, scopes, headers, trace, method)
    if not authenticator.reads_target:
        return context
    target = signed_target(_target(environ), _path(environ), query, codec="latin-1")
    peer = environ.get("REMOTE_ADDR")
    peer = "unix" if peer == "" else peer  # as gunicorn has it
    return context._replace(target=target, peer=peer)


def _values(environ: Environ, name: bytes) -> list[bytes]:
    """Return the value of a header, as a list; servers join those of one name."""
    key = name.decode("ascii").upper().replace("-", "_")
    value = environ.get(key if key == "CONTENT_TYPE" else f"HTTP_{key}")  # RFC 3875 s.4.1.3
    if not value and key == "CONTENT_TYPE":
        return []
    return [] if value is None else [value.encode("latin-1", "replace")]


def _target(environ: Environ) -> str | None:
    """Return the target as it was sent, where the server tells it."""
    return environ.get("REQUEST_URI") or environ.get("RAW_URI") or None


def _path(environ: Environ) -> str:
    """Return the decoded path."""
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return path


def _refuse(
    authenticator: Authenticator[Environ],
    decision: Decision,
    context: RequestContext,
    environ: Environ,
    start_response: StartResponse,
) -> Iterable[bytes]:
    """Answer a refusal; of HEAD without its body, which some servers would send as it is."""
    refused = authenticator.answer(decision, context)
    if refused is None:  # unreachable: only what is no permit comes here
        raise error_for("internal_error", "wsgi")
    status = HTTPStatus(refused.status)
    headers = [*refused.headers, ("content-length", str(len(refused.body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [b"" if environ.get("REQUEST_METHOD") == "HEAD" else refused.body]


def _with_read_body(environ: Environ, seen: Environ, limit_bytes: int) -> bytes | None:
    """Read a body up to a limit, and give the application exactly the octets that are verified.

    Args:
        environ: The server's environ.
        seen: The environ that the application gets.
        limit_bytes: Largest body.

    Returns:
        The body; None where it is longer: the application then gets the server's own stream, unverified.

    Raises:
        _UnreadableBody: Its length is malformed, nobody knows where it ends, or the client went away.

    Source: RFC 3875 section 4.1.2, RFC 9110 section 8.6, RFC 9112 section 6.3, PEP 3333.
    """
    stream = environ["wsgi.input"]
    size = _declared_bytes(environ)
    # hypercorn reads a body first, and does not say that what it hands on ends by itself
    ends = bool(environ.get("wsgi.input_terminated")) or isinstance(stream, io.BytesIO)
    if size is not None and size > limit_bytes:
        return None
    if size is None and not ends and environ.get("HTTP_TRANSFER_ENCODING"):
        raise _UnreadableBody  # PEP 3333: the server did not decode it, and a read could wait for ever
    body = b""
    if size is not None or ends:
        try:
            body = _read(stream, limit_bytes + 1 if size is None else size)
        except (OSError, ValueError, EOFError):  # a broken chunk, or a client that went away
            raise _UnreadableBody from None
    if size is not None and len(body) < size:
        raise _UnreadableBody
    if len(body) > limit_bytes:
        seen["wsgi.input"] = io.BufferedReader(_Chain(body, stream))
        return None
    seen["wsgi.input"] = io.BytesIO(body)
    seen["wsgi.input_terminated"] = True
    seen["CONTENT_LENGTH"] = str(len(body))  # frameworks read so much, and no more
    for name in ("HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"):
        seen.pop(name, None)
    return body


def _declared_bytes(environ: Environ) -> int | None:
    """Return the declared length of a body, or None where there is none.

    Raises:
        _UnreadableBody: It is not a plain number: a framework may read another one out of it.
    """
    declared = environ.get("CONTENT_LENGTH")
    if declared is None or declared == "":  # RFC 3875 s.4.1.2: both say that there is none
        return None
    size = content_length([declared.encode("latin-1", "replace")])
    if size is None:
        raise _UnreadableBody
    return size


class _UnreadableBody(Exception):
    """A body whose octets cannot be known."""


def _read(stream: Any, size: int) -> bytes:
    """Read so much, or to the end."""
    body = bytearray()
    while len(body) < size and (piece := stream.read(min(size - len(body), PIECE_BYTES))):
        body += piece
    return bytes(body)


class _Chain(io.RawIOBase):
    """What was read of a stream that ends by itself, and then the rest of it."""

    def __init__(self, read: bytes, rest: Any) -> None:
        self._read = io.BytesIO(read)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._read.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)
