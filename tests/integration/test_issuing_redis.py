"""The state of an issuer's keys in a real Redis."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from issuing_world import CountingMaker, life_cycle
from redis_server import OwnRedis

from rapidjws import RapidJWSError
from rapidjws.issuing import IssuingState, KeyTiming, RedisStateStore
from rapidjws.testing import FakeClock

TIMING = KeyTiming(jwks_max_age_s=1, token_lifetime_s=1, clock_skew_s=3600, state_max_age_s=5)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """Give a Redis."""
    server = OwnRedis(tmp_path)
    yield server
    server.stop()


def test_issuers_that_swap_at_once_lose_nothing(redis: OwnRedis) -> None:
    """Of many swaps from one state exactly one wins each time, and every other is told."""
    stores = [RedisStateStore(redis.url, timeout_s=30) for _ in range(4)]
    won, refused = [], []

    def write(store: RedisStateStore) -> None:
        for _ in range(10):
            before = store.read()
            try:
                store.swap(before, IssuingState(revision=before.revision + 1, written_at_s=1.0))
                won.append(before.revision)
            except RapidJWSError as error:
                refused.append(error.code)

    threads = [threading.Thread(target=write, args=(one,)) for one in stores]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert sorted(won) == list(range(len(won)))
    assert set(refused) <= {"key_state_changed"}
    assert stores[0].read().revision == len(won)


def test_one_issuer_of_two_leads_by_the_clock_of_redis(redis: OwnRedis) -> None:
    """The first to come leads; the second, whose clock is off as far as allowed, is refused and reads it."""
    import time

    maker = CountingMaker()
    first = life_cycle(
        FakeClock(), store=RedisStateStore(redis.url, timeout_s=30), timing=TIMING, maker=maker
    )
    second = life_cycle(FakeClock(time.time() - 3000), store=RedisStateStore(redis.url, timeout_s=30),
                        timing=TIMING, maker=maker)  # fmt: skip
    first.tick()
    with pytest.raises(RapidJWSError) as caught:
        second.tick()
    assert caught.value.code == "not_leader"
    assert second.state() == first.state()
    assert abs(first.state().written_at_s - time.time()) < 60


def test_a_redis_that_lost_its_state_gets_it_back(redis: OwnRedis) -> None:
    """Whoever read a later state writes it back; a hash of something else is refused."""
    store = RedisStateStore(redis.url, timeout_s=30)
    life_cycle(FakeClock(), store=store, timing=TIMING).tick()
    known = store.read()
    redis.command("FLUSHALL")
    assert store.read() == known
    assert RedisStateStore(redis.url, timeout_s=30).read() == known
    redis.command("HSET", "rapidjws:issuing", "state", "{}")
    with pytest.raises(RapidJWSError) as caught:
        store.read()
    assert caught.value.code == "key_state_unreadable"


def test_a_redis_that_is_down_is_an_outage(redis: OwnRedis) -> None:
    """Without Redis the store's error has its code, and nothing is changed."""
    store = RedisStateStore(redis.url, timeout_s=1)
    life_cycle(FakeClock(), store=store, timing=TIMING).tick()
    known = store.read()
    redis.stop()
    for call in (store.read, store.time_s, lambda: store.swap(known, IssuingState(revision=2))):
        with pytest.raises(RapidJWSError) as caught:
            call()
        assert caught.value.code == "key_state_unavailable"
