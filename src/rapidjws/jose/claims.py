"""The JWT Claims Set, checked in full and with words (RFC 7519 s.4.1).

The talkative twin of the C fast path: same rules, same order, and the errors say what was expected and what
was found. It sees only payloads whose signature verified. What it never does: read a clock, compare loosely.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import json_text
from rapidjws.jose.limits import (
    CLAIMS_MAX_MEMBERS,
    CLOCK_FLOOR_S,
    JSON_MAX_DEPTH,
    LEEWAY_DEFAULT_S,
    LEEWAY_MAX_S,
    NUMERIC_DATE_MAX_S,
    TOKEN_MAX_BYTES_MLDSA,
)
from rapidjws.jose.numeric_date import DATES, SECOND_NS, NumericDate, moment_ns, numeric_dates, spell_ns

_STRINGS: Final = ("iss", "sub", "jti")

Dates = dict[str, NumericDate | None]
"""Claim -> its NumericDate, or None for one out of range."""

RULED: Final = frozenset(
    {"issuer_mismatch", "audience_mismatch", "expired", "not_yet_valid", "issued_in_future", "too_old"}
)
"""Codes by which claims of good JSON and types are refused, see ``refusal_by``."""


@checked(under="claims_policy", but=("audiences", "required"))
@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsPolicy:
    """What is demanded of a Claims Set.

    Attributes:
        issuer: What iss must be, exactly; None: iss is not compared.
        audiences: The names this service goes by; one of them must stand in aud. Empty: a token with aud is
            refused, because it is meant for somebody (RFC 7519 s.4.1.3).
        leeway_s: Whole seconds by which clocks may differ, 0 to 86 400.
        exp_required: False to accept tokens that never expire.
        max_age_s: Most whole seconds since iat, which is required then; None: no such rule.
        required: Further claims that must be there and not null.
        audience_checked: False to let aud name anybody; it must still be of the right type.

    Raises:
        ConfigurationError: configuration_invalid, with the attribute as its place.
    """

    issuer: str | None = None
    audiences: tuple[str, ...] = ()
    leeway_s: int = LEEWAY_DEFAULT_S
    exp_required: bool = True
    max_age_s: int | None = None
    required: tuple[str, ...] = ()
    audience_checked: bool = True

    def __post_init__(self) -> None:
        issuer: Any = self.issuer
        if issuer is not None and not (isinstance(issuer, str) and issuer):
            raise _invalid("issuer", "a non-empty string or None")
        for name in ("audiences", "required"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        if not _is_whole(self.leeway_s) or not 0 <= self.leeway_s <= LEEWAY_MAX_S:
            raise _invalid("leeway_s", f"0 to {LEEWAY_MAX_S} whole seconds")
        exp_required: Any = self.exp_required
        if not isinstance(exp_required, bool):
            raise _invalid("exp_required", "True or False")
        audience_checked: Any = self.audience_checked
        if not isinstance(audience_checked, bool):
            raise _invalid("audience_checked", "True or False")
        if self.audiences and not audience_checked:
            raise _invalid("audiences", "none, as aud is not checked")
        if self.max_age_s is not None and (
            not _is_whole(self.max_age_s) or not 0 < self.max_age_s <= NUMERIC_DATE_MAX_S
        ):
            raise _invalid("max_age_s", f"1 to {NUMERIC_DATE_MAX_S} whole seconds, or None")


@checked
def check_claims(
    claims_json: bytes,
    policy: ClaimsPolicy,
    now: float,
    *,
    now_is_measured: bool = False,
    max_bytes: int = TOKEN_MAX_BYTES_MLDSA,
) -> dict[str, Any]:
    """Check a verified payload and return its claims.

    Where several rules fail, the first of this order speaks: the JSON, a malformed claim, a missing one, iss,
    aud, exp, nbf, iat, max age. With t the leeway: exp passes while now < exp + t; nbf once now + t >= nbf;
    iat if iat <= now + t; the age while now - iat <= max_age + t. Nothing is rounded: see ``moment_ns`` for
    ``now``, and NumericDates count with every digit that is written.

    Args:
        claims_json: The payload of a JWS whose signature verified.
        policy: What is demanded.
        now: Seconds since 1970-01-01T00:00:00Z; an int is exact, a float stands for what ``repr`` writes.
        now_is_measured: True where ``now`` was read from this machine's clock; it is then checked as well.
        max_bytes: Largest payload.

    Returns:
        The claims, integers exact.

    Raises:
        MalformedToken: malformed_claims (no JSON object), malformed_json, duplicate_member, too_large,
            too_deep or too_many_members.
        ClaimRefused: malformed_claim, missing_claim, issuer_mismatch, audience_mismatch, expired,
            not_yet_valid, issued_in_future or too_old.
        DependencyUnavailable: clock_implausible.
        ConfigurationError: configuration_invalid (``now`` is no time).

    Source: RFC 7519 s.2, s.4.1, s.7.2.
    """
    check_range("max_bytes", max_bytes, 0, 2**31 - 1)
    now_ns = moment_ns(now)
    if now_is_measured and now < CLOCK_FLOOR_S:  # a machine after boot, at 1970: nothing would be expired
        raise error_for("clock_implausible", "now", f"at least {CLOCK_FLOOR_S}", int(now))
    return check_claims_at(claims_json, policy, now_ns, max_bytes=max_bytes)


def check_claims_at(
    claims_json: bytes, policy: ClaimsPolicy, now_ns: int, *, max_bytes: int
) -> dict[str, Any]:
    """Check a verified payload as ``check_claims`` does, at a moment in nanoseconds since 1970.

    Raises:
        MalformedToken: As ``check_claims``.
        ClaimRefused: As ``check_claims``.
    """
    claims = json_text.loads(
        claims_json,
        max_bytes=max_bytes,
        max_depth=JSON_MAX_DEPTH,
        max_members=CLAIMS_MAX_MEMBERS,
        place="claims",
    )
    if not isinstance(claims, dict):  # RFC 7519 s.7.2 step 10: a JSON object
        raise error_for("malformed_claims", "claims", "a JSON object", type(claims).__name__)
    dates = _check_types(claims, claims_json)
    _check_presence(claims, policy)
    refused = (
        _refused_issuer(claims, policy)
        or _refused_audience(claims, policy)
        or _refused_times(claims, dates, policy, now_ns)
    )
    if refused is not None:
        raise refused
    return claims


def refusal_by(code: str, claims_json: bytes, policy: ClaimsPolicy, now_ns: int) -> RapidJWSError | None:
    """Return the error of a rule that is known to have failed, without asking those before it again.

    Args:
        code: What the core refused the claims for.
        claims_json: The claims; the core scanned them, and found their types good.
        policy: What is demanded.
        now_ns: Nanoseconds since 1970-01-01T00:00:00Z.

    Returns:
        The error; None where this rule lets the claims pass, or is not one of issuer, audience and time.
    """
    if code not in RULED:
        return None
    claims = json_text.loads_scanned(claims_json)
    if code == "issuer_mismatch":
        refused = _refused_issuer(claims, policy)
    elif code == "audience_mismatch":
        refused = _refused_audience(claims, policy)
    else:
        refused = _refused_times(claims, numeric_dates(claims, lambda: claims_json), policy, now_ns)
    return refused if refused is not None and refused.code == code else None


def _check_types(claims: dict[str, Any], claims_json: bytes) -> Dates:
    """Refuse registered claims of the wrong type or range; return the dates."""
    for name in _STRINGS:
        if name in claims and not isinstance(claims[name], str):  # RFC 7519 s.4.1.1, s.4.1.2, s.4.1.7
            raise _malformed(name, "a string", claims[name])
    if "aud" in claims:
        _check_aud_type(claims["aud"])
    for name in DATES:
        if name in claims and not _is_number(claims[name]):  # RFC 7519 s.2: NumericDate is a JSON number
            raise _malformed(name, "a number of seconds", claims[name])
    dates = numeric_dates(claims, lambda: claims_json)
    for name, date in dates.items():
        if date is None:  # milliseconds, overflow tricks
            raise error_for("malformed_claim", f"claims.{name}", f"0 to {NUMERIC_DATE_MAX_S}", claims[name])
    return dates


def _check_aud_type(aud: Any) -> None:
    """Refuse an aud that is neither a string nor an array of strings (RFC 7519 s.4.1.3)."""
    if isinstance(aud, str):
        return
    if not isinstance(aud, list):
        raise _malformed("aud", "a string or an array of strings", aud)
    for index, item in enumerate(aud):
        if not isinstance(item, str):
            raise _malformed(f"aud[{index}]", "a string", item)


def _check_presence(claims: dict[str, Any], policy: ClaimsPolicy) -> None:
    """Refuse a Claims Set that lacks what the policy needs; null is absent."""
    due = (
        ("iss", policy.issuer is not None),
        ("aud", bool(policy.audiences)),
        ("exp", policy.exp_required),
        ("iat", policy.max_age_s is not None),
        *((name, True) for name in policy.required),
    )
    for name, is_due in due:
        if is_due and claims.get(name) is None:
            raise error_for("missing_claim", f"claims.{name}", "a value")


def _refused_issuer(claims: dict[str, Any], policy: ClaimsPolicy) -> RapidJWSError | None:
    """Return the error of another issuer; compared character by character (RFC 7519 s.4.1.1)."""
    if policy.issuer is not None and claims["iss"] != policy.issuer:
        return error_for("issuer_mismatch", "claims.iss", policy.issuer, claims["iss"])
    return None


def _refused_audience(claims: dict[str, Any], policy: ClaimsPolicy) -> RapidJWSError | None:
    """Return the error of a token for others: who is not named must not accept it (RFC 7519 s.4.1.3)."""
    if "aud" not in claims or not policy.audience_checked:
        return None
    aud = claims["aud"]
    named = (aud,) if isinstance(aud, str) else tuple(aud)
    if any(name in policy.audiences for name in named):
        return None
    return error_for("audience_mismatch", "claims.aud", policy.audiences, named)


def _refused_times(
    claims: dict[str, Any], dates: Dates, policy: ClaimsPolicy, now_ns: int
) -> RapidJWSError | None:
    """Return the error of a token outside its time; each test states what passes, so nothing odd does."""
    now, leeway = spell_ns(now_ns), policy.leeway_s
    leeway_ns = leeway * SECOND_NS
    exp, nbf, iat = dates.get("exp"), dates.get("nbf"), dates.get("iat")
    if exp is not None and not now_ns < exp.ceil_ns + leeway_ns:  # RFC 7519 s.4.1.4: before exp, not on it
        return error_for("expired", "claims.exp", f"later than {now} - {leeway}", claims["exp"])
    if nbf is not None and not now_ns + leeway_ns >= nbf.ceil_ns:  # RFC 7519 s.4.1.5
        return error_for("not_yet_valid", "claims.nbf", f"at most {now} + {leeway}", claims["nbf"])
    if iat is not None and not iat.ceil_ns <= now_ns + leeway_ns:
        return error_for("issued_in_future", "claims.iat", f"at most {now} + {leeway}", claims["iat"])
    if policy.max_age_s is not None:
        oldest_ns = now_ns - policy.max_age_s * SECOND_NS - leeway_ns
        if iat is None or not oldest_ns <= iat.floor_ns:
            oldest = f"at least {now} - {policy.max_age_s} - {leeway}"
            return error_for("too_old", "claims.iat", oldest, claims.get("iat"))
    return None


def _is_number(value: Any) -> bool:
    """Say whether a value is a finite number; a boolean is none."""
    return math.isfinite(value) if isinstance(value, float) else _is_whole(value)


def _is_whole(value: Any) -> bool:
    """Say whether a value is an integer; a boolean is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _malformed(name: str, expected: str, value: Any) -> RapidJWSError:
    """Build the error of a claim of the wrong type; the value itself is not shown."""
    return error_for("malformed_claim", f"claims.{name}", expected, type(value).__name__)


def _names(attribute: str, value: Any) -> tuple[str, ...]:
    """Return a collection of names as a tuple; one string alone is a mistake, not its letters."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Collection):
        raise _invalid(attribute, "a tuple of strings")
    names = tuple(value)
    if not all(isinstance(name, str) and name for name in names):
        raise _invalid(attribute, "a tuple of non-empty strings")
    return names


def _invalid(attribute: str, expected: str) -> RapidJWSError:
    """Build the error of a setting out of range."""
    return error_for("configuration_invalid", f"claims_policy.{attribute}", expected)
