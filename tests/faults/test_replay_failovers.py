"""Replay detection over a fail-over with two real servers: what nobody can know is never accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from issuers import wait_for
from redis_server import OwnRedis

from rapidjws.stores import RedisReplayStore

LIFE_S = 100


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

    def dies_later(entries: Any) -> Any:
        answers = send(entries)
        first.stop()
        return answers

    monkeypatch.setattr("rapidjws.stores.replay_redis.PIPELINE_MAX", 3)
    store._send = dies_later  # type: ignore[method-assign]
    answers = store.record([entry(number) for number in range(4, 12)])
    assert answers == [True, False, True, None, None, None, None, None]
