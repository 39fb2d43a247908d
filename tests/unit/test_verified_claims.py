"""The claims of a verified token: read once, exact, and owned by nobody twice."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import tokens
from tokens import NOW_S

import rapidjws
from rapidjws.engine.result import loads_scanned


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
