"""The JWT Claims Set, checked in full and with words (RFC 7519 s.4.1).

The talkative twin of the C fast path: same rules, same order, and the errors say what was expected and what
was found. It sees only payloads whose signature verified. What it never does: read a clock, compare loosely.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import json_text
from rapidjws.jose.claim_check import refused_by
from rapidjws.jose.claim_rules import ClaimRule, PathRule
from rapidjws.jose.issuer_names import IssuerTemplate, is_template, refused_template, template_of
from rapidjws.jose.limits import (
    CLAIMS_MAX_MEMBERS,
    JSON_MAX_DEPTH,
    LEEWAY_DEFAULT_S,
    LEEWAY_MAX_S,
    NUMERIC_DATE_MAX_S,
    TOKEN_MAX_BYTES_MLDSA,
)
from rapidjws.jose.numeric_date import (
    DATES,
    SECOND_NS,
    NumericDate,
    check_clock,
    moment_ns,
    numeric_dates,
    spell_ns,
)

_STRINGS: Final = ("iss", "sub", "jti")

Dates = dict[str, NumericDate | None]
"""Claim -> its NumericDate, or None for one out of range."""

RULED: Final = frozenset(
    {"issuer_mismatch", "audience_mismatch", "claim_mismatch", "expired", "not_yet_valid", "issued_in_future",
     "too_old"}
)  # fmt: skip
"""Codes by which claims of good JSON and types are refused, see ``refusal_by``."""


@checked(under="claims_policy", but=("audiences", "required", "other_issuers"))
@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsPolicy:
    """What is demanded of a Claims Set.

    Attributes:
        issuer: What iss must be, exactly, or a template with one claim in braces; None: iss is not compared.
        other_issuers: Further names of the issuer that iss may be.
        audiences: The names this service goes by; one of them must stand in aud. Empty: a token with aud is
            refused, because it is meant for somebody (RFC 7519 s.4.1.3).
        leeway_s: Whole seconds by which clocks may differ, 0 to 86 400.
        exp_required: False to accept tokens that never expire.
        max_age_s: Most whole seconds since iat, which is required then; None: no such rule.
        required: Further claims that must be there and not null.
        audience_checked: False to let aud name anybody; it must still be of the right type.
        rules: What further claims must be, see ``claim_rules.checked_rules``; functions among them come last.
        max_auth_age_s: Most whole seconds since auth_time, which is required then; None: no such rule.
        shown_claims: Claims whose values may stand in the error of a rule.
        template: The issuer where it is a template, else None; not to be given.

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
    other_issuers: tuple[str, ...] = ()
    rules: tuple[PathRule, ...] = ()
    max_auth_age_s: int | None = None
    shown_claims: frozenset[str] = frozenset()
    template: IssuerTemplate | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        issuer: Any = self.issuer
        if issuer is not None and not (isinstance(issuer, str) and issuer):
            raise _invalid("issuer", "a non-empty string or None")
        if issuer is not None and is_template(issuer):
            object.__setattr__(self, "template", template_of(issuer))
        if self.other_issuers and (issuer is None or self.template is not None):
            raise _invalid("other_issuers", "an issuer beside them that is no template")
        for name in ("audiences", "required", "other_issuers"):
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
        if self.max_auth_age_s is not None and not 0 <= self.max_auth_age_s <= NUMERIC_DATE_MAX_S:
            raise _invalid("max_auth_age_s", f"0 to {NUMERIC_DATE_MAX_S} whole seconds, or None")

    @property
    def needed(self) -> tuple[str, ...]:
        """Return the claims that must be there: a template's, and ``required``."""
        return self.required if self.template is None else (self.template.claim, *self.required)

    @property
    def checks(self) -> tuple[PathRule, ...]:
        """Return the rules that are functions of the caller."""
        return tuple(one for one in self.rules if not isinstance(one.rule, ClaimRule))

    @property
    def plain_rules(self) -> tuple[PathRule, ...]:
        """Return the rules that need no code of the caller."""
        return tuple(one for one in self.rules if isinstance(one.rule, ClaimRule))


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
    aud, the rules of further claims, exp, nbf, iat, max age, auth_time, the caller's functions. With t the
    leeway: exp passes while now < exp + t; nbf once now + t >= nbf; iat if iat <= now + t; the age while
    now - iat <= max_age + t. Nothing is rounded: see ``moment_ns`` for ``now``, and NumericDates count with
    every digit that is written.

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
        ClaimRefused: malformed_claim, missing_claim, issuer_mismatch, audience_mismatch, claim_mismatch,
            expired, not_yet_valid, issued_in_future, too_old or claim_check_failed.
        DependencyUnavailable: clock_implausible.
        ConfigurationError: configuration_invalid (``now`` is no time).

    Source: RFC 7519 s.2, s.4.1, s.7.2.
    """
    check_range("max_bytes", max_bytes, 0, 2**31 - 1)
    now_ns = moment_ns(now)
    if now_is_measured:
        check_clock(now_ns, "now")
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
    dates = _check_types(claims, claims_json, policy)
    _check_presence(claims, policy)
    refused = (
        _refused_issuer(claims, policy)
        or _refused_audience(claims, policy)
        or refused_by(policy.plain_rules, claims, claims_json, policy.shown_claims)
        or _refused_times(claims, dates, policy, now_ns)
        or refused_by(policy.checks, claims, claims_json, policy.shown_claims)
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
    elif code == "claim_mismatch":
        refused = refused_by(policy.plain_rules, claims, claims_json, policy.shown_claims)
    else:
        dates = numeric_dates(claims, lambda: claims_json, _dates_of(policy))
        refused = _refused_times(claims, dates, policy, now_ns)
    return refused if refused is not None and refused.code == code else None


def _dates_of(policy: ClaimsPolicy) -> tuple[str, ...]:
    """Return the claims that are dates; auth_time only where its age counts (OpenID Connect Core s.2)."""
    return DATES if policy.max_auth_age_s is None else (*DATES, "auth_time")


def _check_types(claims: dict[str, Any], claims_json: bytes, policy: ClaimsPolicy) -> Dates:
    """Refuse registered claims of the wrong type or range; return the dates."""
    for name in _STRINGS:
        if name in claims and not isinstance(claims[name], str):  # RFC 7519 s.4.1.1, s.4.1.2, s.4.1.7
            raise _malformed(name, "a string", claims[name])
    if "aud" in claims:
        _check_aud_type(claims["aud"])
    for name in _dates_of(policy):
        if name in claims and not _is_number(claims[name]):  # RFC 7519 s.2: NumericDate is a JSON number
            raise _malformed(name, "a number of seconds", claims[name])
    dates = numeric_dates(claims, lambda: claims_json, _dates_of(policy))
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
        ("auth_time", policy.max_auth_age_s is not None),
        *((name, True) for name in policy.needed),
    )
    for name, is_due in due:
        if is_due and claims.get(name) is None:
            raise error_for("missing_claim", f"claims.{name}", "a value")


def _refused_issuer(claims: dict[str, Any], policy: ClaimsPolicy) -> RapidJWSError | None:
    """Return the error of another issuer; compared character by character (RFC 7519 s.4.1.1)."""
    if policy.template is not None:
        return refused_template(policy.template, claims)
    if policy.issuer is None or claims["iss"] in (policy.issuer, *policy.other_issuers):
        return None
    expected = (policy.issuer, *policy.other_issuers) if policy.other_issuers else policy.issuer
    return error_for("issuer_mismatch", "claims.iss", expected, claims["iss"])


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
    return _refused_auth_time(claims, dates.get("auth_time"), policy, now_ns)


def _refused_auth_time(
    claims: dict[str, Any], auth_time: NumericDate | None, policy: ClaimsPolicy, now_ns: int
) -> RapidJWSError | None:
    """Return the error of a sign-in too long ago (OpenID Connect Core s.3.1.3.7 step 13)."""
    if policy.max_auth_age_s is None:
        return None
    now, leeway = spell_ns(now_ns), policy.leeway_s
    if auth_time is None or not auth_time.ceil_ns <= now_ns + leeway * SECOND_NS:
        return error_for("issued_in_future", "claims.auth_time", f"at most {now} + {leeway}",
                         claims.get("auth_time"))  # fmt: skip
    if not now_ns - (policy.max_auth_age_s + leeway) * SECOND_NS <= auth_time.floor_ns:
        oldest = f"at least {now} - {policy.max_auth_age_s} - {leeway}"
        return error_for("too_old", "claims.auth_time", oldest, claims["auth_time"])
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
