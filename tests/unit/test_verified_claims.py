"""The claims of a verified token: read once, exact, and owned by nobody twice."""

from __future__ import annotations

import gc
import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import tokens
from tokens import NOW_S

import rapidjws
from rapidjws.verify.result import loads_scanned


@pytest.fixture(scope="module")
def engine() -> rapidjws.Engine:
    """Return an engine with one HS256 issuer."""
    return tokens.engine("HS256")


def test_claims_are_read_once(engine: rapidjws.Engine) -> None:
    """What the first look gave is what every later look gives, also from other threads."""
    verified = engine.verify(tokens.token("HS256", depth={"a": [1, 2, {"b": None}]}), NOW_S)
    first = verified.claims
    assert first["depth"] == {"a": [1, 2, {"b": None}]}
    with ThreadPoolExecutor(4) as pool:
        assert all(claims is first for claims in pool.map(lambda _: verified.claims, range(200)))


@pytest.mark.parametrize("number", [2**53 + 1, 2**64 - 1, 2**64, 10**30, -(2**63), -(10**30)])
def test_integers_are_exact(engine: rapidjws.Engine, number: int) -> None:
    """An integer of any size comes out as it was signed."""
    claims = engine.verify(tokens.token("HS256", amount=number), NOW_S).claims
    assert claims["amount"] == number
    assert isinstance(claims["amount"], int)


def test_a_verifier_has_no_claims() -> None:
    """Where nobody checked claims there are none to read, whatever the payload looks like."""
    verified = rapidjws.Verifier([tokens.key("HS256")], algorithms=["HS256"]).verify(tokens.token("HS256"))
    for _ in range(2):
        with pytest.raises(TypeError, match="opaque"):
            _ = verified.claims


def test_claims_cannot_be_assigned(engine: rapidjws.Engine) -> None:
    """Nobody gives a verified token other claims by mistake."""
    verified = engine.verify(tokens.token("HS256"), NOW_S)
    with pytest.raises(AttributeError):
        verified.claims = {}  # type: ignore[misc]


def signed(payload: str) -> str:
    """Return a token with exactly this payload."""
    jwk = tokens.key("HS256")
    return tokens.sign(jwk, {"alg": "HS256", "kid": jwk.kid}, payload.encode())


VALUES = (
    '"a"', '"b"', '""', '"\\u00e9"', '"\u00e9\U0001f600"', '"a\\"b"', "0", "-0", "-1", "7",
    "123456789012345678", "1234567890123456789", "18446744073709551615", "-9223372036854775808", "1.5", "1e3",
    "true", "false", "null", "[]", '["a",{"b":[1]}]', "{}", '{"a":{"b":"c"}}',
)  # fmt: skip


def payloads(names: tuple[str, ...], count: int, seed: int) -> list[str]:
    """Return claims sets of these further names in this order, their values drawn anew for each."""
    draw = random.Random(seed)
    base = json.dumps(tokens.claims())[1:-1]
    return [
        "{" + ", ".join([base, *(f'"{name}":{draw.choice(VALUES)}' for name in names)]) + "}"
        for _ in range(count)
    ]


NAMES = (
    ("x", "y", "z"),
    ("x",),
    ("y", "x"),
    ("\u00e9", "x"),
    ("\\u0078", "y"),
    tuple(f"n{i}" for i in range(60)),
)


@pytest.mark.parametrize("workers", [0, 1, 2], ids=["one by one", "one worker", "two workers"])
def test_claims_are_the_tokens_own(workers: int) -> None:
    """However many tokens of like shapes went before, each one's claims are exactly what it says."""
    engine = rapidjws.Engine(tokens.issuer("HS256"), workers=workers or 1)
    texts = [text for seed, names in enumerate(NAMES) for text in payloads(names, 60, seed)]
    mixed = texts + random.Random(7).sample(texts, len(texts))
    signed_texts = [signed(text) for text in mixed]
    found: list[Any] = (
        engine.verify_many(signed_texts, NOW_S)
        if workers
        else [engine.verify(token, NOW_S) for token in signed_texts]
    )
    for text, verified in zip(mixed, found, strict=True):
        due = json.loads(text)
        assert repr(verified.claims) == repr(due)  # types and order as well
        assert verified.payload == text.encode()


def test_what_is_done_to_claims_stays_there() -> None:
    """Changing one token's claims, at any depth, changes no other's."""
    engine = tokens.engine("HS256")
    made = [tokens.token("HS256", roles=["a"], deep={"b": []}, jti=str(number % 3)) for number in range(40)]
    for token in made:
        claims = engine.verify(token, NOW_S).claims
        assert claims == tokens.claims(roles=["a"], deep={"b": []}, jti=claims["jti"])
        claims["roles"].append("admin")
        claims["deep"]["b"].append(1)
        claims["sub"] = "somebody else"
        del claims["iss"]
        claims.clear()


def test_claims_of_many_threads(engine: rapidjws.Engine) -> None:
    """Threads that verify tokens of like shapes at once each get their own claims."""
    made = {signed(text): json.loads(text) for names in NAMES[:3] for text in payloads(names, 100, 3)}

    def right(token: str) -> bool:
        return engine.verify(token, NOW_S).claims == made[token]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(right, [*made] * 20))


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="this interpreter does not count references")
def test_nothing_is_owned_twice(engine: rapidjws.Engine) -> None:
    """After a thousand results, read or not, the reader has as many owners as before."""
    token = tokens.token("HS256")
    _ = engine.verify(token, NOW_S).claims
    gc.collect()
    before = sys.getrefcount(loads_scanned), sys.getrefcount(token)
    for number in range(1000):
        verified = engine.verify(token, NOW_S)
        if number % 2:
            _ = verified.claims, verified.claims
    del verified
    gc.collect()
    assert (sys.getrefcount(loads_scanned), sys.getrefcount(token)) == before
