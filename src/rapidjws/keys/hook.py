"""The push endpoint: an authenticated caller says that keys rotated, and they are fetched at once.

A handler without a server: any ASGI or WSGI application, or the package's own server, calls it. It tells the
caller nothing about the keys.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Final, Protocol

from rapidjws._checks import checked
from rapidjws.errors import error_for

PATH: Final = "/hooks/jwks-rotated"
SECRET_MIN_CHARS: Final = 32
BODY_MAX_BYTES: Final = 4096


class Invalidated(Protocol):
    """A source that can be invalidated."""

    def invalidate(self) -> None:
        """Fetch at once."""


class RotatedHook:
    """Handle ``POST /hooks/jwks-rotated``, with an optional body ``{"issuer": "..."}``.

    Args:
        sources: iss -> source.
        secret: The caller's bearer secret, 32 characters or more.

    Raises:
        ConfigurationError: ``configuration_invalid``: the secret is too short.
    """

    __slots__ = ("_secret_digest", "_sources")

    @checked
    def __init__(self, sources: Mapping[str, Invalidated], *, secret: str) -> None:
        if not isinstance(secret, str) or len(secret) < SECRET_MIN_CHARS:
            raise error_for(
                "configuration_invalid", "secret", expected=f"at least {SECRET_MIN_CHARS} characters"
            )
        self._secret_digest = hashlib.sha256(secret.encode()).digest()
        self._sources = dict(sources)

    @checked
    def handle(self, method: str, authorization: str | None, body: bytes = b"") -> tuple[int, bytes]:
        """Handle one request to the path.

        Args:
            method: The HTTP method.
            authorization: The Authorization header, or None.
            body: The request's body.

        Returns:
            An HTTP status and a JSON body: 202, or 400, 401, 404, 405.
        """
        if method != "POST":
            return 405, b'{"error":"method_not_allowed"}'
        scheme, _, given = (authorization or "").partition(" ")
        digest = hashlib.sha256(given.strip().encode("utf-8", "surrogateescape")).digest()
        if not hmac.compare_digest(digest, self._secret_digest) or scheme.lower() != "bearer":
            return 401, b'{"error":"unauthorized"}'
        try:
            wanted = json.loads(body) if body and len(body) <= BODY_MAX_BYTES else {}
            issuer = wanted.get("issuer")
        except (ValueError, AttributeError, RecursionError):
            return 400, b'{"error":"malformed_body"}'
        if len(body) > BODY_MAX_BYTES or not isinstance(issuer, (str, type(None))):
            return 400, b'{"error":"malformed_body"}'
        if issuer is not None and issuer not in self._sources:
            return 404, b'{"error":"unknown_issuer"}'
        for source in self._sources.values() if issuer is None else (self._sources[issuer],):
            source.invalidate()
        return 202, b'{"status":"refreshing"}'
