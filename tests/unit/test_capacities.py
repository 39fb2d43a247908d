"""Bounds of what is kept and of what is taken: at each of them, one below and one above."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from issuing_world import START_S, TIMING, life_cycle

from rapidjws import ConfigurationError, JWKSet, RapidJWSError
from rapidjws.authz.delegation import DEPTH_MAX, chain_of
from rapidjws.issuing.key_checks import check_algorithms, check_usable
from rapidjws.jwt import registry_lookups
from rapidjws.jwt.registry_entries import EntryTable
from rapidjws.jwt.registry_lookups import NAME_MAX_CHARS, UNKNOWN, LookupBudget, Lookups
from rapidjws.jwt.registry_tables import SharedPrecomputedKeys, TableBudget
from rapidjws.jwt.skew import SkewMeter
from rapidjws.jwt.waiting import checked_wait_s, refresh_of
from rapidjws.rollout.guardrails import GuardRails, _span
from rapidjws.sidecar.change_bus import ChangeBus
from rapidjws.stores import RevocationFile, revocation_file
from rapidjws.testing import FakeClock
from rapidjws.verify.protocols import no_events
from rapidjws.verify.revocations import Revocation


@pytest.fixture(name="bus")
def _bus() -> Iterator[ChangeBus]:
    bus, before = ChangeBus(1), signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # it wakes this process
    yield bus
    bus.close()
    signal.signal(signal.SIGUSR1, before)


def test_a_change_is_counted_under_the_lock_of_all_processes(bus: ChangeBus) -> None:
    """While another process holds the lock nothing is counted: two at once would count as one."""
    read, write = os.pipe()
    with bus._lock:
        child = os.fork()
        if not child:
            os.write(write, b"before")
            bus.announce("keys", 1)
            os.write(write, b"after")
            os._exit(0)
        assert os.read(read, 6) == b"before"
        assert not select.select([read], [], [], 0.3)[0]
        assert not any(bus.counters())
    assert os.read(read, 5) == b"after"
    assert os.waitpid(child, 0)[1] == 0
    assert any(bus.counters())
    os.close(read)
    os.close(write)


def test_the_longest_lag_stays_and_none_lies_in_the_future(bus: ChangeBus) -> None:
    """Of three changes the longest counts; one that a faster clock dates in the future has no lag."""
    for since_s in (-500, -5, 0, 1000):
        bus.announce("keys", time.monotonic_ns() + since_s * 10**9)
        bus.note_applied(0, bus.counters())
    (worker,) = bus.workers()
    assert worker.lag_s == 0
    assert worker.longest_lag_s >= 500


def test_who_took_over_the_last_change_is_not_behind(bus: ChangeBus) -> None:
    """However long ago it was; who has not is, since then."""
    before = bus.counters()
    bus.announce("keys", time.monotonic_ns() - 50 * 10**9)
    bus.note_applied(0, before)
    assert bus.behind_s(bus.workers()[0]) >= 50
    bus.note_applied(0, bus.counters())
    assert bus.behind_s(bus.workers()[0]) == 0


def test_a_list_that_another_wrote_and_that_vanished_lifts_nothing(tmp_path: Path) -> None:
    """Who has only read it refuses to find none where there was one."""
    path = tmp_path / "revocations.json"
    RevocationFile(path).add(Revocation(kid="k"))
    reader = RevocationFile(path)
    assert len(reader.load()) == 1
    path.unlink()
    with pytest.raises(RapidJWSError, match="no file any more"):
        reader.load()


def test_a_look_that_fails_is_followed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the system says of the file, it is looked at again."""
    calls: list[Any] = []

    class Watched:
        """The scheduler's place, as far as the store asks it."""

        members: ClassVar[set[Any]] = set()

        @staticmethod
        def call_at(_: float, call: Any) -> None:
            """Note what is to be called."""
            calls.append(call)

    def fails() -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(revocation_file, "scheduler", Watched)
    store = RevocationFile(tmp_path / "revocations.json")
    store._is_behind = True
    monkeypatch.setattr(store, "_report", fails)
    with pytest.raises(OSError, match="Input"):
        store._look()
    assert calls == [store._look]


@pytest.mark.parametrize(("wait_s", "is_taken"), [(-0.1, False), (0, True), (60.0, True), (60.1, False)])
def test_a_wait_at_its_bounds(wait_s: float, is_taken: bool) -> None:
    """From nothing to a minute."""
    if is_taken:
        assert checked_wait_s(wait_s) == wait_s
    else:
        with pytest.raises(ConfigurationError):
            checked_wait_s(wait_s)


@pytest.mark.parametrize(("delay_s", "is_waited_for"), [(1.0, True), (1.5, False), (None, False)])
def test_a_refresh_that_nobody_waits_for_is_given_up(delay_s: float | None, is_waited_for: bool) -> None:
    """One that is due within the bound is waited for; another one's future is cancelled, not left behind."""
    refresh: Future[None] = Future()
    source: Any = SimpleNamespace(
        next_answer=lambda: refresh,
        state=lambda: SimpleNamespace(keys=JWKSet(())),
        unknown_kid=lambda _: delay_s,
    )
    snapshot: Any = SimpleNamespace(unverified_issuer_and_kid=lambda _: ("i", "k"))
    found = refresh_of(lambda _: source, snapshot, b"", 1.0)
    assert (found is refresh, refresh.cancelled()) == (is_waited_for, not is_waited_for)


def test_percentiles_of_a_clock() -> None:
    """Of a hundred tokens the sixth, the 51st and the 96th, as they are sorted; what is no number is none."""
    meter = SkewMeter()
    for value in range(100):
        meter.add(1000 + value, 1000 * 10**9)
    for value in (True, "7", None):
        meter.add(value, 0)
    assert meter.read() == (100, 5.0, 50.0, 95.0, 99.0)


def test_guard_rails_at_their_bounds() -> None:
    """Rates from 0 to 1 and windows from an hour on; a window is named as long as it is."""
    assert GuardRails(max_error_rate=0, rollback_error_rate=1, window_s=3600, min_evidence=0).window_s == 3600
    for wrong in (
        {"max_error_rate": -0.01},
        {"max_error_rate": 1.01},
        {"rollback_error_rate": 1.01},
        {"window_s": 3599},
        {"min_evidence": -1},
    ):
        with pytest.raises(ConfigurationError):
            GuardRails(**wrong)  # type: ignore[arg-type]
    words = [_span(seconds) for seconds in (3600, 86_400, 90_000, 172_800)]
    assert words == ["an hour", "a day", "25 hours", "2 days"]


@pytest.mark.parametrize(
    ("actors", "is_read"), [(DEPTH_MAX - 1, True), (DEPTH_MAX, True), (DEPTH_MAX + 1, False)]
)
def test_a_chain_of_actors_at_its_longest(actors: int, is_read: bool) -> None:
    """A longer one is malformed."""
    claims: dict[str, Any] = {"iss": "i"}
    for number in range(actors):
        claims = {"iss": "i", "act": {"sub": str(number), **{k: v for k, v in claims.items() if k == "act"}}}
    found = chain_of(claims)
    assert (None if found is None else len(found)) == (actors if is_read else None)


def test_algorithms_of_an_issuer_stand_once_each() -> None:
    """Twice the same would be two keys of it."""
    check_algorithms(("ES256", "EdDSA"), {})
    for wrong in ((), ("ES256", "ES256"), ("HS256",)):
        with pytest.raises(ConfigurationError):
            check_algorithms(wrong, {})


def test_a_key_that_signs_already_is_not_tried_again() -> None:
    """A signing service that is away for a moment keeps no change from being made beside its key."""
    clock = FakeClock(START_S)
    issuer = life_cycle(clock)
    for _ in range(2):
        issuer.tick()
        clock.advance(TIMING.before_s)
    state = issuer.state()
    assert list(state.in_stage("active"))
    check_usable(None, state, state)  # type: ignore[arg-type]


def lookups(per_minute: int = 100) -> Lookups:
    """Return look-ups of which none begins: as many as may run do."""
    made = Lookups(
        lambda _: None,
        lambda *_: None,  # type: ignore[arg-type,return-value]
        EntryTable(10),
        unknown_per_minute=per_minute,
        unknown_ttl_s=60.0,
        events=no_events,
        is_configured=lambda _: False,
    )
    made._running = registry_lookups.CONCURRENT
    return made


def test_names_at_their_longest_are_looked_up() -> None:
    """A longer one, or none, is no issuer of anybody."""
    asked = [lookups().request("x" * chars, is_known=False) for chars in (0, 1, NAME_MAX_CHARS)]
    assert [isinstance(one, Future) for one in asked] == [False, True, True]
    assert lookups().request("x" * (NAME_MAX_CHARS + 1), is_known=False) == UNKNOWN


def test_as_many_look_ups_wait_as_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused, of names that are known and of others apart."""
    monkeypatch.setattr(registry_lookups, "QUEUED_MAX", 2)
    made = lookups()
    asked = [made.request(str(number), is_known=False) for number in range(3)]
    assert [isinstance(one, Future) for one in asked] == [True, True, False]
    assert isinstance(made.request("known", is_known=True), Future)
    assert made.refused == 1


def test_strangers_have_half_of_the_look_ups() -> None:
    """One less and the next begins."""
    made = lookups()
    made.request("stranger", is_known=False)
    made._running = made._running_strangers = registry_lookups.CONCURRENT // 2
    assert made._next() is None
    made._running_strangers -= 1
    assert made._next() is not None


def test_the_names_without_an_issuer_that_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as may be; one more drops the one that was asked for longest ago."""
    monkeypatch.setattr(registry_lookups, "REMEMBERED_MAX", 2)
    made = lookups()
    for name in ("a", "b", "a"):
        made._remember(name, UNKNOWN, 60.0)
    assert [made.request(name, is_known=False) for name in "ab"] == [UNKNOWN, UNKNOWN]
    made._remember("c", UNKNOWN, 60.0)
    assert isinstance(made.request("b", is_known=False), Future)
    assert made.request("a", is_known=False) == UNKNOWN


def test_what_is_given_back_is_never_more_than_there_was() -> None:
    """A budget that grew by issuers that were found would let strangers look up more in one minute."""
    budget = LookupBudget(2)
    budget._at_s = time.monotonic() + 3600  # no minute of it passes here
    budget.give_back()
    assert budget._left == 2


def test_who_shares_a_budget_that_was_passed_has_what_he_uses() -> None:
    """Tables that two built at once may pass it: the next one builds nothing, and drops none for that."""
    budget = TableBudget(1000)
    keys = SharedPrecomputedKeys(budget, "auto", 1)
    budget.take(1500, tables=2)
    assert keys.budget_bytes == keys.used_bytes
    budget.take(-600, tables=-1)
    assert keys.budget_bytes == keys.used_bytes + 100
