"""The cache of verified tokens: what a hit skips is the signature, and nothing else."""

from __future__ import annotations

import pytest
import tokens

import rapidjws
from rapidjws import Engine, RapidJWSError, TokenCache

NOW_S = tokens.NOW_S


def cached(*algs: str, **options: object) -> tuple[Engine, TokenCache]:
    """Return an engine with a cache, and the cache."""
    cache = TokenCache()
    return Engine(tokens.issuer(*algs), cache=cache, **options), cache


def refused(engine: Engine, text: str, now: float = NOW_S) -> str:
    """Return the code that refuses a token."""
    with pytest.raises(RapidJWSError) as caught:
        engine.verify(text, now)
    return caught.value.code


@pytest.mark.parametrize("alg", ["HS256", "RS256", "ES256", "EdDSA", "ML-DSA-44"])
def test_a_hit_is_a_full_result(alg: str) -> None:
    """The second verification gives what the first gave, as an object of its own."""
    engine, cache = cached(alg)
    text = tokens.token(alg)
    first, second = engine.verify(text, NOW_S), engine.verify(text, NOW_S)
    assert len(cache) == 1
    assert first is not second
    assert (second.claims, second.header, second.payload) == (first.claims, first.header, first.payload)
    assert (second.alg, second.kid, second.issuer) == (first.alg, first.kid, first.issuer)
    second.claims["sub"] = "changed by a handler"
    assert engine.verify(text, NOW_S).claims == first.claims


def test_an_entry_does_not_outlive_exp() -> None:
    """Time is checked on every hit, and an expired token leaves the cache."""
    engine, cache = cached("ES256")
    text = tokens.token("ES256", exp=NOW_S + 10)
    engine.verify(text, NOW_S)
    engine.verify(text, NOW_S + 69)
    assert refused(engine, text, NOW_S + 70) == "expired"
    assert len(cache) == 0


def test_time_runs_both_ways_on_a_hit() -> None:
    """A hit before nbf or iat is refused like a first use."""
    engine, _ = cached("ES256")
    text = tokens.token("ES256", nbf=NOW_S)
    engine.verify(text, NOW_S)
    assert refused(engine, text, NOW_S - 61) == "not_yet_valid"


def test_refused_tokens_have_no_entry() -> None:
    """Neither a bad signature nor a bad claim nor a malformed token is remembered."""
    engine, cache = cached("ES256")
    good = tokens.token("ES256")
    front, _, signature = good.rpartition(".")
    forged = f"{front}.{'A' * len(signature)}"
    for text in (forged, "a.b", "", tokens.token("ES256", exp=NOW_S - 100), tokens.token("ES256", aud="x")):
        refused(engine, text)
    assert len(cache) == 0


def test_a_hit_needs_the_very_bytes() -> None:
    """A token with another signature is not the one that is remembered."""
    engine, _ = cached("ES256")
    good = tokens.token("ES256")
    engine.verify(good, NOW_S)
    front, _, signature = good.rpartition(".")
    changed = signature[:-4] + ("AAAA" if signature[-4:] != "AAAA" else "BAAA")
    assert refused(engine, f"{front}.{changed}") == "signature_invalid"


def test_an_entry_ends_with_its_key() -> None:
    """A key that is taken away takes its entries along, whatever they still last."""
    engine, cache = cached("ES256")
    text = tokens.token("ES256")
    engine.verify(text, NOW_S)
    engine.replace_keys(tokens.ISS, tokens.public("ES256", "k2"))
    assert refused(engine, text) == "unknown_kid"
    assert len(cache) == 1  # worthless: its generation is gone
    engine.replace_keys(tokens.ISS, tokens.public("ES256"))
    engine.verify(text, NOW_S)


def test_an_entry_outlives_hot_tables() -> None:
    """A swap that changes neither keys nor rules keeps the entries."""
    engine, cache = cached("ES256")
    text = tokens.token("ES256")
    engine.verify(text, NOW_S)
    generation = engine._snapshot.generation
    assert engine.precompute() == 1
    assert engine._snapshot.generation is generation
    assert cache.slot(text.encode(), generation) is not None


def test_the_cache_is_bounded_by_entries_and_bytes() -> None:
    """The oldest entries go; a token larger than the cache is not kept."""
    generation = object()
    cache = TokenCache(max_entries=3, max_bytes=10_000)
    for number in range(5):
        cache.put(b"token-%d" % number, generation, number)
    assert [cache.slot(b"token-%d" % number, generation) for number in range(5)] == [None, None, 2, 3, 4]
    small = TokenCache(max_entries=100, max_bytes=1000)
    for number in range(10):
        small.put(b"%d" % number * 100, generation, 0)
    assert len(small) == 3
    assert small.used_bytes <= 1000
    small.put(b"x" * 1000, generation, 0)
    assert small.slot(b"x" * 1000, generation) is None
    small.forget(b"9" * 100)
    small.clear()
    assert (len(small), small.used_bytes) == (0, 0)


@pytest.mark.parametrize("setting", [{"max_entries": 0}, {"max_bytes": 0}, {"max_entries": 1.5}])
def test_settings_out_of_range(setting: dict[str, int]) -> None:
    """A cache without module is a mistake."""
    with pytest.raises(rapidjws.ConfigurationError):
        TokenCache(**setting)


def test_T10_a_token_put_again_is_counted_once() -> None:
    """After a rotation a token is put again under the new generation: one entry, its bytes counted once."""
    cache, token = TokenCache(max_entries=2), b"t" * 100
    before, after = object(), object()
    cache.put(token, before, 0)
    once = cache.used_bytes
    assert once > len(token)
    for _ in range(3):
        cache.put(token, after, 1)
    assert (len(cache), cache.used_bytes) == (1, once)
    assert (cache.slot(token, before), cache.slot(token, after)) == (None, 1)
    cache.put(b"u" * 100, after, 1)
    cache.put(token, after, 1)  # again, with the table full: nothing else has to go
    assert (len(cache), cache.used_bytes) == (2, 2 * once)
    for _ in range(2):
        cache.forget(token)
        assert (len(cache), cache.used_bytes) == (1, once)
    engine, cache = cached("ES256", "EdDSA")
    text = tokens.token("ES256")
    engine.verify(text, NOW_S)
    once = cache.used_bytes
    engine.replace_issuers(tokens.issuer("ES256"))
    engine.verify(text, NOW_S)
    assert (len(cache), cache.used_bytes) == (1, once)
