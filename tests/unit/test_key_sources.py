"""An engine and its key source: outage is not forgery, a swap is whole, and nothing waits unasked."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from rapidjws import Engine, Issuer, JWKSet, KeysUnavailable, Rejected, TokenCache, UnknownKey
from rapidjws.testing import FakeIssuer
from rapidjws.verify.protocols import Event, KeyState

NOW = int(time.time())


class ScriptedSource:
    """A source of keys as the test says."""

    def __init__(self, keys: JWKSet | None = None, code: str = "keys_unavailable") -> None:
        self.now = KeyState(keys=keys, code=code)
        self.asked: list[str] = []
        self.delay_s: float | None = 0.0
        self.waiting: list[Future[None]] = []
        self.changed: Any = None

    def state(self) -> KeyState:
        """Return what the test set."""
        return self.now

    def subscribe(self, changed: Any) -> None:
        """Keep the engine's method."""
        self.changed = changed

    def unknown_kid(self, kid: str) -> float | None:
        """Note the kid."""
        self.asked.append(kid)
        return self.delay_s

    def next_answer(self) -> Future[None]:
        """Give a future that the next change resolves."""
        future: Future[None] = Future()
        self.waiting.append(future)
        return future

    def change(self, state: KeyState) -> None:
        """Bring other keys."""
        self.now = state
        self.changed()
        for future in self.waiting:
            if not future.done():
                future.set_result(None)


@pytest.fixture(name="issuer", scope="module")
def _issuer() -> FakeIssuer:
    return FakeIssuer("https://a.example", "ES256", lifetime_s=86_400)


def engine_of(issuer: FakeIssuer, source: ScriptedSource, **settings: Any) -> Engine:
    """Make an engine with one issuer on a scripted source."""
    return Engine(
        Issuer(issuer.iss, keys=source, algorithms=issuer.algorithms, audience=issuer.audience), **settings
    )


@pytest.mark.parametrize("code", ["keys_unavailable", "keys_stale"])
def test_no_keys_is_indeterminate_never_unknown_kid(issuer: FakeIssuer, code: str) -> None:
    """Without keys every way in says that nothing is known, and readiness says no."""
    source = ScriptedSource(None, code)
    engine = engine_of(issuer, source)
    token = issuer.token(issuer.claims(NOW))
    with pytest.raises(KeysUnavailable) as refused:
        engine.verify(token)
    (many,) = engine.verify_many([token])
    with pytest.raises(KeysUnavailable) as awaited:
        asyncio.run(engine.averify(token))
    assert isinstance(many, Rejected)
    assert refused.value.code == many.code == awaited.value.code == code
    assert refused.value.outcome == "indeterminate"
    assert not engine.ready
    assert source.asked == []
    source.change(KeyState(keys=issuer.jwks))
    assert engine.verify(token).issuer == issuer.iss
    assert engine.ready


def test_an_outage_of_one_issuer_keeps_the_verdicts_of_another() -> None:
    """A's tokens are indeterminate while A has no keys, even under a kid that B has; B's verify."""
    a, b = (
        FakeIssuer("https://one.example/x", "ES256", lifetime_s=86_400),
        FakeIssuer("https://two.example/x", "ES256", lifetime_s=86_400),
    )
    source = ScriptedSource(a.jwks)
    engine = Engine(
        Issuer(a.iss, keys=source, algorithms=["ES256"], audience=a.audience),
        Issuer(b.iss, keys=b.jwks, algorithms=["ES256"], audience=b.audience),
    )
    token_a, token_b = a.token(a.claims(NOW)), b.token(b.claims(NOW))
    assert engine.verify(token_a).issuer == a.iss
    assert engine.verify(token_b).issuer == b.iss
    source.change(KeyState(keys=None))
    for _ in range(2):
        assert engine.verify(token_b).issuer == b.iss
        with pytest.raises(KeysUnavailable):
            engine.verify(token_a)


def test_an_unknown_kid_tells_the_source_and_does_not_wait(issuer: FakeIssuer) -> None:
    """The token gets its answer at once; the source learns the kid."""
    source = ScriptedSource(issuer.jwks)
    engine = engine_of(issuer, source)
    stranger = issuer.token(issuer.claims(NOW), header={"kid": "new"})
    with pytest.raises(UnknownKey) as refused:
        engine.verify(stranger)
    assert refused.value.code == "unknown_kid"
    assert source.asked == ["new"]


def test_waiting_for_a_refresh_is_bounded(issuer: FakeIssuer) -> None:
    """A caller that asks waits for the refresh up to its bound; without a refresh in sight not at all."""
    source = ScriptedSource(JWKSet())
    source.now = KeyState(keys=FakeIssuer("https://a.example/other", "ES256", lifetime_s=86_400).jwks)
    engine = engine_of(issuer, source)
    token = issuer.token(issuer.claims(NOW))
    threading.Timer(0.1, source.change, [KeyState(keys=issuer.jwks)]).start()
    assert engine.verify(token, wait_s=5).issuer == issuer.iss
    source.change(KeyState(keys=FakeIssuer("https://a.example/third", "ES256", lifetime_s=86_400).jwks))
    threading.Timer(0.1, source.change, [KeyState(keys=issuer.jwks)]).start()
    assert asyncio.run(engine.averify(token, wait_s=5)).issuer == issuer.iss
    source.change(KeyState(keys=FakeIssuer("https://a.example/fourth", "ES256", lifetime_s=86_400).jwks))
    source.delay_s = None
    started = time.monotonic()
    with pytest.raises(UnknownKey):
        engine.verify(token, wait_s=5)
    assert time.monotonic() - started < 1
    source.delay_s = 0.0
    with pytest.raises(UnknownKey):
        asyncio.run(engine.averify(token, wait_s=0.05))


def test_a_removed_kid_stops_at_the_swap_also_in_the_cache(issuer: FakeIssuer) -> None:
    """What the cache verified under the old keys is worth nothing under the new ones."""
    source = ScriptedSource(issuer.jwks)
    engine = engine_of(issuer, source, cache=TokenCache())
    token = issuer.token(issuer.claims(NOW))
    assert engine.verify(token).kid == engine.verify(token).kid
    source.change(KeyState(keys=FakeIssuer("https://a.example/next", "ES256", lifetime_s=86_400).jwks))
    with pytest.raises(UnknownKey):
        engine.verify(token)


def test_rotation_lag_is_reported_once_a_key(issuer: FakeIssuer) -> None:
    """The lag from first sight to first acceptance is an event, once, whatever swaps follow."""
    events: list[Event] = []
    source = ScriptedSource(FakeIssuer("https://a.example/zero", "ES256", lifetime_s=86_400).jwks)
    engine = engine_of(issuer, source, events=events.append)
    kid = issuer.jwks.keys[0].kid or ""
    token = issuer.token(issuer.claims(NOW))
    source.change(KeyState(keys=issuer.jwks, first_seen={kid: time.monotonic() - 2}))
    engine.verify(token)
    source.change(KeyState(keys=issuer.jwks, first_seen={kid: time.monotonic() - 9}))
    engine.verify_many([token])
    lags = [event for event in events if event.name == "rotation_lag"]
    assert [event.kid for event in lags] == [kid]
    assert 2 <= (lags[0].value or 0) < 4


def test_replace_issuers_is_one_swap_and_all_or_nothing(issuer: FakeIssuer) -> None:
    """A bad list of issuers changes nothing; a good one takes the place of all."""
    other = FakeIssuer("https://b.example", "ES256", lifetime_s=86_400)
    engine = Engine(Issuer(issuer.iss, keys=issuer.jwks, algorithms=["ES256"], audience=issuer.audience))
    mine = Issuer(issuer.iss, keys=issuer.jwks, algorithms=["ES256"], audience=issuer.audience)
    second = Issuer(other.iss, keys=other.jwks, algorithms=["ES256"], audience=other.audience)
    with pytest.raises(Exception, match="each iss once"):
        engine.replace_issuers(mine, second, mine)
    with pytest.raises(UnknownKey):
        engine.verify(other.token(other.claims(NOW)))
    engine.replace_issuers(mine, second)
    assert engine.verify(other.token(other.claims(NOW))).issuer == other.iss
    assert engine.verify(issuer.token(issuer.claims(NOW))).issuer == issuer.iss
    engine.replace_issuers(second)
    assert [one.iss for one in engine.issuers] == [other.iss]


def test_a_source_owns_its_issuers_keys(issuer: FakeIssuer) -> None:
    """Keys that come from a source cannot be replaced by hand."""
    engine = engine_of(issuer, ScriptedSource(issuer.jwks))
    with pytest.raises(Exception, match="configuration_invalid"):
        engine.replace_keys(issuer.iss, issuer.jwks)
