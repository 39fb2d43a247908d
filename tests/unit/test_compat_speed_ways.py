"""What makes ``decode`` fast decides as the checks one by one do: plain claims, and remembered tokens."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import rapidjws.compat.pyjwt as jwt
from rapidjws.compat.pyjwt import engine_keys
from rapidjws.compat.pyjwt.claims import ClaimsChecks, are_plain
from rapidjws.compat.pyjwt.verified_tokens import VerifiedTokens

NOW = 1_800_000_000.25
DATES: list[Any] = [
    int(NOW) - 100,
    int(NOW) + 100,
    NOW + 100.5,
    str(int(NOW) + 100),
    True,
    None,
    "x",
    1 << 80,
]
TEXTS: list[Any] = ["a", "", 1, None, ["a"], True]
AUDIENCES: list[Any] = [None, "a", "", ["a"], ("b", "a"), {"a"}, [], "ab"]
ABSENT = object()


def _options(**changes: Any) -> dict[str, Any]:
    return {**jwt.PyJWT().options, **changes}


def _is_passed(
    claims: dict[str, Any], options: dict[str, Any], audience: Any, issuer: Any, leeway: Any
) -> bool:
    try:
        ClaimsChecks()._validate_claims(claims, options, audience, issuer, None, leeway)
    except (jwt.PyJWTError, TypeError, ValueError):
        return False
    return True


def _claims(**changes: Any) -> dict[str, Any]:
    base = {"exp": int(NOW) + 1000, "iss": "i", "aud": "a", "sub": "s", "jti": "j"}
    return {name: value for name, value in {**base, **changes}.items() if value is not ABSENT}


def test_plain_claims_pass_each_check_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What passes as plain passes one by one, whatever claims, options and arguments are."""
    monkeypatch.setattr("rapidjws.compat.pyjwt.claims.time", SimpleNamespace(time=lambda: NOW))
    cases: list[tuple[dict[str, Any], dict[str, Any], Any, Any, Any]] = []
    for name, value, leeway in itertools.product(
        ("exp", "nbf", "iat"), [*DATES, ABSENT], (0, 200, -200, 0.5)
    ):
        cases.append((_claims(**{name: value}), _options(), "a", "i", leeway))
    for name, value in itertools.product(("sub", "jti", "iss"), [*TEXTS, ABSENT]):
        cases.append((_claims(**{name: value}), _options(), "a", "i", 0))
    for value, audience, strict in itertools.product(
        [*TEXTS, ["a", 1], [], ABSENT], AUDIENCES, (False, True)
    ):
        cases.append((_claims(aud=value), _options(strict_aud=strict), audience, None, 0))
    for issuer in (None, "i", "ix", ["i"], ("x",), 7):
        cases.append((_claims(), _options(), "a", issuer, 0))
    for required in (["sub"], ["nope"], "jti"):
        cases.append((_claims(), _options(require=required), "a", "i", 0))
    passed = [case for case in cases if are_plain(*case, NOW)]
    assert passed
    assert len(passed) < len(cases)
    wrong = [case for case in passed if not _is_passed(*case)]
    assert not wrong


@pytest.mark.parametrize("kind", [str, str.encode])
def test_a_remembered_token_is_that_of_its_key_and_algorithms(kind: Any) -> None:
    """The same text under another key, other algorithms, or with one character changed is verified anew."""
    engine_keys.forget_keys()
    mine, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    token = kind(pyjwt.encode({"sub": "u"}, mine, algorithm="ES256"))
    for _ in range(3):
        assert jwt.decode(token, mine, algorithms=["ES256"]) == {"sub": "u"}
    assert len(engine_keys._remembered) == 1
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, other, algorithms=["ES256"])
    with pytest.raises(jwt.InvalidAlgorithmError):
        jwt.decode(token, mine, algorithms=["ES384"])
    changed = token[:-10] + (kind("A") if token[-10:-9] != kind("A") else kind("B")) + token[-9:]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(changed, mine, algorithms=["ES256"])
    assert len(engine_keys._remembered) == 1


def test_claims_of_a_remembered_token_are_the_callers_own() -> None:
    """What a caller writes into returned claims reaches no later call."""
    mine = ec.generate_private_key(ec.SECP256R1())
    token = pyjwt.encode({"sub": "u", "roles": ["clerk"]}, mine, algorithm="ES256")
    for _ in range(3):
        claims = jwt.decode(token, mine, algorithms=["ES256"])
        assert claims == {"sub": "u", "roles": ["clerk"]}
        claims["roles"].append("admin")


def test_what_is_remembered_is_bounded() -> None:
    """Neither many tokens nor long ones grow the memory, and a token beyond the bound is not kept."""
    engine: Any = object()
    key: Any = object()
    few = VerifiedTokens(max_tokens=4, max_chars=100)
    for number in range(100):
        few.put(f"{number:03}", engine, key)
        assert len(few) <= 8
    assert few.key("099", engine) is key
    assert few.key("000", engine) is None
    assert few.key("099", object()) is None  # type: ignore[arg-type]
    few.put("x" * 101, engine, key)
    assert few.key("x" * 101, engine) is None
    for number in range(100):
        few.put(f"{number:060}", engine, key)
        assert sum(len(one) for one in [*few._young, *few._old]) <= 200
    few.clear()
    assert not len(few)
