"""The log of requests whose token was not verified: a reader of each ``Decision``, which changes none.

An acceptance is not logged. What a line holds is bounded, and never token, payload, signature or a claim
that is not listed.
"""

from __future__ import annotations

import json
import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from rapidjws import _native
from rapidjws._checks import check_range, checked
from rapidjws._loggers import logger
from rapidjws._scheduler import scheduler
from rapidjws.jose.limits import HEADER_MAX_BYTES
from rapidjws.jwt.decision import AMBIGUOUS, OK
from rapidjws.jwt.engine import Engine
from rapidjws.observe.line_limits import WINDOW_S, LineLimits
from rapidjws.observe.log_events import DECISIONS, EVENTS, SECURITY
from rapidjws.observe.log_fields import FIELDS, log_fields, log_text, secrets_of, without_secrets
from rapidjws.observe.log_formats import ATTRIBUTE
from rapidjws.observe.logs import LINES_PER_MINUTE, LINES_PER_MINUTE_MAX
from rapidjws.observe.request_info import (
    REQUEST_ID,
    TRACEPARENT,
    no_headers,
    request_id,
    trace_context,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rapidjws.jwt.decision import Decision
    from rapidjws.observe.request_info import Headers
    from rapidjws.verify.snapshot import Token

PAYLOAD_MAX_BYTES: Final = 16 * 1024
OPEN_ALG_CODES: Final = frozenset({"algorithm_not_allowed", "unsupported_algorithm"})
"""Codes that are a sign of an attack for some values of ``alg`` only."""

_ALG_CODES: Final = OPEN_ALG_CODES | {"key_alg_mismatch"}
_SECURITY: Final = {"revoked": "revoked_key_used", "replayed": "replay_detected"}
_ALARMING: Final = _ALG_CODES | _SECURITY.keys()
_LOG: Final = logger(DECISIONS)
_SECURITY_LOG: Final = logger(SECURITY)
_LOGS: Final = {DECISIONS: _LOG, SECURITY: _SECURITY_LOG}


class DecisionLog:
    """Log what is not a verified token, within limits.

    ``log.note(engine.decide(token), token=token)`` is all that an application has to do; the middlewares and
    the sidecar do it by themselves. Where the loggers are not enabled, a note costs two look-ups.

    Args:
        engine: Names the configured issuers; None where a Verifier decides.
        lines_per_minute: Most lines a minute for each code and partner.
        claims: Names of claims whose values may stand in a line; they are not verified.
        clock: Monotonic seconds.

    Attributes:
        faults: How often a line could not be made.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    @checked
    def __init__(
        self,
        engine: Engine | None = None,
        *,
        lines_per_minute: int = LINES_PER_MINUTE,
        claims: Iterable[str] = (),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        check_range("lines_per_minute", lines_per_minute, 1, LINES_PER_MINUTE_MAX)
        self._engine = engine
        self._claims = tuple(claims)
        self._limits = LineLimits(lines_per_minute, clock)
        self.faults = 0
        scheduler.members.add(self)

    def after_fork(self) -> None:
        """Make the lock anew in a forked child."""
        self._limits.after_fork()

    def note(
        self,
        decision: Decision,
        *,
        token: Token | None = None,
        headers: Headers = no_headers,
        duration_ns: int | None = None,
    ) -> None:
        """Log a decision where its token was not verified; never raises, never waits.

        Args:
            decision: The decision.
            token: The token, for ``kid`` and ``alg``; it is not kept.
            headers: Gives each value of a request's header by its lower-case name.
            duration_ns: How long the decision took.
        """
        if decision.code == OK:
            return
        try:
            self._note(decision, token, headers, duration_ns)
        except Exception:  # the verdict stands whatever becomes of its line
            self.faults += 1

    def write_left_out(self) -> None:
        """Write how many lines were left out in the minute that ended; call it from time to time."""
        for kind, count in self._limits.ended():
            code, partner = kind[1:] if isinstance(kind, tuple) else ("several", None)
            fields = {"code": code, "partner": partner, "left_out": count, "window_s": int(WINDOW_S)}
            self._write("lines_left_out", log_fields(fields))

    def _note(
        self, decision: Decision, token: Token | None, headers: Headers, duration_ns: int | None
    ) -> None:
        code = decision.code
        name = "token_indeterminate" if decision.verdict == "indeterminate" else "token_refused"
        plain = _LOG.isEnabledFor(EVENTS[name].level)
        alarm = code in _ALARMING and _SECURITY_LOG.isEnabledFor(logging.WARNING)
        if not (plain or alarm):
            return
        partner = decision.partner
        self.write_left_out()
        plain = plain and self._limits.allow((DECISIONS, code, partner))
        alarm = alarm and self._limits.allow((SECURITY, code, partner))
        if not (plain or alarm):
            return
        fields = self._fields(decision, token, headers, duration_ns)
        if plain:
            self._write(name, fields)
        event = security_event(code, str(fields.get("alg", "")))
        if alarm and event is not None:
            self._write(event, fields)

    def _fields(
        self, decision: Decision, token: Token | None, headers: Headers, duration_ns: int | None
    ) -> dict[str, Any]:
        octets = _octets(token)
        context = trace_context(headers(TRACEPARENT))
        route = decision.route
        fields: dict[str, object] = {
            "code": decision.code,
            "reason": decision.reason,
            "place": decision.place,
            "rule": decision.rule,
            "outcome": decision.outcome,
            "verdict": decision.verdict,
            "phase": decision.phase,
            "partner": decision.partner,
            "attributed_by": decision.attributed_by,
            "route": None if route is None else route.partition("?")[0],
            "request_id": request_id(headers(REQUEST_ID)),
            "trace_id": None if context is None else context.trace_id,
            "duration_us": None if duration_ns is None else round(duration_ns / 1000, 1),
            "issuer": self.named_issuer(octets),
            **_header_of(octets),
        }
        if self._claims:
            fields["unverified_claims"] = _claims_of(octets, self._claims)
        return log_fields(without_secrets(fields, secrets_of(octets)))

    def named_issuer(self, token: Token | None) -> str | None:
        """Return the configured issuer that a token names, or None; nothing is proven by it."""
        if self._engine is None or not token or token is AMBIGUOUS:
            return None
        known = {issuer.name for issuer in self._engine.issuers}
        named = [iss for iss in self._engine._named_issuers(token) if iss in known]
        return named[0] if len(named) == 1 else None

    @staticmethod
    def _write(name: str, fields: dict[str, Any]) -> None:
        event = EVENTS[name]
        words = " ".join(f"{field}={json.dumps(value)}" for field, value in fields.items())
        log = _LOGS[event.logger]
        log.log(event.level, "%s: %s", name, words, extra={ATTRIBUTE: {"event": name, **fields}})


def security_event(code: str, alg: str) -> str | None:
    """Return the security event that a refusal is, or None: an algorithm that is new is no attack."""
    if code == "key_alg_mismatch":
        return "algorithm_confusion"
    if code in _ALG_CODES:
        is_forged = alg.strip().lower() == "none" or alg.upper().startswith("HS")
        return "algorithm_confusion" if is_forged else None
    return _SECURITY.get(code)


def _octets(token: Token | None) -> bytes | None:
    if token is None or token is AMBIGUOUS:
        return None
    return token.encode("utf-8", "surrogatepass") if isinstance(token, str) else bytes(token)


def _object_in(part: bytes, max_bytes: int) -> dict[str, Any]:
    """Return a JSON object out of base64url, or an empty one; duplicates and depth are nobody's business."""
    if len(part) > max_bytes * 4 // 3 + 4:
        return {}
    octets = _native.b64url_decode(part)
    if octets is None:
        return {}
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _header_of(octets: bytes | None) -> dict[str, object]:
    """Return what an unverified header says of ``kid`` and ``alg``, where these are texts."""
    if not octets:
        return {}
    header = _object_in(octets.partition(b".")[0], HEADER_MAX_BYTES)
    if not isinstance(header.get("alg"), str):  # no JOSE Header: nothing of it is repeated
        return {}
    return {name: value for name in ("kid", "alg") if isinstance(value := header.get(name), str)}


def stated_alg(token: Token | None) -> str | None:
    """Return the ``alg`` that an unverified token states, bounded, or None."""
    alg = _header_of(_octets(token)).get("alg")
    return None if alg is None else log_text(alg, FIELDS["alg"].max_chars)


def _claims_of(octets: bytes | None, names: tuple[str, ...]) -> str | None:
    """Return the listed claims of an unverified payload as JSON text, scalars only."""
    if not octets:
        return None
    payload = _object_in(octets.split(b".", 2)[1] if octets.count(b".") == 2 else b"", PAYLOAD_MAX_BYTES)
    found = {name: value for name in names if isinstance(value := payload.get(name), (str, int, float, bool))}
    short = {name: value[:64] if isinstance(value, str) else value for name, value in found.items()}
    return json.dumps(short) if found else None
