"""Bounds of time, life and size, each at the bound, one below and one above."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tokens
from tokens import ISS, NOW_S

from rapidjws import Replay, TokenCache
from rapidjws.errors import RapidJWSError
from rapidjws.jose.claims import ClaimsPolicy
from rapidjws.jose.limits import LEEWAY_MAX_S, NUMERIC_DATE_MAX_S
from rapidjws.jose.numeric_date import moment_ns
from rapidjws.jwt.cache import ENTRY_OVERHEAD_BYTES
from rapidjws.jwt.replay_rule import JTI_MAX_BYTES
from rapidjws.rollout import Partner
from rapidjws.stores import MemoryReplayStore, RedisReplayStore
from rapidjws.testing import FakeClock
from rapidjws.verify.revocations import MAX_NAME_CHARS, Revocation, Revocations

CUTOFF: Any = Revocations([Revocation(issuer=ISS, issued_before=NOW_S)])


@pytest.mark.parametrize(
    ("iat", "is_revoked"),
    [
        (f"{NOW_S - 1}", True),
        (f"{NOW_S - 1}.999999999", True),
        (f"{NOW_S - 1}.99999999999999999", True),  # a double of it is the cutoff
        (f"{NOW_S}", False),
        (f"{NOW_S}.0", False),
        (f"{NOW_S}.000000001", False),
        (f"{NOW_S + 1}", False),
        ("null", True),
    ],
)
def test_T11_a_token_is_revoked_before_the_cutoff_not_on_it(iat: str, is_revoked: bool) -> None:
    """issued_before is exact: whole seconds, and the last digit of a fraction."""
    import json

    text = f'{{"iat":{iat}}}'.encode()
    assert CUTOFF.hits_token(ISS, json.loads(text), lambda: text) is is_revoked
    assert not CUTOFF.hits_token("https://other.example", {"iat": 0}, lambda: b"")


@pytest.mark.parametrize(("seconds", "lives"), [(99, True), (100, False), (101, False)])
def test_T11_an_entry_in_memory_lives_as_long_as_asked(seconds: int, lives: bool) -> None:
    """A use is known until its whole life is over."""
    clock = FakeClock()
    store = MemoryReplayStore(clock=clock)
    assert store.record([(bytes(32), 100)]) == [True]
    clock.advance(seconds)
    assert store.record([(bytes(32), 100)]) == [not lives]


def test_T11_a_store_in_memory_holds_what_it_may_and_no_more() -> None:
    """The last place is given, the next use is refused."""
    store = MemoryReplayStore(3)
    assert store.record([(bytes([n]) * 32, 9) for n in range(4)]) == [True, True, True, None]
    assert len(store) == 3


@pytest.mark.parametrize(("at", "is_listed"), [(NOW_S - 1, True), (NOW_S, False), (NOW_S + 1, False)])
def test_T11_an_allow_listing_ends_on_its_date(at: int, is_listed: bool) -> None:
    """On the date itself a partner is let through no more."""
    assert Partner(name="a", allow_listed_until_s=NOW_S).is_allow_listed(at) is is_listed


@pytest.mark.parametrize(
    ("ns", "code"), [(-1, None), (0, "algorithm_not_allowed"), (1, "algorithm_not_allowed")]
)
def test_T11_an_algorithm_retires_on_its_date(ns: int, code: str | None) -> None:
    """The nanosecond before it is still accepted."""
    verified = tokens.engine("HS256").verify(tokens.token("HS256"), NOW_S)
    refused = Partner(name="a", retiring={"HS256": NOW_S}).objection(verified, NOW_S * 10**9 + ns)
    assert (None if refused is None else refused.code) == code


def policy(**settings: Any) -> object:
    """Make an issuer with a setting, whole."""
    return tokens.engine("HS256", **settings)


def redis(**settings: Any) -> object:
    """Make a store in Redis that is not asked."""
    pytest.importorskip("redis", reason="redis absent: pip install redis")
    return RedisReplayStore("redis://127.0.0.1:1/0", **settings)


SETTINGS: list[tuple[str, Callable[[Any], object], list[Any], list[Any]]] = [
    (
        "issuer.leeway_s",
        lambda v: policy(leeway_s=v),
        [0, 1, LEEWAY_MAX_S - 1, LEEWAY_MAX_S],
        [-1, LEEWAY_MAX_S + 1],
    ),
    ("issuer.max_age_s", lambda v: policy(max_age_s=v), [1, 2, 10**10 - 1, 10**10], [0, -1, 10**10 + 1]),
    ("policy.leeway_s", lambda v: ClaimsPolicy(leeway_s=v), [0, LEEWAY_MAX_S], [-1, LEEWAY_MAX_S + 1]),
    (
        "policy.max_age_s",
        lambda v: ClaimsPolicy(max_age_s=v),
        [1, NUMERIC_DATE_MAX_S - 1, NUMERIC_DATE_MAX_S],
        [0, -1, NUMERIC_DATE_MAX_S + 1],
    ),
    ("partner.leeway_s", lambda v: Partner(name="a", leeway_s=v), [0, LEEWAY_MAX_S], [-1, LEEWAY_MAX_S + 1]),
    (
        "partner.allow_listed_until_s",
        lambda v: Partner(name="a", allow_listed_until_s=v),
        [0, NUMERIC_DATE_MAX_S],
        [-1, NUMERIC_DATE_MAX_S + 1],
    ),
    (
        "issued_before",
        lambda v: Revocation(issued_before=v),
        [0, NUMERIC_DATE_MAX_S],
        [-1, NUMERIC_DATE_MAX_S + 1],
    ),
    (
        "revocation.jti",
        lambda v: Revocation(jti="x" * v),
        [1, MAX_NAME_CHARS - 1, MAX_NAME_CHARS],
        [0, MAX_NAME_CHARS + 1],
    ),
    ("now", moment_ns, [0, 1, NUMERIC_DATE_MAX_S - 1, NUMERIC_DATE_MAX_S], [-1, NUMERIC_DATE_MAX_S + 1]),
    ("memory.max_entries", MemoryReplayStore, [1, 2], [0, -1]),
    ("cache.max_entries", TokenCache, [1, 2], [0, -1]),
    ("redis.budget_s", lambda v: redis(budget_s=v), [0.001, 9.999, 10], [0, -0.001, 10.001]),
    ("redis.margin_s", lambda v: redis(margin_s=v), [0, 1], [-1]),
]


@pytest.mark.parametrize(("name", "make", "good", "bad"), SETTINGS, ids=[row[0] for row in SETTINGS])
def test_T11_settings_at_their_bounds(
    name: str, make: Callable[[Any], object], good: list[Any], bad: list[Any]
) -> None:
    """The bound itself is allowed, the next value is refused as a setting."""
    for value in good:
        make(value)
    for value in bad:
        with pytest.raises(RapidJWSError) as refused:
            make(value)
        assert refused.value.code == "configuration_invalid", (name, value)


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (1, "ok"),
        (JTI_MAX_BYTES - 1, "ok"),
        (JTI_MAX_BYTES, "ok"),
        (JTI_MAX_BYTES + 1, "too_large"),
        (0, "too_large"),
    ],
)
def test_T11_a_jti_at_its_largest(size: int, code: str) -> None:
    """The size counts in bytes of UTF-8."""
    engine = tokens.engine("HS256", replay=Replay(store=MemoryReplayStore()))
    jtis = ["x" * size] if size < 3 else ["x" * size, "x" * (size - 2) + "\u00e9"]
    for jti in jtis:
        try:
            engine.verify(tokens.token("HS256", jti=jti), NOW_S)
            found = "ok"
        except RapidJWSError as refused:
            found = refused.code
        assert found == code


@pytest.mark.parametrize(("spare", "kept"), [(-1, 0), (0, 1), (1, 1)])
def test_T11_a_token_enters_the_cache_where_it_just_fits(spare: int, kept: int) -> None:
    """Its bytes and the overhead may take all the memory there is."""
    cache = TokenCache(max_bytes=10 + ENTRY_OVERHEAD_BYTES + spare)
    cache.put(b"0123456789", object(), 0)
    assert len(cache) == kept


def test_T11_the_oldest_entry_goes_when_the_next_does_not_fit() -> None:
    """At the bound both stay, one byte or one entry less and the older goes."""
    one = 10 + ENTRY_OVERHEAD_BYTES
    for limits, kept in (({"max_entries": 2}, 2), ({"max_entries": 1}, 1), ({"max_bytes": 2 * one}, 2),
                         ({"max_bytes": 2 * one - 1}, 1), ({"max_bytes": 2 * one + 1}, 2)):  # fmt: skip
        cache, generation = TokenCache(**limits), object()
        cache.put(b"0123456789", generation, 1)
        cache.put(b"abcdefghij", generation, 2)
        assert len(cache) == kept, limits
        assert cache.slot(b"abcdefghij", generation) == 2
