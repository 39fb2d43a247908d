"""A leeway that is widened at run time gives no token a second use."""

from __future__ import annotations

from typing import Any

import pytest
import tokens
from tokens import AUD, ISS, NOW_S

from rapidjws import Engine, Issuer, IssuerRegistry, RapidJWSError, Replay
from rapidjws.jwt import key_manager as changes
from rapidjws.rollout import Partner, Rollout
from rapidjws.stores import MemoryReplayStore
from rapidjws.testing import FakeClock

LIFE_S = 100


def issuer(store: MemoryReplayStore, **rules: Any) -> Issuer:
    """Return an issuer whose tokens are used once."""
    keys, replay = tokens.public("HS256"), Replay(store=store)
    return Issuer(ISS, keys=keys, algorithms=["HS256"], audience=AUD, replay=replay, **rules)


def token(iat_s: int, jti: str, **claims: Any) -> str:
    """Return a token of a hundred seconds."""
    return tokens.token("HS256", **{"iat": iat_s, "exp": iat_s + LIFE_S, "jti": jti, **claims})


def code(engine: Engine, made: str, now_s: int) -> str:
    """Return what becomes of a token."""
    try:
        engine.verify(made, now_s)
    except RapidJWSError as refused:
        return refused.code
    return "ok"


class World:
    """An engine, its store and a clock that all three share."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **rules: Any) -> None:
        self.clock = FakeClock(NOW_S)
        self.store = MemoryReplayStore(clock=self.clock)
        self.engine = Engine(issuer(self.store, **rules))
        monkeypatch.setattr(changes, "time_ns", lambda: int(self.clock.time()) * 10**9)

    def widen(self, **rules: Any) -> None:
        """Give the issuer other rules."""
        self.engine.replace_issuers(issuer(self.store, **rules))

    def code(self, made: str) -> str:
        """Return what becomes of a token now."""
        return code(self.engine, made, int(self.clock.time()))


WIDER = [
    ({"leeway_s": 10}, {"leeway_s": 60}, LIFE_S + 10),
    ({"leeway_s": 0, "max_age_s": 50}, {"leeway_s": 0, "max_age_s": 90}, 50),
    ({"leeway_s": 0, "max_age_s": 50}, {"leeway_s": 0}, 50),
]


@pytest.mark.parametrize(("narrow", "wide", "end_s"), WIDER)
def test_S2_a_bound_widened_later_gives_no_second_use(
    monkeypatch: pytest.MonkeyPatch, narrow: dict[str, Any], wide: dict[str, Any], end_s: int
) -> None:
    """One use in all, at every second around both bounds; a token issued afterwards has the wider one."""
    world = World(monkeypatch, **narrow)
    made = token(NOW_S, "one")
    assert world.code(made) == "ok"
    world.clock.advance(1)
    world.widen(**wide)
    seen = {}
    for second in range(2, LIFE_S + 70):
        world.clock.advance(1)
        seen[second] = world.code(made)
    assert "ok" not in seen.values()
    assert seen[end_s - 1] == "replayed"
    assert seen[end_s + 2] in ("expired", "too_old")
    later = token(int(world.clock.time()), "two")
    world.clock.advance(end_s + 2 if end_s < LIFE_S else end_s + 1)
    assert world.code(later) == "ok"
    assert world.code(later) == "replayed"


def test_S2_a_token_unused_before_keeps_the_narrower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cannot tell refuses; without iat a token may be from before; narrowing again ends it."""
    world = World(monkeypatch, leeway_s=10)
    world.clock.advance(5)
    world.widen(leeway_s=60)
    world.widen(leeway_s=60)  # nothing new: what is remembered stays
    world.clock.advance(LIFE_S + 5)
    assert world.code(token(NOW_S, "fresh")) == "expired"
    assert world.code(token(NOW_S, "other", iat=None)) == "expired"
    assert world.code(token(NOW_S + 100, "new")) == "ok"
    world.widen(leeway_s=10)
    world.widen(leeway_s=10)
    assert world.code(token(NOW_S + 1, "last")) == "ok"


@pytest.mark.parametrize(("iat_s", "expected"), [(64, "expired"), (65, "ok"), (66, "ok")])
def test_T11_who_is_issued_after_the_change(
    monkeypatch: pytest.MonkeyPatch, iat_s: int, expected: str
) -> None:
    """An issuer's clock may run ahead by the leeway: from that second on a token is from afterwards."""
    world = World(monkeypatch, leeway_s=10)
    world.clock.advance(5)
    world.widen(leeway_s=60)
    world.clock.advance(LIFE_S + 80)
    assert world.code(token(NOW_S + iat_s, "x", exp=NOW_S + LIFE_S + 70)) == expected


@pytest.mark.parametrize("later", [False, True], ids=["before its look-up", "after it"])
def test_S2_uses_of_looked_up_issuers_outlast_the_widest_leeway(later: bool) -> None:
    """A partner's leeway counts for issuers of a registry too, whenever they come: one permit a token."""
    clock = FakeClock(NOW_S)
    store = MemoryReplayStore(clock=clock)
    partner = Partner(name="late", leeway_s=3600)
    policy = Rollout([partner], default=Partner(name="default"), issuer_leeway_s=10)
    policy.promote(by="test", to="enforcement", force=True)
    registry = IssuerRegistry(lambda _: issuer(store, leeway_s=10), lookup_timeout_s=60.0, workers=1)
    if later:
        registry.verify(token(NOW_S, "earlier"), NOW_S)
    registry.rollout = policy
    made = token(NOW_S, "one")
    codes = []
    for _ in range(3800 // 50):
        codes.append(registry.decide(made, partner="late", now=int(clock.time())).code)
        clock.advance(50)
    assert codes[0] == "ok"
    assert codes.count("ok") == 1
    assert codes[3000 // 50] == "replayed"
    assert codes[-1] == "expired"
