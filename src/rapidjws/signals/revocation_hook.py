"""An endpoint that an authorization server calls when it revokes a token, in the form of RFC 7009.

A handler without a server: any ASGI or WSGI application calls it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Final
from urllib.parse import parse_qsl

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, Unavailable, error_for
from rapidjws.jwt.engine import Engine
from rapidjws.verify.protocols import Event, EventListener, emit, no_events

SECRET_MIN_CHARS: Final = 32
BODY_MAX_BYTES: Final = 256 * 1024
_FORM: Final = "application/x-www-form-urlencoded"


class TokenRevocationHook:
    """What takes the tokens that an authorization server has revoked, and revokes them here by ``jti``.

    Args:
        engine: Where tokens are revoked; its store takes that to other processes.
        secret: What the caller must show as a bearer token, 32 characters or more.
        tokens: Verifies what comes; by default ``engine``. Another one where its tokens are bound to a sender
            or used once: the hook has no proof, and uses none up.
        events: Listener: ``signal_applied``, ``signal_ignored``.

    Raises:
        ConfigurationError: ``configuration_invalid``.

    Source: RFC 7009 section 2.
    """

    @checked
    def __init__(
        self,
        engine: Engine,
        *,
        secret: str,
        tokens: Engine | None = None,
        events: EventListener = no_events,
    ) -> None:
        if len(secret) < SECRET_MIN_CHARS:
            raise error_for("configuration_invalid", "secret", f"at least {SECRET_MIN_CHARS} characters")
        self._engine = engine
        self._tokens = engine if tokens is None else tokens
        self._secret = hashlib.sha256(secret.encode()).digest()
        self._events = events

    @checked
    def handle(
        self, method: str, content_type: str, body: bytes, authorization: str | None = None
    ) -> tuple[int, bytes]:
        """Handle one request.

        Args:
            method: The HTTP method.
            content_type: The Content-Type.
            body: The form, with ``token``.
            authorization: The Authorization header, or None.

        Returns:
            Status and body: 200 where the token is revoked here, or is no good token anyway (RFC 7009 s.2.2);
            400 with ``error``, also for a token without ``jti``; 401, 405; 503 where it cannot be known or
            kept now, and is to be sent again.
        """
        if method != "POST":
            return 405, b""
        if not self._is_authenticated(authorization):
            return 401, b""
        is_form = content_type.partition(";")[0].strip().lower() == _FORM and len(body) <= BODY_MAX_BYTES
        pairs = parse_qsl(body, keep_blank_values=True) if is_form else []
        found = [value for name, value in pairs if name == b"token"]
        if len(found) != 1 or not found[0]:
            return 400, _error("invalid_request")
        try:
            return self._revoked(found[0])
        except Exception:  # the store, or a fault of ours
            return 503, _error("temporarily_unavailable")

    def _revoked(self, token: bytes) -> tuple[int, bytes]:
        try:
            verified = self._tokens.verify(token)
        except Unavailable:
            return 503, _error("temporarily_unavailable")
        except RapidJWSError as refused:
            if refused.code in ("binding_unchecked", "token_not_bound"):
                return 503, _error("temporarily_unavailable")
            emit(self._events, Event(name="signal_ignored", detail=refused.code))
            return 200, b""
        jti = verified.claims.get("jti")
        if not isinstance(jti, str) or not jti:
            return 400, _error("unsupported_token_type")
        self._engine.revoke(issuer=verified.issuer, jti=jti)
        emit(self._events, Event(name="signal_applied", issuer=verified.issuer, value=1))
        return 200, b""

    def _is_authenticated(self, authorization: str | None) -> bool:
        scheme, _, given = (authorization or "").partition(" ")
        digest = hashlib.sha256(given.strip().encode("utf-8", "surrogateescape")).digest()
        return hmac.compare_digest(digest, self._secret) and scheme.lower() == "bearer"


def _error(error: str) -> bytes:
    return json.dumps({"error": error}).encode()
