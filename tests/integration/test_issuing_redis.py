"""The state of an issuer's keys in a real Redis."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from issuing_world import CountingMaker, life_cycle
from redis_server import OwnRedis

from rapidjws import JWKSet, RapidJWSError
from rapidjws.issuing import Announcer, IssuingState, KeyLifeCycle, KeyTiming, Publication, RedisStateStore
from rapidjws.stores import RedisRotations
from rapidjws.stores.redis_client import RedisClient
from rapidjws.testing import FakeClock
from rapidjws.verify.protocols import KeyState

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


ISS = "https://issuer.example"


class Source:
    """A consumer's keys, fetched when they are invalidated."""

    def __init__(self, published: Publication) -> None:
        self._published = published
        self._keys: JWKSet | None = None
        self.fetches = 0
        self.is_slow = False

    def invalidate(self) -> None:
        """Fetch."""
        self.fetches += 1
        if not self.is_slow:
            self._keys = JWKSet.from_json(json.dumps(self._published.jwks()).encode())

    def state(self) -> KeyState:
        """Return what was fetched."""
        return KeyState(keys=self._keys)

    def subscribe(self, changed: Any) -> None:
        """Do nothing."""

    def unknown_kid(self, kid: str) -> None:
        """Do nothing."""

    def next_answer(self) -> Any:
        """Return nothing."""


def followed(redis: OwnRedis, issuer: KeyLifeCycle, name: str) -> tuple[RedisRotations, Source]:
    """Return a consumer that follows, once it listens."""
    source = Source(Publication(issuer, ISS))
    one = RedisRotations(redis.url, name=name, timeout_s=30)
    before = RedisRotations(redis.url, timeout_s=30).announce("https://nobody.example", "k")
    one.follow(lambda: {ISS: source})
    end_s = time.monotonic() + 60
    while RedisRotations(redis.url, timeout_s=30).announce("https://nobody.example", "k") <= before:
        assert time.monotonic() < end_s
        time.sleep(0.02)
    return one, source


def test_consumers_fetch_and_confirm_through_redis(redis: OwnRedis) -> None:
    """Each who follows fetches at an announcement, confirms once it has the key, and is counted."""
    clock = FakeClock(time.time())
    issuer = life_cycle(clock, timing=TIMING)
    kid = issuer.tick()[0].kid
    consumers = [followed(redis, issuer, name) for name in ("a", "b")]
    channel = RedisRotations(redis.url, timeout_s=30)
    announcer = Announcer(ISS, [], lambda *_: (500, b""), channel=channel)
    consumers[1][1].is_slow = True
    answered = announcer.announce(kid, wait_s=0.5)
    assert (set(answered.confirmed), answered.missing) == ({"redis:a"}, {"redis": "1 of 2"})
    consumers[1][1].is_slow = False
    answered = announcer.announce(kid, wait_s=60)
    assert (set(answered.confirmed), answered.missing) == ({"redis:a", "redis:b"}, {})
    answered = announcer.announce(kid, withdrawn="another", wait_s=60)
    assert (len(answered.confirmed), answered.missing) == (2, {})
    answered = announcer.announce(kid, withdrawn=kid, wait_s=0)
    assert (answered.confirmed, answered.missing) == ({}, {"redis": "2 of 2"})


def test_what_a_stranger_publishes_fetches_nothing_else(redis: OwnRedis) -> None:
    """Messages that are no announcement, or of an issuer that is not configured, change nothing."""
    issuer = life_cycle(FakeClock(time.time()), timing=TIMING)
    kid = issuer.tick()[0].kid
    one, source = followed(redis, issuer, "a")
    for word in ("", "{}", "[]", "[" * 3000, '{"issuer":1,"kid":"k","withdrawn":null}', "x" * 5000,
                 '{"issuer":"https://other.example","kid":"k","withdrawn":null}',
                 f'{{"issuer":"{ISS}","kid":1,"withdrawn":null}}'):  # fmt: skip
        redis.command("PUBLISH", "rapidjws:rotations", word)
    announcer = Announcer(ISS, [], lambda *_: (500, b""), channel=RedisRotations(redis.url, timeout_s=30))
    assert set(announcer.announce(kid, wait_s=60).confirmed) == {"redis:a"}
    assert source.fetches == 1
    assert len(one._waiting) <= 1
    assert all(isinstance(waiting.kid, str) for waiting in one._waiting)


def test_a_channel_that_is_down_is_named_and_stops_nobody(redis: OwnRedis) -> None:
    """Without Redis the consumers with hooks are announced to all the same; a follower comes back with it."""
    issuer = life_cycle(FakeClock(time.time()), timing=TIMING)
    kid = issuer.tick()[0].kid
    one, source = followed(redis, issuer, "a")
    redis.stop()
    channel = RedisRotations(redis.url, timeout_s=1)
    answered = Announcer(ISS, [], lambda *_: (500, b""), channel=channel).announce(kid)
    assert answered.missing == {"redis": "revocation_store_unavailable"}
    redis.start()
    end_s = time.monotonic() + 60
    while not source.fetches:
        assert time.monotonic() < end_s
        Announcer(ISS, [], lambda *_: (500, b""), channel=channel).announce(kid)
        time.sleep(0.05)
    assert one._thread is not None


def test_a_client_in_a_cycle_of_garbage_closes_its_sockets(redis: OwnRedis) -> None:
    """What a kept exception holds on to is closed at once, before the collector comes to its sockets."""
    client = RedisClient(redis.url, "tests")
    client.now.ping()
    client.now.auto_close_connection_pool = False  # as where its end comes after that of the sockets
    connection = client.now.connection_pool.get_connection()
    assert connection._sock is not None
    cycle: list[Any] = [client]
    cycle.append(cycle)
    del client, cycle
    gc.collect()
    assert connection._sock is None
