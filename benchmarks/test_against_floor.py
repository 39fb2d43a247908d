"""Engine.verify and verify_many against a bare EVP_DigestVerify on the same bytes, in the same run.

The floor and rapidjws take turns; the best turn of each counts. Claims are read, verdicts are asserted.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import corpus
import jwt
import ours
import pytest
from floor import Floor

import rapidjws

SINGLE_WITHOUT_TABLES = {"ES256": 1 / 1.25, "RS256": 1 / 1.25}
SINGLE = {"ES256": 2.2, "ES384": 7.0, "ES512": 4.0, "ES256K": 14.0, "EdDSA": 5.0, "RS256": 1.5}
BATCH_OF_64 = {"ES256": 5.0, "ES384": 15.0, "ES512": 8.0, "ES256K": 30.0, "EdDSA": 8.0, "RS256": 2.0}
BATCH_TOKENS = 64
ROUNDS = 40
HS256_TIMES_PYJWT = 20.0

pytestmark = pytest.mark.usefixtures("one_cpu")


def times_floor(shape: str, alg: str, call: Any, tokens: list[bytes], benchmark: Any) -> float:
    """Time the floor and the call in turns; report and return how many times as fast the call is."""
    floor = Floor(alg, tokens[0])
    floor_calls = max(4, len(tokens) // 8)
    floor_ns = float("inf")
    ours_ns = float("inf")
    for _ in range(ROUNDS):
        floor_ns = min(floor_ns, floor.ns_per_call(floor_calls))
        ours_ns = min(ours_ns, ours.best_ns([(call, len(tokens))], 1, warm=False)[0])
    benchmark.extra_info.update(floor_ns=floor_ns, ns_per_token=ours_ns, times_floor=floor_ns / ours_ns)
    benchmark.extra_info["gate"] = f"{shape} {alg}"
    benchmark.pedantic(call, rounds=3)
    print(
        f"{shape} {alg}: floor {floor_ns:.0f} ns, ours {ours_ns:.0f} ns a token, {floor_ns / ours_ns:.2f} x"
    )
    return floor_ns / ours_ns


@pytest.mark.parametrize("alg", SINGLE_WITHOUT_TABLES)
def test_a_single_token_costs_little_beside_its_signature(alg: str, benchmark: Any) -> None:
    """Without per-key tables one Engine.verify takes at most 1.25 times a bare EVP_DigestVerify."""
    engine, tokens = ours.make_engine(alg, acceleration="openssl"), ours.good_tokens(alg, BATCH_TOKENS)
    ratio = times_floor("tables off", alg, partial(ours.accept_each, engine, tokens), tokens, benchmark)
    assert ratio >= SINGLE_WITHOUT_TABLES[alg]


@pytest.mark.parametrize("alg", SINGLE)
def test_a_single_token_of_a_hot_key_is_ahead_of_the_floor(alg: str, benchmark: Any) -> None:
    """One Engine.verify under a precomputed key is as many times as fast as the floor as was promised."""
    engine, tokens = ours.make_engine(alg), ours.good_tokens(alg, BATCH_TOKENS)
    ratio = times_floor("single", alg, partial(ours.accept_each, engine, tokens), tokens, benchmark)
    assert ratio >= SINGLE[alg]


@pytest.mark.parametrize("alg", BATCH_OF_64)
def test_a_batch_of_a_hot_key_is_far_ahead_of_the_floor(alg: str, benchmark: Any) -> None:
    """A verify_many of 64 under a precomputed key is as many times as fast as the floor as was promised."""
    engine, tokens = ours.make_engine(alg), ours.good_tokens(alg, BATCH_TOKENS)
    ratio = times_floor("batch", alg, partial(ours.accept_all, engine, tokens), tokens, benchmark)
    assert ratio >= BATCH_OF_64[alg]


def test_hs256_is_far_ahead_of_pyjwt(benchmark: Any) -> None:
    """One HS256 Engine.verify is at least 20 times as fast as PyJWT's decode with a prepared key."""
    engine, tokens = ours.make_engine("HS256"), ours.good_tokens("HS256", BATCH_TOKENS)
    secret, decode = corpus.make_key("HS256").private, jwt.PyJWT().decode
    allowed, texts = ["HS256"], [token.decode() for token in tokens]

    def by_pyjwt() -> None:
        for text in texts:
            claims = decode(text, secret, algorithms=allowed, audience=corpus.AUDIENCE, issuer=corpus.ISSUER)
            assert claims["sub"] == corpus.SUBJECT

    by_us = partial(ours.accept_each, engine, tokens)
    theirs_ns, ours_ns = ours.best_ns([(by_pyjwt, len(tokens)), (by_us, len(tokens))], ROUNDS)
    benchmark.extra_info.update(times_pyjwt=theirs_ns / ours_ns)
    benchmark.pedantic(by_us, rounds=3)
    print(f"HS256: PyJWT {theirs_ns:.0f} ns, ours {ours_ns:.0f} ns, {theirs_ns / ours_ns:.1f} x")
    assert theirs_ns / ours_ns >= HS256_TIMES_PYJWT


CACHED_TOKEN_NS = 2000


@pytest.mark.parametrize("alg", corpus.ALGORITHMS)
def test_a_cached_token_takes_under_two_microseconds(alg: str, benchmark: Any) -> None:
    """With the verified-token cache on, a token seen before is answered in under 2 us, claims included."""
    engine = ours.make_engine(alg, cache=rapidjws.TokenCache())
    tokens = ours.good_tokens(alg, BATCH_TOKENS)
    call = partial(ours.accept_each, engine, tokens)
    took_ns = ours.best_ns([(call, len(tokens))], ROUNDS)[0]
    benchmark.extra_info.update(ns_per_token=took_ns)
    benchmark.pedantic(call, rounds=3)
    print(f"cached {alg}: {took_ns:.0f} ns a token")
    assert took_ns < CACHED_TOKEN_NS
