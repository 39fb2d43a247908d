"""What an unknown kid may cause: cool-down, budgets of a source and of all, bounded memory."""

from __future__ import annotations

from pathlib import Path

from issuers import now_s, setup, wait_for

from rapidjws import Engine, Issuer
from rapidjws.keys import Answer, FetchFailed, RemoteJWKS, Transport, UnknownKids
from rapidjws.keys.fetch import HttpsFetch
from rapidjws.keys.refresh_limiter import REQUESTED_MAX, Budget, RefreshLimiter
from rapidjws.testing import FakeClock, FakeIssuer


def gate_of(clock: FakeClock, shared: Budget | None = None, **rules: float) -> RefreshLimiter:
    """Make a gate on a clock of the test's own."""
    return RefreshLimiter(UnknownKids(**rules), clock.monotonic, shared or Budget(1000, 1.0))  # type: ignore[arg-type]


def test_the_first_asks_and_the_rest_join() -> None:
    """The first unknown kid sets the time of a refresh; others before it change nothing."""
    clock = FakeClock()
    gate = gate_of(clock)
    assert gate.request("a") == (clock.monotonic(), True)
    assert gate.request("b") == (clock.monotonic(), False)
    assert set(gate.begin_refresh(by_unknown_kid=True).values()) == {"a", "b"}
    assert gate.due is None


def test_the_cooldown_counts_from_any_fetch() -> None:
    """After a fetch of whatever cause, the next one for an unknown kid is a cool-down later."""
    for by_unknown_kid in (False, True):
        clock = FakeClock()
        gate = gate_of(clock)
        gate.begin_refresh(by_unknown_kid=by_unknown_kid)
        clock.advance(10)
        assert gate.request("a") == (clock.monotonic() + 20, True)


def test_a_kid_that_was_absent_asks_again_only_later() -> None:
    """Absence is remembered for its time and no longer, and forgotten when a change is announced."""
    clock = FakeClock()
    gate = gate_of(clock, cooldown_s=1)
    gate.request("a")
    gate.remember_missing(gate.begin_refresh(by_unknown_kid=True))
    assert gate.request("a") == (None, False)
    clock.advance(301)
    assert gate.request("a")[1]
    gate.remember_missing(gate.begin_refresh(by_unknown_kid=True))
    gate.forget()
    assert gate.request("a")[1]


def test_memory_is_bounded() -> None:
    """Neither the kids asked for nor those found absent grow past their bounds."""
    clock = FakeClock()
    gate = gate_of(clock, negative_max=100)
    for turn in range(10):
        for number in range(1000):
            gate.request(f"{turn}-{number}")
        asked = gate.begin_refresh(by_unknown_kid=True)
        assert len(asked) == REQUESTED_MAX
        gate.remember_missing(asked)
    assert len(gate) <= 100


def test_what_a_fetch_brought_meanwhile_is_taken_back() -> None:
    """A kid asked for during the fetch that brings it causes no further one."""
    clock = FakeClock()
    gate = gate_of(clock)
    gate.request("a")
    gate.forget_found({"a"})
    assert gate.due is None
    gate.request("a")
    gate.request("b")
    gate.forget_found({"a"})
    assert gate.due is not None


def test_a_used_up_budget_spreads_refreshes() -> None:
    """A source's own budget, and that of all, space out what unknown kids cause; they fill again."""
    for own, shared in ((2, 1000), (1000, 2)):
        clock = FakeClock()
        budget = Budget(shared, 3600.0)
        gate = gate_of(clock, budget, cooldown_s=1, budget=own, budget_period_s=3600.0)
        waits = []
        for number in range(4):
            due, _ = gate.request(str(number))
            assert due is not None
            waits.append(due - clock.monotonic())
            clock.advance(due - clock.monotonic())
            gate.begin_refresh(by_unknown_kid=True)
        assert waits[1] <= 1.001
        assert waits[3] > 1000
        clock.advance(10_000)
        assert budget.wait_s(clock.monotonic()) == 0


def test_workers_share_the_last_good_set(tmp_path: Path) -> None:
    """A worker whose fetch fails takes over what another worker fetched meanwhile."""
    kept = tmp_path / "keys.json"
    with setup(source={"last_good": kept}, fresh={"retry_min_s": 0.05, "retry_max_s": 0.1}) as first:
        first.ready()
        trust, failing = Transport(ca=first.issuer.ca_pem), [False]
        fetch = HttpsFetch(trust)

        def may_fail(url: str, etag: str | None) -> Answer:
            if failing[0]:
                raise FetchFailed("connect")
            return fetch(url, etag)

        second = RemoteJWKS(first.issuer.url, last_good=kept, fetch=may_fail)
        assert second.refresh()
        failing[0] = True
        kid = first.issuer.rotate()
        assert first.source.refresh()
        wait_for(lambda: kid in kept.read_text())
        second._invalidated_at = None
        wait_for(lambda: second.refresh(2) or kid in second.status().kids)
        assert kid in second.status().kids


def test_skew_is_measured_on_verified_tokens() -> None:
    """The distribution of iat minus now is there for an issuer whose clock is ahead, and None without."""
    issuer = FakeIssuer("https://a.example", "ES256")
    rules = Issuer(issuer.iss, keys=issuer.jwks, algorithms=["ES256"], audience=issuer.audience)
    now = now_s()
    tokens = [issuer.token(issuer.claims(now + 20, jti=str(number))) for number in range(40)]
    measuring = Engine(rules, skew_every=2)
    measuring.verify_many(tokens, now=now)
    found = measuring.skew(issuer.iss)
    assert found is not None
    assert (found.tokens, found.p5_s, found.median_s, found.max_s) == (20, 20, 20, 20)
    plain = Engine(rules)
    plain.verify_many(tokens, now=now)
    assert plain.skew(issuer.iss) is None


def test_what_unknown_kids_cause_ends_with_the_source() -> None:
    """A source that nobody holds is gone, timer or not."""
    import gc
    import weakref

    with setup() as at:
        at.ready()
        source = weakref.ref(at.source)
        del at.source, at.engine
        wait_for(lambda: gc.collect() is not None and source() is None)
