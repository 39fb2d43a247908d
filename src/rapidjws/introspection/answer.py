"""The answer of an introspection endpoint, read strictly (RFC 7662 s.2.2): one that is not clear is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from rapidjws.errors import RapidJWSError, error_for
from rapidjws.jose import json_text
from rapidjws.jose.numeric_date import SECOND_NS, numeric_dates

ANSWER_MAX_BYTES: Final = 64 * 1024
_LIMITS: Final[dict[str, int]] = {"max_bytes": ANSWER_MAX_BYTES, "max_depth": 16, "max_members": 128}
_TEXTS: Final = ("iss", "sub", "scope", "client_id", "username", "token_type", "jti")
_KINDS: Final = ("token_type", "token_use", "typ")
"""Where servers say what kind of token it is."""
_OTHER_KINDS: Final = frozenset({"id", "id_token", "offline", "logout", "authorization_code"})
_DATES: Final = ("exp", "nbf", "iat")


@dataclass(frozen=True, slots=True, kw_only=True)
class IntrospectionAnswer:
    """What a server says of one token.

    Attributes:
        active: Whether it is active.
        claims: What it says beside ``active``; empty where it is not.
        octets: The claims as JSON.
        ends_ns: When it ends, nanoseconds since the epoch, or None.
        begins_ns: Before when it is not to be used, or None.
    """

    active: bool
    claims: dict[str, Any] = field(default_factory=dict, repr=False)
    octets: bytes = field(default=b"{}", repr=False)
    ends_ns: int | None = None
    begins_ns: int | None = None


INACTIVE: Final = IntrospectionAnswer(active=False)


def nonsense(expected: str) -> RapidJWSError:
    """Return the error for an answer that says nothing: nobody knows whether the token is active."""
    return error_for("introspection_unavailable", "introspection.answer", expected)


def answer_of(body: bytes) -> IntrospectionAnswer:
    """Return what the body of an answer says.

    Args:
        body: JSON.

    Raises:
        DependencyUnavailable: ``introspection_unavailable``.
    """
    try:
        found = json_text.loads(body, place="introspection", **_LIMITS)
    except RapidJWSError:
        raise nonsense("a JSON object") from None
    return answer_from(found, body)


def answer_from(found: Any, body: bytes) -> IntrospectionAnswer:
    """Return what the object of an answer says.

    Args:
        found: The object.
        body: The text that it was read from, for dates with a fraction.

    Raises:
        DependencyUnavailable: ``introspection_unavailable``.
    """
    if not isinstance(found, dict) or not isinstance(found.get("active"), bool):
        raise nonsense("an object with active, true or false")
    if not found["active"]:  # s.2.2: nothing else counts then
        return INACTIVE
    claims = {name: value for name, value in found.items() if name != "active" and value is not None}
    for name in _TEXTS:
        if not isinstance(claims.get(name, ""), str):
            raise nonsense(f"{name} as text")
    _check_audience(claims.get("aud", ""))
    if _is_of_another_kind(claims):
        return INACTIVE
    if str(claims.get("token_type", "")).lower() == "dpop" and "cnf" not in claims:
        raise nonsense("cnf beside token_type DPoP")  # RFC 9449 s.6.2: bound, and nobody knows to what
    for name in _DATES:
        value = claims.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise nonsense(f"{name} as a number")
    dates = numeric_dates(claims, lambda: body, _DATES)
    if any(date is None for date in dates.values()):
        raise nonsense("dates")
    exp, nbf = dates.get("exp"), dates.get("nbf")
    return IntrospectionAnswer(
        active=True,
        claims=claims,
        octets=body,
        ends_ns=None if exp is None else exp.floor_ns,
        begins_ns=None if nbf is None else nbf.ceil_ns,
    )


def _is_of_another_kind(claims: dict[str, Any]) -> bool:
    """Return whether an active token is no access token: to a resource it is not active (RFC 7662 s.4)."""
    for name in _KINDS:
        kind = claims.get(name)
        if isinstance(kind, str) and ("refresh" in kind.lower() or kind.lower() in _OTHER_KINDS):
            return True
    return False


def _check_audience(aud: Any) -> None:
    if not isinstance(aud, str) and not (isinstance(aud, list) and all(isinstance(one, str) for one in aud)):
        raise nonsense("aud as text or a list of texts")


def is_over(answer: IntrospectionAnswer, now_ns: int, leeway_s: int) -> bool:
    """Return whether an active token has ended by its ``exp``.

    Args:
        answer: What the server answered about it.
        now_ns: Nanoseconds since the epoch.
        leeway_s: Clock difference forgiven.
    """
    return answer.ends_ns is not None and answer.ends_ns + leeway_s * SECOND_NS <= now_ns
