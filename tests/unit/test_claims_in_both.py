"""Claim rules in the core and in Python: the second of two, the whole name, what must be there.

Each case is asked of an engine, singly, again and in batches, and of ``check_claims``.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from bounds import code
from tokens import AUD, ISS, NOW_S, claims, code_of, issuer, key, sign

from rapidjws import NOT_CHECKED, Engine
from rapidjws.jose.claims import ClaimsPolicy, check_claims

HS256 = key("HS256")
HEADER = {"alg": "HS256", "kid": HS256.kid}


def verdict(payload: dict[str, Any] | bytes, **rules: Any) -> str:
    """Return the code that an engine and the checker in Python give alike."""
    octets = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    audience = rules.pop("audience", AUD)
    found = code_of(Engine(issuer("HS256", audience=audience, **rules)), sign(HS256, HEADER, octets))
    policy = ClaimsPolicy(
        issuer=ISS,
        audiences=() if audience is NOT_CHECKED else (audience,) if isinstance(audience, str) else audience,
        audience_checked=audience is not NOT_CHECKED,
        required=rules.pop("required_claims", ()),
        **rules,
    )
    assert code(check_claims, octets, policy, NOW_S) == found
    return found


@pytest.mark.parametrize("value", [None, "absent"])
@pytest.mark.parametrize("gone", [(), ("a",), ("b",), ("c",), ("a", "c")])
def test_required_claims(gone: tuple[str, ...], value: str | None) -> None:
    """Each of several names must be there, and null is not there; false, zero and empty are."""
    there = {name: empty for name, empty in (("a", False), ("b", 0), ("c", "")) if name not in gone}
    nulls = dict.fromkeys(gone) if value is None else {}
    payload = {**claims(), **there, **nulls}
    expected = "missing_claim" if gone else "ok"
    assert verdict(payload, required_claims=("a", "b", "c")) == expected
    assert verdict({**there, **claims(), **nulls}, required_claims=("c", "b", "a")) == expected


OTHER, THIRD = "https://other.example", "https://third.example"


@pytest.mark.parametrize(
    ("aud", "ours", "expected"),
    [
        (AUD, (AUD,), "ok"),
        (AUD, (OTHER, AUD), "ok"),
        (AUD, (OTHER, THIRD, AUD), "ok"),
        ([AUD], (OTHER, AUD), "ok"),
        ([AUD, OTHER], (AUD,), "ok"),
        ([OTHER, AUD], (AUD,), "ok"),
        ([OTHER, AUD, THIRD], (AUD,), "ok"),
        ([OTHER, THIRD], (AUD,), "audience_mismatch"),
        ([], (AUD,), "audience_mismatch"),
        ([AUD + "x", AUD[:-1]], (AUD,), "audience_mismatch"),
        ([AUD, 1], (AUD,), "malformed_claim"),
        ([1, AUD], (AUD,), "malformed_claim"),
        ([AUD, None], (AUD,), "malformed_claim"),
        ([AUD, [AUD]], (AUD,), "malformed_claim"),
        ({"a": AUD}, (AUD,), "malformed_claim"),
        (1, (AUD,), "malformed_claim"),
        (OTHER, (), "audience_mismatch"),
        ([1], NOT_CHECKED, "malformed_claim"),
        ([OTHER], NOT_CHECKED, "ok"),
    ],
)
def test_audiences(aud: Any, ours: Any, expected: str) -> None:
    """One of theirs is one of ours, first or last; every one of theirs is a string."""
    assert verdict(claims(aud=aud), audience=ours) == expected


@pytest.mark.parametrize("change", [lambda name: name[:-1], lambda name: name + "/", str.upper, lambda _: "",
                                    lambda name: name[:-1] + "f", lambda name: " " + name])  # fmt: skip
def test_names_are_compared_whole(change: Any) -> None:
    """A beginning, a longer name, and another case are other names, of issuers and audiences."""
    assert verdict(claims(iss=change(ISS))) == "issuer_mismatch"
    assert verdict(claims(aud=change(AUD))) == "audience_mismatch"
    assert verdict(claims(aud=[OTHER, change(AUD)])) == "audience_mismatch"
    payload = {**claims(), change("abc"): 1}
    assert verdict(payload, required_claims=("abc",)) == "missing_claim"


@pytest.mark.parametrize(
    ("gone", "rules", "expected"),
    [
        ("exp", {}, "missing_claim"),
        ("exp", {"exp_required": False}, "ok"),
        ("iss", {}, "missing_claim"),
        ("aud", {}, "missing_claim"),
        ("aud", {"audience": (AUD, OTHER)}, "missing_claim"),
        ("aud", {"audience": NOT_CHECKED}, "ok"),
        ("aud", {"audience": ()}, "ok"),
        ("iat", {}, "ok"),
        ("iat", {"max_age_s": 100}, "missing_claim"),
        ("sub", {}, "ok"),
    ],
)
def test_what_must_be_there(gone: str, rules: dict[str, Any], expected: str) -> None:
    """A claim that a rule needs is missing when it is absent; a null one is of the wrong type."""
    assert verdict(claims(**{gone: None}), **rules) == expected
    assert verdict({**claims(), gone: None}, **rules) == "malformed_claim"


@pytest.mark.parametrize("name", ["iss", "sub", "jti"])
@pytest.mark.parametrize("value", [1, 1.5, True, ["a"], {"a": "b"}])
def test_strings_are_strings(name: str, value: Any) -> None:
    """RFC 7519 s.4.1: iss, sub and jti are strings."""
    assert verdict({**claims(), name: value}) == "malformed_claim"


def test_the_first_fault_speaks() -> None:
    """A malformed claim before a missing one, then iss, aud, exp, nbf, iat and the age (check_claims)."""
    worst: dict[str, Any] = claims(iss="x", aud="x", exp=NOW_S - 900, nbf=NOW_S + 900, iat=NOW_S + 900, sub=1)
    for name, good, expected in [
        (None, None, "malformed_claim"),
        ("sub", "s", "missing_claim"),
        ("a", 1, "issuer_mismatch"),
        ("iss", ISS, "audience_mismatch"),
        ("aud", AUD, "expired"),
        ("exp", NOW_S + 900, "not_yet_valid"),
        ("nbf", NOW_S, "issued_in_future"),
        ("iat", NOW_S - 900, "too_old"),
        ("iat", NOW_S, "ok"),
    ]:
        if name is not None:
            worst[name] = good
        assert verdict(worst, required_claims=("a",), max_age_s=100) == expected
