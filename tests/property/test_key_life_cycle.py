"""A consumer that caches the JWK Set never meets a token under a key that it cannot know."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from issuing_world import CountingMaker, life_cycle

from rapidjws import RapidJWSError
from rapidjws.issuing import IssuingState, KeyLifeCycle, KeyTiming, MemoryStateStore, Schedule

REFUSED = {"not_leader", "key_not_ready", "no_next_key", "key_state_changed", "key_state_unavailable",
           "no_signing_key", "issuing_clock"}  # fmt: skip


class World:
    """True time, and clocks that are off by what is allowed."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0


@dataclass
class SkewedClock:
    """A clock with an offset from the true time."""

    world: World
    offset_s: float

    def time(self) -> float:
        """Return the time that it shows."""
        return self.world.now_s + self.offset_s

    def monotonic(self) -> float:
        """Return the true time."""
        return self.world.now_s


class CutOff:
    """A store as one issuer sees it, which may be cut off from it."""

    def __init__(self, store: MemoryStateStore) -> None:
        self.store = store
        self.is_cut = False

    def read(self) -> IssuingState:
        """Return the state, or fail."""
        if self.is_cut:
            raise RapidJWSError("key_state_unavailable")
        return self.store.read()

    def swap(self, before: IssuingState, after: IssuingState) -> None:
        """Swap, or fail."""
        if self.is_cut:
            raise RapidJWSError("key_state_unavailable")
        self.store.swap(before, after)

    def time_s(self) -> None:
        """Return None."""


@dataclass
class Consumer:
    """A cache of the JWK Set that fetches when its max-age is over and at no other time."""

    offset_s: float
    kids: frozenset[str] = frozenset()
    until_s: float = 0.0
    tokens: list[tuple[str, float]] = field(default_factory=list)
    """kid and ``exp`` of tokens that may be shown again until they expire."""


@st.composite
def timings(draw: st.DrawFn) -> KeyTiming:
    """Draw times, the least that are allowed among them."""
    skew, state = draw(st.sampled_from([0.0, 1.0, 10.0, 30.0])), draw(st.sampled_from([1.0, 5.0]))
    return KeyTiming(
        jwks_max_age_s=draw(st.sampled_from([3.0, 60.0, 300.0])),
        token_lifetime_s=draw(st.sampled_from([5.0, 60.0, 600.0])),
        clock_skew_s=skew,
        state_max_age_s=state,
        publish_slack_s=state + 2 * skew,
    )


ACTIONS = st.tuples(
    st.sampled_from(["tick", "tick", "sign", "sign", "promote", "crash", "cut", "advance", "advance"]),
    st.integers(0, 2),
    st.floats(0, 1),
)


def quietly(call: Callable[[], object]) -> None:
    """Make a change that may be refused for what the property allows."""
    try:
        call()
    except RapidJWSError as refused:
        if refused.code not in REFUSED:
            raise


class Run:
    """Three issuers and consumers, and what happens to them."""

    def __init__(self, timing: KeyTiming, offsets: list[float]) -> None:
        self.world, self.timing = World(), timing
        self.store, self.numbers = MemoryStateStore(), itertools.count()
        self.links = [CutOff(self.store) for _ in range(3)]
        self.offsets = [one * timing.clock_skew_s for one in offsets]
        self.consumers = [
            Consumer(-one, until_s=self.world.now_s + number / 3 * timing.jwks_max_age_s)
            for number, one in enumerate(self.offsets)
        ]  # they fetched an empty set some time ago
        self.issuers = [self.started(number) for number in range(3)]
        self.signed = 0

    def started(self, number: int) -> KeyLifeCycle:
        """Return an issuer without any memory."""
        return life_cycle(
            SkewedClock(self.world, self.offsets[number]),  # type: ignore[arg-type]
            store=self.links[number],
            timing=self.timing,
            maker=CountingMaker(self.numbers),
            schedule=Schedule(f"every {int(self.timing.before_s) + 1} seconds"),
            lease_s=2.0,
        )

    def fetch_due(self, served_by: int) -> None:
        """Let each consumer whose cache is over fetch from one issuer, or keep nothing while it fails."""
        for one in self.consumers:
            if self.world.now_s >= one.until_s:
                try:
                    state = self.issuers[served_by].state()
                except RapidJWSError:
                    continue  # it answers 503: the consumer goes by what it has and tries again
                one.kids = frozenset(key.kid for key in state.published())
                one.until_s = self.world.now_s + self.timing.jwks_max_age_s

    def sign(self, number: int) -> None:
        """Issue a token and show it to every consumer, now and until it expires there."""
        try:
            key = self.issuers[number].signing_key()
        except RapidJWSError as refused:
            if refused.code not in REFUSED:
                raise
            return
        self.signed += 1
        exp_s = self.world.now_s + self.offsets[number] + self.timing.token_lifetime_s
        for one in self.consumers:
            one.tokens.append((key.kid, exp_s))

    def check(self) -> None:
        """Compare each token that still holds with what each consumer knows."""
        for one in self.consumers:
            if self.world.now_s > one.until_s:
                continue  # its fetches fail: an outage, which this property is not about
            now_s = self.world.now_s + one.offset_s - self.timing.clock_skew_s  # its leeway
            one.tokens = [token for token in one.tokens if token[1] > now_s]
            for kid, _ in one.tokens:
                assert kid in one.kids, f"{kid} of {sorted(one.kids)}"

    def advance(self, share: float, served_by: int) -> None:
        """Let time go on in steps, with fetches and looks at all tokens on the way."""
        whole = share * (self.timing.before_s + self.timing.after_s) / 4
        for _ in range(8):
            self.world.now_s += whole / 8
            self.fetch_due(served_by)
            self.check()

    def act(self, action: str, number: int, share: float) -> None:
        """Let one thing happen."""
        if action == "tick":
            quietly(self.issuers[number].tick)
        elif action == "promote":
            quietly(self.issuers[number].promote)
        elif action == "crash":
            self.issuers[number] = self.started(number)
        elif action == "cut":
            self.links[number].is_cut = not self.links[number].is_cut
        elif action == "sign":
            self.sign(number)
        else:
            self.advance(share, number)
        self.fetch_due(number)
        self.check()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(timings(), st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=3, max_size=3),
       st.lists(ACTIONS, min_size=30, max_size=90))  # fmt: skip
def test_no_consumer_meets_a_key_it_cannot_know(
    timing: KeyTiming, offsets: list[float], actions: list[tuple[str, int, float]]
) -> None:
    """Whatever order of rotations, crashes, leaders and outages: each token's key is in every fresh cache."""
    run = Run(timing, offsets)
    for action in actions:
        run.act(*action)


def rotated(timing: KeyTiming) -> Run:
    """Return a run in which every issuer ticks, signs and is asked for its keys, over many rotations."""
    run = Run(timing, [-1.0, 0.0, 1.0])
    for turn in range(400):
        run.act("tick", turn % 3, 0.0)
        run.act("sign", (turn + 1) % 3, 0.0)
        run.advance(0.1, (turn + 2) % 3)
    return run


def test_the_run_signs_and_rotates() -> None:
    """The property is about something: tokens are signed under many keys, and none is refused."""
    run = rotated(KeyTiming(jwks_max_age_s=30, token_lifetime_s=20, clock_skew_s=1, state_max_age_s=1))
    assert run.signed > 300
    assert len(run.store.read().keys) > 8


@pytest.mark.parametrize("wrong", ["before_s", "after_s"])
def test_the_run_sees_times_that_are_too_short(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """With keys that sign at once, or leave at once, the same run meets an unknown key."""
    timing = KeyTiming(jwks_max_age_s=30, token_lifetime_s=20, clock_skew_s=1, state_max_age_s=1)
    monkeypatch.setattr(KeyTiming, wrong, property(lambda self: 1.0))
    with pytest.raises(AssertionError, match="of \\["):
        rotated(timing)
