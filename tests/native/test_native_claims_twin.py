"""The claims code against its Python twin: one verdict for every payload, whichever of them gives it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from claims_oracle import DATE_MAX_S, NOW_S, OK, UNDECIDED, Policy, checked, verdict
from native_drivers import NATIVE, differential_count

errors = pytest.importorskip("rapidjws.errors")
twin = pytest.importorskip("rapidjws.jose.claims")

CODES = {
    9: "malformed_claim", 10: "missing_claim", 11: "expired", 12: "not_yet_valid", 13: "issued_in_future",
    14: "too_old", 15: "issuer_mismatch", 16: "audience_mismatch",
}  # fmt: skip


def twin_code(policy: Policy, payload: bytes) -> str:
    """Give the code the Python checker refuses with, or ok."""
    demanded = twin.ClaimsPolicy(
        issuer=policy.issuer,
        audiences=policy.audiences,
        leeway_s=policy.leeway_s,
        exp_required=not policy.exp_optional,
        max_age_s=policy.max_age_s if policy.max_age_s >= 0 else None,
        required=policy.required,
    )
    try:
        twin.check_claims(payload, demanded, policy.now_s)
    except errors.RapidJWSError as refusal:
        return str(refusal.code)
    return "ok"


def _date(chance: random.Random) -> str:
    odd = ["-0", "-1", "0", "1.5", "1e9", "1e300", "-0.0", "null", "true", '"5"', "[]", str(DATE_MAX_S)]
    odd += [str(DATE_MAX_S + 1), str(10**12), str(10**15), str(2**63), str(2**64), str(10**30), f"{NOW_S}.0"]
    return str(NOW_S + chance.randint(-130, 130)) if chance.random() < 0.8 else chance.choice(odd)


def _text(chance: random.Random, name: str) -> str:
    if name in ("exp", "nbf", "iat"):
        return _date(chance)
    plain: list[Any] = ["a", "b", "i", "é", "a/", 'q"', "", None, 1, False, {}]
    weights = [8, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1]
    value: Any = chance.choices(plain, weights)[0]
    if name == "aud" and chance.random() < 0.5:
        value = chance.choices(plain[:-3], weights[:-3], k=chance.randrange(4))
    written = json.dumps(value, ensure_ascii=chance.random() < 0.3)
    return written.replace("/", "\\/") if chance.random() < 0.2 else written


def _case(chance: random.Random) -> tuple[Policy, bytes]:
    names = [n for n in ("iss", "sub", "aud", "jti", "exp", "nbf", "iat", "scope") if chance.random() < 0.85]
    chance.shuffle(names)
    members = [f'"{name}": {_text(chance, name)}' for name in names]
    if chance.random() < 0.03:
        members.append('"\\u0073cope2": 1')
    policy = Policy(
        issuer=chance.choice([None, "a", "i", "é"]),
        audiences=tuple(chance.sample(["a", "b", "é", "a/"], chance.randrange(4))),
        required=tuple(chance.sample(["sub", "jti", "scope", "exp"], chance.choice([0, 0, 0, 1, 2]))),
        leeway_s=chance.choice([0, 10, 60]),
        max_age_s=chance.choice([-1, 30, 60]),
        exp_optional=chance.random() < 0.3,
    )
    return policy, ("{" + ", ".join(members) + "}").encode()


def test_c_and_python_never_give_two_verdicts() -> None:
    """Over random policies and payloads C says what Python says, or leaves the payload to Python."""
    chance = random.Random(12)
    cases = [_case(chance) for _ in range(int(differential_count(20000)))]
    seen = set()
    for (policy, payload), answer in zip(cases, checked(cases), strict=True):
        code = twin_code(policy, payload)
        seen.add(code)
        assert answer == UNDECIDED or code == CODES.get(answer, "ok"), (policy, payload, answer)
        assert answer in (OK, UNDECIDED, *CODES)
        assert CODES.get(verdict(policy, payload), "ok") == code, (policy, payload)
    assert seen == {"ok", *CODES.values()}


def test_the_codes_are_those_of_the_status_list() -> None:
    """The numbers above are the ones of status.h."""
    text = (NATIVE / "status.h").read_text("utf-8")
    for number, code in CODES.items():
        assert f"RJ_{code.upper()} = {number}," in text
