"""A receiver of signals: verified as any token is, taken once, and turned into revocations.

A handler without a server: any ASGI or WSGI application calls it. Who pushes is authenticated by its
signature alone, unless a bearer secret is asked for as well.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from time import time_ns
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from rapidjws._checks import checked
from rapidjws.errors import RapidJWSError, Unavailable, error_for
from rapidjws.jose.numeric_date import SECOND_NS
from rapidjws.jwt.engine import Engine
from rapidjws.signals.events import effects_of
from rapidjws.verify.arguments import names_of
from rapidjws.verify.protocols import Event, EventListener, ReplayStore, emit, no_events
from rapidjws.verify.revocations import Revocation

if TYPE_CHECKING:
    from rapidjws.verify.result import VerifiedJWS

SECRET_MIN_CHARS: Final = 32
BODY_MAX_BYTES: Final = 256 * 1024
REMEMBERED_S: Final = 30 * 86_400
"""How long the ``jti`` of a signal is remembered: transmitters send again for days."""
OLDEST_S: Final = REMEMBERED_S - 3600
"""Oldest ``iat`` of a signal: none is taken whose ``jti`` may be forgotten, which could lift a revocation."""

SIGNAL_TYPES: Final = frozenset({"secevent+jwt", "logout+jwt"})
"""The ``typ`` that tells signals from access tokens: an issuer of signals must ask for one of them."""

_UNAPPLIED_MAX: Final = 1024
_DISABLED_MAX: Final = 65_536
_ERRORS: Final = {  # RFC 8935 s.2.4
    "signature_invalid": "invalid_key",
    "unknown_kid": "invalid_key",
    "issuer_mismatch": "invalid_issuer",
    "unknown_issuer": "invalid_issuer",
    "audience_mismatch": "invalid_audience",
}


class SignalReceiver:
    """What takes Security Event Tokens and logout tokens, and revokes what they name.

    Args:
        tokens: Verifies them: an engine whose issuers have the profile ``security_event`` or
            ``logout_token``, and an audience. It is another one than the engine of access tokens.
        engine: Where subjects and sessions are revoked; its store takes that to other processes.
        replay: Where the ``jti`` of signals are kept: one that comes again does nothing.
        speaks_for: iss of signals -> the issuers whose subjects they may name; by default its own name.
        secret: What a transmitter must show as a bearer token, 32 characters or more; None for nothing.
        events: Listener: ``signal_applied``, ``signal_ignored``, ``signal_refused``.

    Raises:
        ConfigurationError: ``configuration_invalid``.

    Source: RFC 8417, RFC 8935, OpenID Connect Back-Channel Logout 1.0, OpenID CAEP 1.0, RISC 1.0.
    """

    @checked(but=("speaks_for",))
    def __init__(
        self,
        tokens: Engine,
        engine: Engine,
        *,
        replay: ReplayStore,
        speaks_for: Mapping[str, str | tuple[str, ...]] | None = None,
        secret: str | None = None,
        events: EventListener = no_events,
    ) -> None:
        if tokens is engine:
            expected = "an engine of its own: a signal is no access token"
            raise error_for("configuration_invalid", "tokens", expected)
        if not all(SIGNAL_TYPES & set(names_of(one.typ or (), "typ")) for one in tokens.issuers):
            expected = "issuers of the profile security_event or logout_token"
            raise error_for("configuration_invalid", "tokens", expected)
        if secret is not None and len(secret) < SECRET_MIN_CHARS:
            raise error_for("configuration_invalid", "secret", f"at least {SECRET_MIN_CHARS} characters")
        self._tokens = tokens
        self._engine = engine
        self._replay = replay
        self._speaks_for = _speaks_for(speaks_for, tokens)
        self._secret = None if secret is None else hashlib.sha256(secret.encode()).digest()
        self._events = events
        self._lock = threading.Lock()
        self._unapplied: set[bytes] = set()
        self._disabled: OrderedDict[Revocation, int] = OrderedDict()

    @checked
    def push(
        self, method: str, content_type: str, body: bytes, authorization: str | None = None
    ) -> tuple[int, bytes]:
        """Handle one request to the endpoint for Security Event Tokens (RFC 8935 s.2).

        Args:
            method: The HTTP method.
            content_type: The Content-Type.
            body: The request's body: one token.
            authorization: The Authorization header, or None.

        Returns:
            Status and body: 202 for one that was taken, now or before; 400 with ``err``; 401, 405; 503 where
            it cannot be known or kept now, and is to be sent again.
        """
        if method != "POST":
            return 405, b""
        if not self._is_authenticated(authorization):
            return 401, b""
        if content_type.partition(";")[0].strip().lower() != "application/secevent+jwt":
            return 400, _error("invalid_request", "Content-Type is not application/secevent+jwt")
        return self._answer(body)

    @checked
    def logout(self, method: str, content_type: str, body: bytes) -> tuple[int, bytes]:
        """Handle one request to the back-channel logout URI.

        Args:
            method: The HTTP method.
            content_type: The Content-Type.
            body: The form, with ``logout_token``.

        Returns:
            Status and body: 200, 400, 405 or 503; all are to be sent with ``Cache-Control: no-store``.

        Source: OpenID Connect Back-Channel Logout 1.0 s.2.5 to 2.8.
        """
        if method != "POST":
            return 405, b""
        is_form = content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded"
        pairs = parse_qsl(body[:BODY_MAX_BYTES], keep_blank_values=True) if is_form else []
        found = [value for name, value in pairs if name == b"logout_token"]
        if len(found) != 1 or len(body) > BODY_MAX_BYTES:
            return 400, json.dumps({"error": "invalid_request"}).encode()
        status, shown = self._answer(found[0])
        if status == 202:
            return 200, b""
        return (
            (status, json.dumps({"error": "invalid_request"}).encode()) if status == 400 else (status, shown)
        )

    @checked
    def receive(self, token: str | bytes) -> bool:
        """Verify one signal and revoke what it names.

        Args:
            token: The Security Event Token or logout token.

        Returns:
            Whether it came for the first time; one that came before does nothing.

        Raises:
            TokenRefused: As :meth:`Engine.verify`.
            Unavailable: It cannot be verified, remembered or kept now.
        """
        verified = self._tokens.verify(token)
        key = _identity(verified)
        if verified.claims["iat"] < time_ns() // SECOND_NS - OLDEST_S:  # its profile requires iat
            raise error_for("too_old", "claims.iat", f"at most {OLDEST_S} seconds ago")
        (fresh,) = self._replay.record([(key, REMEMBERED_S)])
        with self._lock:
            is_due = fresh is True or (fresh is False and key in self._unapplied)
        if fresh is None:
            raise error_for("replay_store_unavailable", "replay")
        if not is_due:
            emit(self._events, Event(name="signal_ignored", issuer=verified.issuer, detail="replayed"))
            return False
        try:
            self._apply(verified)
        except Exception:
            with self._lock:  # it is sent again, and must not be taken for a replay then
                if len(self._unapplied) < _UNAPPLIED_MAX:
                    self._unapplied.add(key)
            raise
        with self._lock:
            self._unapplied.discard(key)
        return True

    def _apply(self, verified: VerifiedJWS) -> None:
        """Revoke what a verified signal names."""
        iss = str(verified.issuer)
        issuers = self._speaks_for.get(iss, frozenset())
        effects = effects_of(verified.claims, issuers, time_ns() // SECOND_NS)
        for one in effects.revoked:
            self._engine.revoke(issuer=one.issuer, sub=one.sub, sid=one.sid, issued_before=one.issued_before)
            if one.issued_before is None and one.sub is not None:
                self._note_disabled(one, effects.moment_s)
        lifted = [one for one in effects.lifted if self._disabled.get(one, 0) <= effects.moment_s]
        for one in lifted:
            self._engine.unrevoke(one)
        name = "signal_applied" if effects.revoked or lifted else "signal_ignored"
        emit(self._events, Event(name=name, issuer=iss, value=len(effects.revoked) + len(lifted)))

    def _note_disabled(self, one: Revocation, moment_s: int) -> None:
        """Remember when a subject was disabled: what enabled it before, and comes late, lifts nothing."""
        with self._lock:
            self._disabled[one] = max(self._disabled.pop(one, 0), moment_s)
            if len(self._disabled) > _DISABLED_MAX:
                self._disabled.popitem(last=False)

    def _answer(self, token: bytes) -> tuple[int, bytes]:
        try:
            self.receive(token.strip())
        except Unavailable as fault:
            self._refused(fault)
            return 503, _error("invalid_request", fault.code)
        except RapidJWSError as refused:
            self._refused(refused)
            return 400, _error(_ERRORS.get(refused.code, "invalid_request"), refused.code)
        except Exception:
            return 503, _error("invalid_request", "internal_error")
        return 202, b""

    def _refused(self, refused: RapidJWSError) -> None:
        """Tell why a signal was not taken; the issuer is a configured one, if any."""
        iss = refused.issuer or refused.claimed_issuer
        emit(self._events, Event(name="signal_refused", issuer=iss, detail=refused.code))

    def _is_authenticated(self, authorization: str | None) -> bool:
        if self._secret is None:
            return True
        scheme, _, given = (authorization or "").partition(" ")
        digest = hashlib.sha256(given.strip().encode("utf-8", "surrogateescape")).digest()
        return hmac.compare_digest(digest, self._secret) and scheme.lower() == "bearer"


def _speaks_for(
    given: Mapping[str, str | tuple[str, ...]] | None, tokens: Engine
) -> dict[str, frozenset[str]]:
    """Return iss of signals -> issuers whose subjects they may name."""
    names = [issuer.name for issuer in tokens.issuers]
    if given is None:
        return {name: frozenset({name}) for name in names}
    if not isinstance(given, Mapping):
        raise error_for("configuration_invalid", "speaks_for", "a mapping", type(given).__name__)
    for name in given:
        if name not in names:
            raise error_for("configuration_invalid", "speaks_for", "issuers of tokens", str(name))
    return {name: frozenset(names_of(one, "speaks_for")) for name, one in given.items()}


def _identity(verified: VerifiedJWS) -> bytes:
    """Return 32 bytes that stand for a signal: its issuer and ``jti``, which its profile requires."""
    jti = verified.claims.get("jti")
    if not isinstance(jti, str) or not jti:
        raise error_for("missing_claim", "claims.jti", expected="a jti: a signal is taken once")
    iss = str(verified.issuer).encode("utf-8", "surrogatepass")
    return hashlib.sha256(
        b"signal\0" + len(iss).to_bytes(4, "big") + iss + jti.encode("utf-8", "surrogatepass")
    ).digest()


def _error(err: str, description: str) -> bytes:
    return json.dumps({"err": err, "description": description}).encode()
