"""Waiting until an engine is ready, and building tables before the first token."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from time import monotonic
from typing import Any

import pytest
import tokens

import rapidjws
from rapidjws import Engine, _native
from rapidjws.verify.protocols import KeyState


class Source:
    """A key source whose keys come when the test says so."""

    def __init__(self) -> None:
        self._state = KeyState(keys=None)
        self._changed: Any = None

    def state(self) -> KeyState:
        """Return what there is now."""
        return self._state

    def subscribe(self, changed: Any) -> None:
        """Take the engine's listener."""
        self._changed = changed

    def unknown_kid(self, kid: str) -> float | None:
        """Know of no refresh."""
        return None

    def next_answer(self) -> Future[None]:
        """Return a future that nobody ends."""
        return Future()

    def bring(self, keys: rapidjws.JWKSet | None) -> None:
        """Have these keys from now on."""
        self._state = KeyState(keys=keys)
        self._changed()


def engine_of(*sources: Source, **options: Any) -> Engine:
    """Return an engine with one issuer a source."""
    return Engine(
        *(
            tokens.issuer(keys=source, iss=f"{tokens.ISS}/{number}" if number else tokens.ISS, **options)
            for number, source in enumerate(sources)
        )
    )


KEYS = rapidjws.JWKSet([tokens.public("ES256")])


def waits(engine: Engine, timeout_s: float, how: str) -> bool:
    """Wait from a thread or from asyncio."""
    if how == "wait_ready":
        return engine.wait_ready(timeout_s)
    return asyncio.run(engine.await_ready(timeout_s))


@pytest.mark.parametrize("how", ["wait_ready", "await_ready"])
def test_N4_waiting_ends_when_the_keys_are_there(how: str) -> None:
    """Who waits goes on as soon as the keys come, and the first token then gets its verdict."""
    source = Source()
    engine = engine_of(source)
    assert not engine.ready
    with pytest.raises(rapidjws.KeysUnavailable):
        engine.verify(tokens.token(), tokens.NOW_S)
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(waits(engine, 60, how)))
    waiting.start()
    source.bring(KEYS)
    waiting.join(30)
    assert found == [True]
    assert engine.verify(tokens.token(), tokens.NOW_S).issuer == tokens.ISS


@pytest.mark.parametrize("how", ["wait_ready", "await_ready"])
def test_N4_waiting_ends_at_its_bound(how: str) -> None:
    """Without keys the wait ends at its bound and says that the engine is not ready; nobody is left over."""
    engine = engine_of(Source())
    start_s = monotonic()
    assert not waits(engine, 0.05, how)
    assert 0.04 < monotonic() - start_s < 10
    assert not waits(engine, 0, how)
    assert engine._ready_waiters._futures == []


@pytest.mark.parametrize("how", ["wait_ready", "await_ready"])
def test_N4_waiting_is_for_every_required_issuer(how: str) -> None:
    """The second issuer's keys are waited for too; an issuer that is not required is not."""
    first, second = Source(), Source()
    engine = engine_of(first, second)
    first.bring(KEYS)
    assert not waits(engine, 0.05, how)
    second.bring(KEYS)
    assert waits(engine, 0.05, how)
    assert waits(engine_of(Source(), required=False), 0, how)


def test_N4_a_ready_engine_is_not_waited_for() -> None:
    """Keys given as they are make an engine ready at once; keys that went are waited for again."""
    assert tokens.engine().wait_ready(0)
    source = Source()
    engine = engine_of(source)
    source.bring(KEYS)
    assert engine.wait_ready(0)
    source.bring(None)
    assert not engine.wait_ready(0.02)


def test_N4_a_wait_can_be_given_up() -> None:
    """A cancelled wait leaves nothing behind, and another one still ends."""
    source = Source()
    engine = engine_of(source)

    async def run() -> bool:
        given_up = asyncio.ensure_future(engine.await_ready(60))
        other = asyncio.ensure_future(engine.await_ready(60))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait((given_up,))
        assert len(engine._ready_waiters._futures) == 1
        source.bring(KEYS)
        return await other

    assert asyncio.run(run())


@pytest.mark.parametrize("timeout_s", [-1, 3601, float("nan"), float("inf"), True, None, "1"])
def test_N4_a_bound_is_checked(timeout_s: Any) -> None:
    """A bound that is none is refused where it is given, ready or not."""
    engine = tokens.engine()
    for call in (
        lambda: engine.wait_ready(timeout_s),
        lambda: asyncio.run(engine.await_ready(timeout_s)),
        lambda: engine.precompute(timeout_s=timeout_s) if timeout_s is not None else engine.wait_ready(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(rapidjws.ConfigurationError, match="timeout_s"):
            call()


needs_tables = pytest.mark.skipif(
    not _native.precomputed_bytes(_native.ALG_NUMBERS["ES256"]), reason="no tables on this platform"
)


@needs_tables
@pytest.mark.parametrize("how", ["precompute", "aprecompute"])
def test_N4_precompute_returns_when_the_tables_are_in_use(how: str) -> None:
    """After precompute the snapshot of the moment has the tables; a second call has nothing to do."""
    engine = tokens.engine("ES256", "EdDSA", "RS256")

    def build() -> int:
        return engine.precompute() if how == "precompute" else asyncio.run(engine.aprecompute())

    assert build() == 2
    assert set(engine.precomputed_kids) == {"k1-es256", "k1-eddsa"}
    assert {key.jwk.kid for key in engine._snapshot.tables} == {"k1-es256", "k1-eddsa"}
    assert build() == 0


@needs_tables
def test_N4_precompute_can_go_on_beside_the_traffic() -> None:
    """With wait=False it says at once how many will be built, and they are."""
    engine = tokens.engine("ES256", "EdDSA")
    assert engine.precompute(wait=False) == 2
    end_s = monotonic() + 30
    while len(engine.precomputed_kids) < 2:
        assert monotonic() < end_s
        engine.verify(tokens.token(), tokens.NOW_S)


@needs_tables
def test_N4_precompute_stops_at_its_bound() -> None:
    """Where its time is over no further table is begun."""
    engine = tokens.engine("ES256")
    assert engine.precompute(timeout_s=0) == 0
    assert engine.precomputed_kids == ()
    assert engine.precompute(timeout_s=60) == 1
