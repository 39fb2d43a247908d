"""The edges of key sources: bad trust, long waits, many waiters, listeners that raise."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from issuers import setup, wait_for

from rapidjws import ConfigurationError, Event, UnknownKey
from rapidjws.keys import Answer, Freshness, RemoteJWKS, Transport
from rapidjws.keys.source import WAITERS_MAX, Source


@pytest.mark.parametrize("ca", ["-----BEGIN CERTIFICATE-----\nnonsense", "no/such/file.pem"])
def test_authorities_that_cannot_be_read(ca: str) -> None:
    """Trust that cannot be loaded is a misconfiguration, not the system's trust."""
    with pytest.raises(ConfigurationError):
        RemoteJWKS("https://issuer.example/", transport=Transport(ca=ca))


@pytest.mark.parametrize("wait_s", [-1, 61, float("nan"), "1", True])
def test_a_wait_is_bounded(wait_s: Any) -> None:
    """A wait out of its range is a mistake of the caller's, in both ways in."""
    with setup() as at:
        at.ready()
        at.issuer.rotate()
        token = at.token()
        with pytest.raises(ConfigurationError):
            at.engine.verify(token, wait_s=wait_s)
        with pytest.raises(ConfigurationError):
            asyncio.run(at.engine.averify(token, wait_s=wait_s))


def test_waiters_are_bounded() -> None:
    """Past the bound a waiter gets its answer at once instead of a place."""
    source = Source("test")
    waiting = [source.next_answer() for _ in range(WAITERS_MAX)]
    assert source.next_answer().done()
    assert not any(future.done() for future in waiting)
    waiting[0].cancel()
    assert not source.next_answer().done()
    source._answered()
    assert all(future.done() for future in waiting)


def test_a_listener_that_raises_stops_nothing() -> None:
    """Whatever a listener to events does, keys are fetched and tokens verified."""

    def raising(event: object) -> None:
        raise RuntimeError(event)

    with setup(source={}, engine={}) as at:
        at.source._events = raising
        at.ready()
        at.issuer.rotate()
        assert at.source.refresh()
        assert at.code(at.token()) == "ok"


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_ttl_s": 400.0},
        {"refresh_at": 1.5},
        {"stale_limit_s": 100.0},
        {"retry_min_s": 5.0},
    ],
    ids=str,
)
def test_settings_that_contradict_each_other(wrong: dict[str, float]) -> None:
    """Limits out of order are refused when they are configured."""
    with pytest.raises(ConfigurationError):
        Freshness(**wrong)


def test_an_unknown_kid_without_a_refresh_in_sight_is_refused_at_once() -> None:
    """Within the cool-down a waiting caller is not held longer than its bound allows."""
    with setup() as at:
        at.ready()
        at.issuer.rotate()
        with pytest.raises(UnknownKey):
            at.engine.verify(at.token(), wait_s=0.2)


def test_a_source_shows_itself_without_secrets() -> None:
    """The repr names the URL and how many keys there are."""
    source = RemoteJWKS("https://issuer.example/", fetch=lambda *_: Answer(status=200, headers={}, body=b""))
    assert repr(source) == "<RemoteJWKS https://issuer.example/: no keys>"
    source.start()
    wait_for(lambda: source.status().last_failure == "document: an empty document, not a JWK Set")


def test_the_applications_random_numbers_are_left_alone() -> None:
    """Jitter in the background takes nothing from the generator that the application may have seeded."""
    before = random.getstate()
    with setup() as at:
        at.ready()
        assert at.source.refresh()
    assert random.getstate() == before


def test_what_is_reported_of_keys_holds_already() -> None:
    """Whoever hears that a key was removed, added or re-bound finds it so in the next call."""
    heard: list[tuple[str, str]] = []
    with setup() as at:
        old = at.ready().token()
        listen = at.source._events

        def hear(event: Event) -> None:
            if event.name in ("key_removed", "key_added"):
                token = old if event.name == "key_removed" else at.token()
                heard.append((event.name, at.code(token)))
            listen(event)

        at.source._events = hear
        at.issuer.rotate(keep=0)
        assert at.source.refresh()
    assert sorted(set(heard)) == [("key_added", "ok"), ("key_removed", "unknown_kid")]
