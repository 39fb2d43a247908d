"""What a verdict tells beyond its code: an unknown kid, an algorithm not agreed on, a clock's difference.

What this never does: believe a claim of a token whose signature is not good.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
from typing import TYPE_CHECKING, Any, Final

from rapidjws.jwt.decision import OK, Decision, ResultOrError
from rapidjws.rollout.counters import Request
from rapidjws.rollout.measures import lifetime_of, safe_name
from rapidjws.verify.result import VerifiedJWS

if TYPE_CHECKING:
    from rapidjws.errors import RapidJWSError
    from rapidjws.verify.snapshot import Token

TIMED: Final = frozenset({"expired", "too_old", "not_yet_valid", "issued_in_future"})
"""Codes of tokens whose signature is good and whose time is not."""

KEY_CHARS: Final = 16
"""Characters of a public key's thumbprint that its use is counted under: 96 bits."""

OTHER_ALGORITHM: Final = frozenset({"algorithm_not_allowed", "unsupported_algorithm", "key_alg_mismatch"})


def request_of(
    decision: Decision,
    result: ResultOrError,
    error: RapidJWSError | None,
    token: Token | None,
    now_s: int,
    elapsed_ns: int,
) -> Request:
    """Return what is counted of a request.

    Args:
        decision: What was decided.
        result: What verification found.
        error: What was found at last, by verification or by the partner's rules.
        token: The token, or None.
        now_s: Seconds since the epoch.
        elapsed_ns: Time that verification took, in nanoseconds.
    """
    good = decision.verified
    unknown_kid = other_alg = None
    if error is not None:
        named = None if error.actual is None else safe_name(error.actual)
        unknown_kid = named if error.code == "unknown_kid" else None
        other_alg = (named or "unnamed") if error.code in OTHER_ALGORITHM else None
    return Request(
        code=decision.code if good is None else OK,
        now_s=now_s,
        elapsed_ns=elapsed_ns,
        failed=good is None,
        refused=decision.outcome != "permit",
        alg=None if good is None else good.alg,
        unknown_kid=unknown_kid,
        other_alg=other_alg,
        skew_s=_skew_s(result, token, now_s),
        key=None if good is None else key_name(good),
        lifetime=None if good is None else _lifetime(good),
    )


def key_name(good: VerifiedJWS) -> str | None:
    """Return what the use of a key is counted under; None for a secret, which has no public name."""
    return None if good.alg[:2] == "HS" else good.key_thumbprint[:KEY_CHARS]


def _lifetime(good: VerifiedJWS) -> str | None:
    """Return the span of a good token's lifetime; None where its payload holds no claims."""
    try:
        claims = good.claims
    except TypeError:
        return None
    return lifetime_of(claims.get("exp"), claims.get("iat"))


def _skew_s(result: ResultOrError, token: Token | None, now_s: int) -> float | None:
    """Return how far ``iat`` lies from now, of a token whose signature is good, or None."""
    iat: Any = None
    if isinstance(result, VerifiedJWS):
        try:
            iat = result.claims.get("iat")
        except TypeError:  # a Verifier's payload holds no claims
            return None
    elif result.code in TIMED and token is not None:
        iat = _issued_at(token)
    if iat.__class__ is int or (iat.__class__ is float and math.isfinite(iat)):
        difference_s: float = iat - now_s
        return difference_s
    return None


def _issued_at(token: Token) -> Any:
    """Return ``iat`` of a compact token that was refused for its time only: its signature was good before."""
    with contextlib.suppress(Exception):  # a clue that cannot be read is none
        octets = token.encode("ascii") if isinstance(token, str) else bytes(token)
        payload = octets.split(b".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))).get("iat")
    return None
