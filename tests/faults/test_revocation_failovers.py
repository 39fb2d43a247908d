"""Revocations that a fail-over loses before their writer read them back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis_server import OwnRedis

from rapidjws import Event, Revocation
from rapidjws.stores import RedisRevocations

STREAM = "rapidjws:revocations"


opened: list[RedisRevocations] = []


@pytest.fixture(name="redis")
def _redis(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path)
    yield server
    while opened:
        opened.pop()._redis.now.close()
    server.stop()


def alone(redis: OwnRedis, **named: Any) -> RedisRevocations:
    """Return a store that nothing but the test reads: without its thread."""
    opened.append(RedisRevocations(redis.url, timeout_s=5, **named))
    return opened[-1]


def client_of(redis: OwnRedis) -> Any:
    """Return a client of the test's own."""
    import redis as client

    return client.Redis.from_url(redis.url)


@pytest.mark.parametrize("choice", ["keep", "refuse"])
@pytest.mark.parametrize("is_followed", [True, False])
def test_a_revocation_lost_before_it_was_read_back_is_written_back(
    redis: OwnRedis, choice: Any, is_followed: bool
) -> None:
    """A fail-over before our entry was read back lifts nothing, whether another came after it or not."""
    events: list[Event] = []
    store = alone(redis, on_loss=choice, events=events.append)
    store.begin()
    store.load()
    send = store._send

    def loses(verb: str, *revocations: Revocation) -> bytes:
        entry = send(verb, *revocations)
        with client_of(redis) as there:
            there.xdel(STREAM, entry)
        if is_followed:
            alone(redis).add(Revocation(jti="later"))
        return entry

    store._send = loses  # type: ignore[method-assign]
    store.add(Revocation(jti="a"))
    store._send = send  # type: ignore[method-assign]
    expected = {Revocation(jti="a")} | ({Revocation(jti="later")} if is_followed else set())
    assert set(store.load()) == expected
    assert [event.detail for event in events if event.name == "revocation_stream_lost"] == ["shortened"]
    assert store.is_lost == (choice == "refuse")
    store._write_back()
    assert not store.is_lost
    assert set(store.load()) == set(alone(redis).load()) == expected
    store.remove(Revocation(jti="a"))
    assert set(store.load()) == set(alone(redis).load()) == expected - {Revocation(jti="a")}
