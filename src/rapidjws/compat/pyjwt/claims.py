"""The claims checks of PyJWT 2.x, in its order and with its errors (RFC 7519 s.4.1)."""

from __future__ import annotations

import math
import time
from collections.abc import Container, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from rapidjws.compat.pyjwt.exceptions import (
    DecodeError,
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuedAtError,
    InvalidIssuerError,
    InvalidJTIError,
    InvalidSubjectError,
    MissingRequiredClaimError,
)

_FAR_S: Final = 1 << 62
"""Stands for an ``exp`` that is not there."""


def checked_leeway(leeway: Any) -> Any:
    """Return a leeway in seconds.

    Raises:
        ValueError: It is no finite number: every date would pass.
    """
    seconds = leeway.total_seconds() if isinstance(leeway, timedelta) else leeway
    if isinstance(seconds, float) and not math.isfinite(seconds):
        raise ValueError("leeway: expected a finite number of seconds")
    return seconds


class ClaimsChecks:
    """The checks one by one, for subclasses to change."""

    def _validate_claims(
        self,
        payload: dict[str, Any],
        options: Mapping[str, Any],
        audience: Iterable[str] | str | None = None,
        issuer: Container[str] | str | None = None,
        subject: str | None = None,
        leeway: Any = 0,
    ) -> None:
        """Check claims.

        Args:
            payload: The claims.
            options: All options.
            audience: The audiences, or None.
            issuer: The issuers, or None for any.
            subject: The subject, or None for any.
            leeway: Seconds that clocks may differ, or a timedelta.

        Raises:
            InvalidTokenError: Or one below it.
            TypeError: ``audience`` is neither text nor an iterable.
            ValueError: ``leeway`` is not finite.
        """
        if leeway.__class__ is not int:
            leeway = checked_leeway(leeway)
        if audience is not None and not isinstance(audience, (str, Iterable)):
            raise TypeError("audience must be a string, iterable or None")
        if options["require"]:
            self._validate_required_claims(payload, options["require"])
        now = time.time()
        if "iat" in payload and options["verify_iat"]:
            self._validate_iat(payload, now, leeway)
        if "nbf" in payload and options["verify_nbf"]:
            self._validate_nbf(payload, now, leeway)
        if "exp" in payload and options["verify_exp"]:
            self._validate_exp(payload, now, leeway)
        if issuer is not None and options["verify_iss"]:
            self._validate_iss(payload, issuer)
        if options["verify_aud"]:
            self._validate_aud(payload, audience, strict=options.get("strict_aud", False))
        if "sub" in payload and options["verify_sub"]:
            self._validate_sub(payload, subject)
        if "jti" in payload and options["verify_jti"]:
            self._validate_jti(payload)

    def _validate_required_claims(self, payload: dict[str, Any], claims: Iterable[str]) -> None:
        for name in claims:
            if payload.get(name) is None:
                raise MissingRequiredClaimError(name)

    def _validate_iat(self, payload: dict[str, Any], now: float, leeway: Any) -> None:
        check_iat(payload["iat"], now, leeway)

    def _validate_nbf(self, payload: dict[str, Any], now: float, leeway: Any) -> None:
        check_nbf(payload["nbf"], now, leeway)

    def _validate_exp(self, payload: dict[str, Any], now: float, leeway: Any) -> None:
        check_exp(payload["exp"], now, leeway)

    def _validate_iss(self, payload: dict[str, Any], issuer: Container[str] | str | None) -> None:
        if issuer is not None:
            check_iss(payload, issuer)

    def _validate_aud(
        self, payload: dict[str, Any], audience: Iterable[str] | str | None, *, strict: bool = False
    ) -> None:
        check_aud(payload, audience, strict)

    def _validate_sub(self, payload: dict[str, Any], subject: str | None = None) -> None:
        if "sub" in payload:
            check_sub(payload["sub"], subject)

    def _validate_jti(self, payload: dict[str, Any]) -> None:
        if "jti" in payload and not isinstance(payload["jti"], str):
            raise InvalidJTIError("JWT ID must be a string")


def are_plain(
    claims: Mapping[str, Any], options: Mapping[str, Any], audience: Any, issuer: Any, leeway: Any, now: float
) -> bool:
    """Return whether claims pass every check by the plainest of values.

    Where they do, each check by itself lets them pass; False leaves the decision, and the error, to these.

    Args:
        claims: The claims.
        options: All options.
        audience: As for ``decode``.
        issuer: As for ``decode``.
        leeway: As for ``decode``.
        now: Seconds since the epoch.
    """
    if leeway.__class__ is not int or options["require"] or options.get("strict_aud", False):
        return False
    get = claims.get
    exp, iat, nbf = get("exp", _FAR_S), get("iat", 0), get("nbf", 0)
    if exp.__class__ is not int or iat.__class__ is not int or nbf.__class__ is not int:
        return False
    if exp <= now - leeway or iat > now + leeway or nbf > now + leeway:
        return False
    if get("sub", "").__class__ is not str or get("jti", "").__class__ is not str:
        return False
    if issuer is not None and (issuer.__class__ is not str or get("iss") != issuer):
        return False
    named = get("aud")
    if audience is None:
        return not named or not options["verify_aud"]
    if not named or named.__class__ is not str:
        return False
    kind = audience.__class__
    return named == audience if kind is str else (kind is list or kind is tuple) and named in audience


def check_iat(value: Any, now: float, leeway: Any) -> None:
    """Refuse an ``iat`` after now."""
    try:
        iat = int(value)
    except (ValueError, TypeError, OverflowError):
        raise InvalidIssuedAtError("Issued At claim (iat) must be an integer.") from None
    if iat > now + leeway:
        raise ImmatureSignatureError("The token is not yet valid (iat)")


def check_nbf(value: Any, now: float, leeway: Any) -> None:
    """Refuse an ``nbf`` after now."""
    try:
        nbf = int(value)
    except (ValueError, TypeError, OverflowError):
        raise DecodeError("Not Before claim (nbf) must be an integer.") from None
    if nbf > now + leeway:
        raise ImmatureSignatureError("The token is not yet valid (nbf)")


def check_exp(value: Any, now: float, leeway: Any) -> None:
    """Refuse an ``exp`` that is over."""
    try:
        exp = int(value)
    except (ValueError, TypeError, OverflowError):
        raise DecodeError("Expiration Time claim (exp) must be an integer.") from None
    if exp <= now - leeway:
        raise ExpiredSignatureError("Signature has expired")


def check_sub(value: Any, subject: str | None) -> None:
    """Refuse a ``sub`` that is no text, or another one."""
    if not isinstance(value, str):
        raise InvalidSubjectError("Subject must be a string")
    if subject is not None and value != subject:
        raise InvalidSubjectError("Invalid subject")


def check_iss(claims: Mapping[str, Any], issuer: Container[str] | str) -> None:
    """Refuse an ``iss`` that is none of the caller's."""
    if "iss" not in claims:
        raise MissingRequiredClaimError("iss")
    iss = claims["iss"]
    if not isinstance(iss, str):
        raise InvalidIssuerError("Payload Issuer (iss) must be a string")
    try:
        is_known = iss == issuer if isinstance(issuer, str) else iss in issuer
    except TypeError:
        raise InvalidIssuerError('Issuer param must be "str" or "Container[str]"') from None
    if not is_known:
        raise InvalidIssuerError("Invalid issuer")


def check_aud(claims: Mapping[str, Any], audience: Iterable[str] | str | None, strict: bool) -> None:
    """Refuse an ``aud`` that has none of the caller's, and one where the caller named none."""
    named = claims.get("aud")
    if audience is None:
        if named:
            raise InvalidAudienceError("Invalid audience")
        return
    if not named:
        raise MissingRequiredClaimError("aud")
    if strict:
        if not isinstance(audience, str):
            raise InvalidAudienceError("Invalid audience (strict)")
        if not isinstance(named, str):
            raise InvalidAudienceError("Invalid claim format in token (strict)")
        if audience != named:
            raise InvalidAudienceError("Audience doesn't match (strict)")
        return
    found = [named] if isinstance(named, str) else named
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise InvalidAudienceError("Invalid claim format in token")
    wanted = (audience,) if isinstance(audience, str) else audience
    if not any(one in found for one in wanted):
        raise InvalidAudienceError("Audience doesn't match")
