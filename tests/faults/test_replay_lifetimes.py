"""How long a use of a token is remembered: until nobody can accept the token any more, by any leeway.

Time is simulated: the store in memory by a clock of the test's own, a real Redis by taking the time that
passes off each entry's remaining life.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tokens
from redis_server import OwnRedis
from tokens import ISS, NOW_S

import rapidjws
from rapidjws import Replay
from rapidjws.rollout import Partner, Rollout
from rapidjws.stores import MemoryReplayStore, RedisReplayStore
from rapidjws.testing import FakeClock

LEEWAY_S = 60
LIFE_S = 300
WIDE_S = 3_600
Store = MemoryReplayStore | RedisReplayStore


class World:
    """One store, and the time that passes for it and for who asks."""

    def __init__(self, store: Store, passes: Callable[[int], None]) -> None:
        self.store = store
        self._passes = passes
        self.now_s = NOW_S

    def advance(self, seconds: int) -> None:
        """Let time go on."""
        self.now_s += seconds
        self._passes(seconds)


@pytest.fixture(name="world", params=["memory", "redis"])
def _world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "memory":
        clock = FakeClock(NOW_S)
        yield World(MemoryReplayStore(clock=clock), clock.advance)
        return
    server = OwnRedis(tmp_path)
    client = pytest.importorskip("redis").Redis.from_url(server.url)

    def passes(seconds: int) -> None:
        for name in client.keys("*"):
            left_ms = client.pttl(name) - seconds * 1000
            client.pexpire(name, left_ms) if left_ms > 0 else client.delete(name)

    try:
        # the margin makes up for the real time that passes in Redis beside the simulated one
        yield World(RedisReplayStore(server.url, margin_s=120, budget_s=10), passes)
    finally:
        client.close()
        server.stop()


def rollout(*leeways_s: int, default_s: int | None = None) -> Rollout:
    """Return a rollout in enforcement with a partner for each leeway: p0, p1 and so on."""
    partners = [Partner(name=f"p{number}", leeway_s=one) for number, one in enumerate(leeways_s)]
    made = Rollout(partners, default=Partner(name="default", leeway_s=default_s), issuer_leeway_s=LEEWAY_S)
    made.promote(by="test", to="enforcement", force=True)
    return made


def engine(store: Store, policy: Rollout | None = None, **options: Any) -> rapidjws.Engine:
    """Return an engine whose tokens are used once."""
    options = {"leeway_s": LEEWAY_S, "replay": Replay(store=store), **options}
    return rapidjws.Engine(tokens.issuer("HS256", **options), rollout=policy)


def decided(of: rapidjws.Engine, way: str, token: str, partner: str | None, now: float) -> str:
    """Return the code of a decision, by one of the ways there are."""
    if way == "decide":
        return of.decide(token, partner=partner, now=now).code
    if way == "adecide":
        return asyncio.run(of.adecide(token, partner=partner, now=now)).code
    return of.decide_many([(token, partner, None)], now=now)[0].code


WAYS = ("decide", "adecide", "decide_many")
DATES = {
    "past": {"iat": NOW_S - 10, "exp": NOW_S + LIFE_S},
    "ahead": {"iat": NOW_S + WIDE_S - 1, "nbf": NOW_S + WIDE_S - 1, "exp": NOW_S + WIDE_S + LIFE_S},
    "fraction": {"iat": NOW_S - 9.5, "exp": NOW_S + LIFE_S + 0.9999999},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dates", DATES.values(), ids=DATES)
@pytest.mark.parametrize("first_s", [0, LIFE_S + LEEWAY_S + 100], ids=["early", "late"])
def test_S2_one_jti_gives_one_permit(world: World, way: str, dates: dict[str, Any], first_s: int) -> None:
    """Over all of a token's time, whoever asks by whatever leeway, it is permitted once."""
    of = engine(world.store, rollout(WIDE_S, 0, 600))
    token = tokens.token("HS256", jti="one", **dates)
    world.advance(first_s)
    permits, codes = 0, set()
    for _ in range(2 * WIDE_S // 30):
        for partner in ("p0", "p1", "p2", None):
            code = decided(of, way, token, partner, world.now_s)
            permits += code == "ok"
            codes.add(code)
        world.advance(30 if way == "decide" else 300)
        if world.now_s > NOW_S + 3 * WIDE_S:
            break
    assert permits == 1
    assert codes >= {"ok", "replayed", "expired"}


def test_S2_the_default_partner_counts(world: World) -> None:
    """The leeway of callers whom nobody named is one of those that count."""
    of = engine(world.store, rollout(default_s=WIDE_S))
    token = tokens.token("HS256", jti="one")
    seen = []
    for _ in range(WIDE_S // 60 + 8):
        seen.append(of.decide(token, now=world.now_s).code)
        world.advance(60)
    assert seen.count("ok") == 1
    assert seen[-1] == "expired"


def test_S2_a_rollout_that_comes_later_counts_from_then_on(world: World) -> None:
    """Uses recorded after a rollout was put in have its leeways, whichever call recorded them."""
    of = engine(world.store)
    of.rollout = rollout(WIDE_S)
    token = tokens.token("HS256", jti="one")
    of.verify(token, world.now_s)
    world.advance(LIFE_S + LEEWAY_S + 1)
    assert of.decide(token, partner="p0", now=world.now_s).code == "replayed"
    of.rollout = rollout(0)  # what was recorded for the wider one stays needed
    other = tokens.token("HS256", jti="two", exp=world.now_s + LIFE_S)
    of.verify(other, world.now_s)
    of.rollout = rollout(WIDE_S)
    world.advance(LIFE_S + LEEWAY_S + 1)
    assert of.decide(other, partner="p0", now=world.now_s).code == "replayed"


ENDS = {
    "exp": ({"exp_required": True}, {"exp": NOW_S + LIFE_S}, LIFE_S + LEEWAY_S - 1),
    "age": ({"exp_required": False, "max_age_s": 500}, {"exp": None, "iat": NOW_S - 10}, 490 + LEEWAY_S),
    "age first": ({"max_age_s": 200}, {"exp": NOW_S + LIFE_S, "iat": NOW_S - 10}, 190 + LEEWAY_S),
    "exp first": ({"max_age_s": 900}, {"exp": NOW_S + LIFE_S, "iat": NOW_S - 10}, LIFE_S + LEEWAY_S - 1),
}


@pytest.mark.parametrize(("rules", "dates", "last_s"), ENDS.values(), ids=ENDS)
def test_T2_a_replay_just_before_the_end(
    world: World, rules: dict[str, Any], dates: dict[str, Any], last_s: int
) -> None:
    """For every way a token can end, a use is remembered to its last second."""
    of = engine(world.store, **rules)
    token = tokens.token("HS256", jti="one", **dates)
    assert tokens_code(of, token, world.now_s) == "ok"
    world.advance(last_s)
    assert tokens_code(of, token, world.now_s) == "replayed"
    assert tokens_code(of, tokens.token("HS256", jti="two", **dates), world.now_s) == "ok"
    world.advance(1)
    assert tokens_code(of, token, world.now_s) in ("expired", "too_old")


def tokens_code(of: rapidjws.Engine, token: str, now: float) -> str:
    """Return "ok" or the code of one verification."""
    try:
        of.verify(token, now)
    except rapidjws.RapidJWSError as refused:
        return refused.code
    return "ok"


class Lives:
    """A store that says how long entries are to live."""

    blocking = False

    def __init__(self) -> None:
        self.seen: list[int] = []

    def record(self, entries: Sequence[tuple[bytes, int]]) -> list[bool | None]:
        """Note the lives."""
        self.seen += [life_s for _, life_s in entries]
        return [True] * len(entries)


def test_S2_a_body_with_a_rollout_of_its_own_counts() -> None:
    """A signed body may be decided on by another rollout than the engine's: its leeways count as well."""
    from rapidjws.middleware.signed_body import SignedBody

    store: Any = Lives()
    of = engine(store, rollout(600))
    of.verify(tokens.token("HS256", jti="one"), NOW_S)
    SignedBody(verifier=of, signature_header=None, rollout=rollout(WIDE_S))
    of.verify(tokens.token("HS256", jti="two"), NOW_S)
    assert store.seen == [LIFE_S + LEEWAY_S + 540 + 1, LIFE_S + LEEWAY_S + WIDE_S - LEEWAY_S + 1]


def test_S2_a_policy_that_says_no_longest_retry_counts_as_a_day() -> None:
    """A policy of the caller's own that does not say how far it goes gets the widest leeway there is."""
    store: Any = Lives()
    of = engine(store)
    policy: Any = SimpleNamespace(decide=lambda *_: None, retry_at_ns=lambda *_: None)
    of.rollout = policy
    of.verify(tokens.token("HS256", jti="one"), NOW_S)
    assert store.seen == [LIFE_S + LEEWAY_S + 86_400 + 1]


@pytest.mark.parametrize("margin_s", [0, 1, 60, 90])
def test_T13_redis_entries_live_for_their_margin_as_well(tmp_path: Path, margin_s: int) -> None:
    """An entry in Redis outlives its token by the margin, for clocks that differ: 60 s by default."""
    server = OwnRedis(tmp_path)
    client = pytest.importorskip("redis").Redis.from_url(server.url)
    try:
        options = {} if margin_s == 60 else {"margin_s": margin_s}
        store = RedisReplayStore(server.url, budget_s=5, **options)
        assert store.record([(bytes(32), 1000)]) == [True]
        (name,) = client.keys("*")
        assert 1000 + margin_s - 30 <= client.ttl(name) <= 1000 + margin_s
    finally:
        client.close()
        server.stop()


def test_S2_issuers_keep_their_own_leeway() -> None:
    """Each issuer's entries live for its own leeway, and the policy's widest beyond."""
    store: Any = Lives()
    other = "https://other.example"
    issuers = [
        tokens.issuer("HS256", leeway_s=10, replay=Replay(store=store)),
        tokens.issuer("HS256", iss=other, name="k2", leeway_s=500, replay=Replay(store=store)),
    ]
    of = rapidjws.Engine(*issuers)
    of.verify(tokens.token("HS256", jti="one", iss=ISS), NOW_S)
    of.verify(tokens.token("HS256", "k2", jti="one", iss=other), NOW_S)
    assert store.seen == [LIFE_S + 10 + 1, LIFE_S + 500 + 1]
