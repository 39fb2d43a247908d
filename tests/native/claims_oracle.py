"""The rules of native/text/claims.h once more, slow and obvious, and the driver to hold against them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from native_drivers import compile_driver, run_driver

OK, MALFORMED, MISSING, EXPIRED, NOT_YET_VALID = 1, 9, 10, 11, 12
IN_FUTURE, TOO_OLD, ISSUER, AUDIENCE, UNDECIDED, BAD_ARGUMENT = 13, 14, 15, 16, 18, 24
NOW_S = 1_767_222_100
DATE_MAX_S = 253_402_300_799


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a caller demands, as rj_claims_policy has it."""

    issuer: str | None = None
    audiences: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    leeway_s: int = 0
    max_age_s: int = -1
    exp_optional: bool = False
    now_s: int = NOW_S
    now_ns: int = 0

    def words(self) -> str:
        """Give the policy as the driver reads it."""

        def listed(names: tuple[str, ...]) -> str:
            return ",".join(name.encode().hex() or "-" for name in names) or "*"

        issuer = "*" if self.issuer is None else self.issuer.encode().hex() or "-"
        numbers = f"{self.now_s}:{self.now_ns} {self.leeway_s} {self.max_age_s} {int(self.exp_optional)}"
        return f"{numbers} {issuer} {listed(self.audiences)} {listed(self.required)}"


def checked(cases: list[tuple[Policy, bytes]], *, sanitized: bool = False) -> list[int]:
    """Scan and check each payload in C under its policy."""
    program = compile_driver("drive_claims", ("claims", "claim_rules", "json_scan"), sanitized=sanitized)
    lines = [f"{policy.words()} {payload.hex()}" for policy, payload in cases]
    answers = [int(line) for line in run_driver(program, "lines", lines=lines).split()]
    assert len(answers) == len(cases)
    return answers


def _is_date(value: Any) -> bool:
    return isinstance(value, (int, Fraction)) and not isinstance(value, bool) and 0 <= value <= DATE_MAX_S


def _malformed(claims: dict[str, Any]) -> bool:
    audience = claims.get("aud", "")
    listed = audience if isinstance(audience, list) else [audience]
    return (
        any(not isinstance(claims.get(name, ""), str) for name in ("iss", "sub", "jti"))
        or any(not isinstance(name, str) for name in listed)
        or any(not _is_date(claims.get(name, 0)) for name in ("exp", "nbf", "iat"))
    )


def _missing(policy: Policy, claims: dict[str, Any]) -> bool:
    needed = set(policy.required)
    needed |= {"exp"} if not policy.exp_optional else set()
    needed |= {"iss"} if policy.issuer is not None else set()
    needed |= {"aud"} if policy.audiences else set()
    needed |= {"iat"} if policy.max_age_s >= 0 else set()
    return any(claims.get(name) is None for name in needed)


def verdict(policy: Policy, payload: bytes) -> int:
    """Give the verdict the full checker owes for a payload, by the book and in the book's order."""
    claims: dict[str, Any] = json.loads(payload, parse_float=Fraction)
    if _malformed(claims):
        return MALFORMED
    if _missing(policy, claims):
        return MISSING
    if policy.issuer is not None and claims["iss"] != policy.issuer:
        return ISSUER
    audience = claims.get("aud", [])
    listed = audience if isinstance(audience, list) else [audience]
    if "aud" in claims and not set(listed) & set(policy.audiences):
        return AUDIENCE
    now = policy.now_s + Fraction(policy.now_ns, 10**9)
    if "exp" in claims and now >= claims["exp"] + policy.leeway_s:
        return EXPIRED
    if "nbf" in claims and now + policy.leeway_s < claims["nbf"]:
        return NOT_YET_VALID
    if "iat" in claims and claims["iat"] > now + policy.leeway_s:
        return IN_FUTURE
    if policy.max_age_s >= 0 and now - claims["iat"] > policy.max_age_s + policy.leeway_s:
        return TOO_OLD
    return OK
