"""Replay detection over a fail-over with two real servers: what nobody can know is never accepted."""

from __future__ import annotations

import collections
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from issuers import wait_for
from redis_server import OwnRedis

from rapidjws import Engine, Issuer, RapidJWSError, Replay
from rapidjws.stores import RedisReplayStore
from rapidjws.testing import FakeIssuer

LIFE_S = 100
A = FakeIssuer("https://a.example", "ES256")


def entry(number: int) -> tuple[bytes, int]:
    """Return one use."""
    return number.to_bytes(32, "big"), LIFE_S


@pytest.fixture(name="both")
def _both(tmp_path: Path) -> Iterator[tuple[OwnRedis, OwnRedis]]:
    servers: list[OwnRedis] = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        words = ("--replicaof", "127.0.0.1", str(servers[0].port)) if servers else ()
        servers.append(OwnRedis(folder, *words))
    first, second = servers
    wait_for(lambda: b"master_link_status:up" in second.command("INFO", "replication"), 30)
    wait_for(first.has_replica, 30)
    yield first, second
    for server in servers:
        server.stop()


def test_a_use_that_was_accepted_outlives_a_fail_over(both: tuple[OwnRedis, OwnRedis]) -> None:
    """With wait_replicas each accepted use is known to the new primary, and refused there."""
    first, second = both
    store = RedisReplayStore(first.url, wait_replicas=1, budget_s=5)
    entries = [entry(number) for number in range(50)]
    assert store.record(entries) == [True] * 50
    first.stop()
    second.command("REPLICAOF", "NO", "ONE")
    after = RedisReplayStore(second.url, budget_s=5)
    assert after.record([*entries, entry(99)]) == [False] * 50 + [True]


def test_a_use_that_a_fail_over_may_lose_is_not_accepted(both: tuple[OwnRedis, OwnRedis]) -> None:
    """Where the replica is cut off nobody can tell, and so it is as long as it is."""
    first, second = both
    store = RedisReplayStore(first.url, wait_replicas=1, budget_s=1, breaker_failures=100)
    second.pause(on=True)
    try:
        assert store.record([entry(1), entry(2)]) == [None, None]
    finally:
        second.pause(on=False)
    wait_for(lambda: store.record([entry(3 + len(seen))]) == [True] or seen.append(1), 30)


def test_a_use_that_is_known_is_a_replay_though_no_replica_answers(both: tuple[OwnRedis, OwnRedis]) -> None:
    """A replica that is cut off makes no used token unknown: ``accept`` would let it pass again."""
    first, second = both
    store = RedisReplayStore(first.url, wait_replicas=1, budget_s=1, breaker_failures=100)
    assert store.record([entry(1)]) == [True]
    second.pause(on=True)
    try:
        assert store.record([entry(1), entry(2), entry(2)]) == [False, None, False]
        assert store.record([entry(2)]) == [False]
    finally:
        second.pause(on=False)


seen: list[int] = []


def test_the_old_primary_that_became_a_replica_accepts_nothing(both: tuple[OwnRedis, OwnRedis]) -> None:
    """A client that still asks the old primary, a replica by now, is reported that nobody can tell."""
    first, second = both
    store = RedisReplayStore(first.url, budget_s=5, breaker_failures=100)
    assert store.record([entry(1)]) == [True]
    second.command("REPLICAOF", "NO", "ONE")
    first.command("REPLICAOF", "127.0.0.1", str(second.port))
    assert store.record([entry(1), entry(2)]) == [None, None]


def test_a_primary_that_dies_within_a_batch_leaves_each_place_its_answer(
    both: tuple[OwnRedis, OwnRedis], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered before the end stands in its place, the rest nobody can tell."""
    first, _ = both
    store = RedisReplayStore(first.url, budget_s=5)
    assert store.record([entry(5)]) == [True]
    send: Any = store._send

    def dies_later(*uses: Any) -> Any:
        answers = send(*uses)
        first.stop()
        return answers

    monkeypatch.setattr("rapidjws.stores.replay_redis.PIPELINE_MAX", 3)
    store._send = dies_later  # type: ignore[method-assign]
    answers = store.record([entry(number) for number in range(4, 12)])
    assert answers == [True, False, True, None, None, None, None, None]


def test_two_primaries_at_once_accept_no_use_twice(both: tuple[OwnRedis, OwnRedis]) -> None:
    """Cut apart, with the replica promoted: neither side can tell; healed, a use is accepted once."""
    first, second = both
    limits: Any = {"wait_replicas": 1, "budget_s": 1, "breaker_failures": 100}
    old, new = RedisReplayStore(first.url, **limits), RedisReplayStore(second.url, **limits)
    second.command("REPLICAOF", "NO", "ONE")
    assert old.record([entry(1)]) == new.record([entry(1)]) == [None]
    first.command("REPLICAOF", "127.0.0.1", str(second.port))
    wait_for(lambda: b"master_link_status:up" in first.command("INFO", "replication"), 30)
    new.withdraw([entry(1)[0]])
    wait_for(lambda: new.record([entry(50 + len(seen))]) == [True] or seen.append(1), 30)
    assert [new.record([entry(1)]), new.record([entry(1)])] == [[True], [False]]
    assert old.record([entry(1)]) == [None]


@pytest.mark.parametrize("silent", [0, 1], ids=["primary", "replica"])
def test_a_client_that_was_answered_503_may_retry(both: tuple[OwnRedis, OwnRedis], silent: int) -> None:
    """A use that nobody could confirm is taken back: the same token is good once, and then a replay."""
    store = RedisReplayStore(both[0].url, wait_replicas=1, budget_s=0.5, breaker_failures=100)
    token, verify = _used_once(store)
    both[silent].pause(on=True)
    try:
        assert [verify(token), verify(token)] == ["replay_store_unavailable"] * 2
    finally:
        both[silent].pause(on=False)
    wait_for(lambda: verify(token) == "ok", 30)
    assert [verify(token), _used_once(store)[1](token)] == ["replayed"] * 2


def test_what_was_let_through_unconfirmed_is_a_replay(both: tuple[OwnRedis, OwnRedis]) -> None:
    """Under ``accept`` the request was served: its use stays."""
    first, second = both
    store = RedisReplayStore(first.url, wait_replicas=1, budget_s=0.5, breaker_failures=100)
    token, verify = _used_once(store, on_failure="accept")
    second.pause(on=True)
    try:
        assert verify(token) == "ok"
    finally:
        second.pause(on=False)
    assert verify(token) == "replayed"


def _used_once(store: RedisReplayStore, **choice: Any) -> tuple[str, Callable[[str], str]]:
    """Return a token that may be used once, and what its verification comes to."""
    replay = Replay(store=store, **choice)
    engine = Engine(Issuer(A.iss, keys=A.jwks, algorithms=["ES256"], audience=A.audience, replay=replay))

    def verify(token: str) -> str:
        try:
            engine.verify(token)
        except RapidJWSError as refused:
            return refused.code
        return "ok"

    return A.token(A.claims(int(time.time()), jti="7f3a")), verify


def test_a_use_is_taken_back_by_its_own_mark_alone(tmp_path: Path) -> None:
    """However withdrawals, retries and outages fall together, no use is accepted twice."""
    server = OwnRedis(tmp_path)
    chance = random.Random(20261130)
    stores = [RedisReplayStore(server.url, budget_s=0.02, breaker_failures=10**6) for _ in range(3)]
    accepted: collections.Counter[int] = collections.Counter()
    try:
        for _ in range(60):
            if chance.random() < 0.3:
                server.pause(on=True)
            number = chance.randrange(12)
            several = [number, chance.randrange(12), number]
            with ThreadPoolExecutor(3) as pool:
                for answers in pool.map(lambda one: _tried(one, several), stores):  # noqa: B023
                    accepted.update(several[at] for at, fresh in enumerate(answers) if fresh)
            server.pause(on=False)
        assert set(accepted.values()) == {1}
        assert len(accepted) > 6  # others were written late, and stay
    finally:
        server.pause(on=False)
        server.stop()


def _tried(store: RedisReplayStore, numbers: list[int]) -> list[bool | None]:
    """Record uses, and take back those that nobody confirmed."""
    entries = [entry(number) for number in numbers]
    answers = store.record(entries)
    store.withdraw([key for (key, _), fresh in zip(entries, answers, strict=True) if fresh is None])
    return answers
