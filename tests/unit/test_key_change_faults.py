"""What an issuer does while its store is full, its clock is off, or its leader goes."""

from __future__ import annotations

import pytest
from issuing_world import START_S, TIMING, CountingMaker, life_cycle

from rapidjws import RapidJWSError
from rapidjws.issuing import IssuingState, MemoryStateStore
from rapidjws.testing import FakeClock


def code_of(call: object) -> str:
    """Return the code of the error that a call raises."""
    with pytest.raises(RapidJWSError) as caught:
        call()  # type: ignore[operator]
    return caught.value.code


def test_a_leader_that_resigns_is_followed_at_once() -> None:
    """Who resigns leads no more; it takes nothing from a leader of another name."""
    clock, store, maker = FakeClock(START_S), MemoryStateStore(), CountingMaker()
    first = life_cycle(clock, store=store, maker=maker)
    second = life_cycle(clock, store=store, maker=maker)
    first.tick()
    second.resign()
    assert code_of(second.tick) == "not_leader"
    first.resign()
    second.tick()
    assert code_of(first.tick) == "not_leader"
    assert [one.stage for one in store.read().keys] == ["next"]


def test_a_store_that_cannot_be_written_costs_one_key() -> None:
    """A key that was made for a change that failed is published by the next one that does not."""

    class Full(MemoryStateStore):
        """A store on a full disk."""

        is_full = True

        def swap(self, before: IssuingState, after: IssuingState) -> None:
            """Write, or fail."""
            if self.is_full:
                raise RapidJWSError("key_state_unavailable")
            super().swap(before, after)

    clock, store, maker = FakeClock(START_S), Full(), CountingMaker()
    issuer = life_cycle(clock, store=store, maker=maker)
    for _ in range(5):
        assert code_of(issuer.tick) == "key_state_unavailable"
        clock.advance(5)
    store.is_full = False
    issuer.tick()
    (key,) = store.read().keys
    assert (key.kid, key.published_at_s) == ("es256-0", START_S + 25)
    clock.advance(TIMING.before_s)
    issuer.tick()
    assert [one.kid for one in store.read().keys] == ["es256-0", "es256-1"]


def test_nothing_is_signed_by_a_clock_that_is_off() -> None:
    """A clock further from the store's, or behind the last change, than allowed dates no token."""

    class Dated(MemoryStateStore):
        """A store with a clock."""

        now_s: float | None = None

        def time_s(self) -> float | None:
            """Return its time."""
            return self.now_s

    clock, store = FakeClock(START_S), Dated()
    issuer = life_cycle(clock, store=store)
    issuer.tick()
    clock.advance(TIMING.before_s)
    issuer.tick()
    assert issuer.signing_key().kid == "es256-0"
    clock.advance(TIMING.state_max_age_s)
    clock.step(-2 * TIMING.clock_skew_s - TIMING.state_max_age_s - 1)
    store.now_s = clock.time()
    assert code_of(issuer.signing_key) == "no_signing_key"
    clock.step(3 * TIMING.clock_skew_s)
    assert code_of(issuer.signing_key) == "no_signing_key"
    store.now_s = clock.time()
    assert issuer.signing_key().kid == "es256-0"
