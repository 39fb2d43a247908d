"""The stages of an issuer's keys: when they change, who changes them, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from issuing_world import START_S, TIMING, CountingMaker, life_cycle, pair

from rapidjws import RapidJWSError
from rapidjws.issuing import (
    FileStateStore,
    FreezeWindow,
    IssuingState,
    KeyTiming,
    LocalKeyMaker,
    MemoryStateStore,
    Schedule,
    SigningKey,
    transitions,
)
from rapidjws.testing import FakeClock


def code_of(call: object, *arguments: object, **named: object) -> str:
    """Return the code of the error that a call raises."""
    with pytest.raises(RapidJWSError) as caught:
        call(*arguments, **named)  # type: ignore[operator]
    return caught.value.code


def stages(state: IssuingState) -> list[str]:
    """Return each key's stage, oldest first."""
    return [one.stage for one in state.keys]


@pytest.mark.parametrize(
    ("settings", "sum_shown"),
    [
        ({"publish_slack_s": 24.9}, "5 + 2 x clock_skew_s 10 = 25"),
        ({"publish_slack_s": 60, "publish_before_s": 359}, "300 + publish_slack_s 60 = 360"),
        ({"keep_after_s": 909}, "600 + max-age 300 + clock_skew_s 10 = 910"),
        ({"jwks_max_age_s": 3, "keep_after_s": 620}, "600 + max-age 35 + clock_skew_s 10 = 645"),
    ],
)
def test_unsafe_times_are_refused_with_their_sum(settings: dict[str, float], sum_shown: str) -> None:
    """Times under which a key could sign unknown, or leave too early, are refused, the sum in the message."""
    base = {"jwks_max_age_s": 300, "token_lifetime_s": 600, "clock_skew_s": 10, "state_max_age_s": 5}
    with pytest.raises(RapidJWSError) as caught:
        KeyTiming(**{**base, **settings})
    assert caught.value.code == "key_timing_unsafe"
    assert sum_shown in str(caught.value)


def test_a_schedule_quicker_than_publication_is_refused() -> None:
    """A schedule that would promote keys that are not ready is refused at construction."""
    assert code_of(life_cycle, schedule=Schedule("every 5 minutes")) == "key_timing_unsafe"
    life_cycle(schedule=Schedule("every 6 minutes"))


def test_keys_go_through_their_stages_at_their_times() -> None:
    """A key is next, then active, retired and removed, each not a moment before its time."""
    clock, maker = FakeClock(START_S), CountingMaker()
    issuer = life_cycle(clock, maker=maker, schedule=Schedule("every 1 hour"))
    issuer.tick()
    assert stages(issuer.state()) == ["next"]
    assert code_of(issuer.signing_key) == "no_signing_key"
    clock.advance(TIMING.before_s - 0.01)
    issuer.tick()
    assert stages(issuer.state()) == ["next"]
    clock.advance(0.01)
    issuer.tick()
    assert stages(issuer.state()) == ["active", "next"]
    assert issuer.signing_key().kid == "es256-0"
    clock.advance(3599)
    issuer.tick()
    assert stages(issuer.state()) == ["active", "next"]
    clock.advance(1)
    issuer.tick()
    assert stages(issuer.state()) == ["retired", "active", "next"]
    assert issuer.signing_key().kid == "es256-1"
    clock.advance(TIMING.after_s - 0.01)
    issuer.tick()
    assert stages(issuer.state())[0] == "retired"
    clock.advance(0.02)
    issuer.tick()
    assert stages(issuer.state())[0] == "removed"
    assert maker.removed == ["es256-0"]


def test_a_promotion_by_hand_waits_for_the_caches() -> None:
    """A next key that caches may not know is refused with the arithmetic, and the state stays as it was."""
    clock = FakeClock(START_S)
    issuer = life_cycle(clock)
    issuer.tick()
    clock.advance(TIMING.before_s)
    issuer.tick()
    before = issuer.state()
    with pytest.raises(RapidJWSError) as caught:
        issuer.promote()
    assert caught.value.code == "key_not_ready"
    assert f"+ {TIMING.before_s:.0f} s" in str(caught.value)
    assert issuer.state() == before
    clock.advance(TIMING.before_s)
    issuer.promote()
    assert issuer.signing_key().kid == "es256-1"
    assert code_of(issuer.promote) == "no_next_key"


def test_a_freeze_window_holds_promotions_but_no_emergency() -> None:
    """Inside a window neither schedule nor hand promotes; a tainted key is replaced all the same."""
    clock = FakeClock(START_S)
    window = FreezeWindow("2027-01-15T09:00:00+00:00/2027-01-15T20:00:00+00:00")  # START_S is 08:00 UTC
    issuer = life_cycle(clock, schedule=Schedule("every 1 hour", freezes=(window,)))
    issuer.tick()
    clock.advance(TIMING.before_s)
    issuer.tick()
    clock.advance(2 * 3600)
    issuer.tick()
    assert issuer.signing_key().kid == "es256-0"
    assert code_of(issuer.promote) == "key_frozen"
    issuer.taint("es256-0", "drill")
    assert issuer.signing_key().kid == "es256-1"
    assert [one.kid for one in issuer.state().published()] == ["es256-1"]


def test_a_tainted_key_is_replaced_in_the_same_change_or_not_at_all() -> None:
    """Where no next key is ready, an active key is not tainted half; told so, the unready one signs."""
    clock = FakeClock(START_S)
    issuer = life_cycle(clock)
    issuer.tick()
    clock.advance(TIMING.before_s)
    issuer.tick()
    before = issuer.state()
    assert code_of(issuer.taint, "es256-0", "leaked") == "key_not_ready"
    assert issuer.state() == before
    issuer.taint("es256-0", "leaked", unready=True)
    assert stages(issuer.state()) == ["tainted", "active"]
    assert issuer.state().key("es256-0").why == "leaked"
    assert code_of(issuer.taint, "nobody", "x") == "key_not_found"


def test_one_issuer_leads_until_its_lease_ends() -> None:
    """A second issuer is refused while the lease runs, clocks' difference added, and leads after it."""
    clock, store, maker = FakeClock(START_S), MemoryStateStore(), CountingMaker()
    first = life_cycle(clock, store=store, maker=maker, lease_s=15)
    second = life_cycle(clock, store=store, maker=maker, lease_s=15)
    first.tick()
    clock.advance(15 + 2 * TIMING.clock_skew_s - 0.01)
    assert code_of(second.tick) == "not_leader"
    clock.advance(0.02)
    second.tick()
    assert code_of(first.tick) == "not_leader"
    assert store.read().lease.term == 2  # type: ignore[union-attr]


def test_a_leader_that_slept_changes_nothing() -> None:
    """Of two changes made from one state, the later one is refused whole."""
    store = MemoryStateStore()
    issuer = life_cycle(store=store)
    issuer.tick()
    old = store.read()
    issuer.taint("es256-0", "test")
    newer = store.read()
    assert code_of(store.swap, old, replace(old, revision=old.revision + 1)) == "key_state_changed"
    assert store.read() == newer


def test_a_clock_that_ran_back_changes_nothing() -> None:
    """A clock further behind the last change than two clocks may differ is an error, and no key changes."""
    clock = FakeClock(START_S)
    issuer = life_cycle(clock)
    issuer.tick()
    before = issuer.state()
    clock.step(-2 * TIMING.clock_skew_s - 1)
    assert code_of(issuer.tick) == "issuing_clock"
    assert code_of(issuer.taint, "es256-0", "x") == "issuing_clock"
    assert issuer.state() == before


def test_a_clock_unlike_the_stores_leads_nobody() -> None:
    """An issuer whose clock differs from that of the store by more than allowed changes nothing."""

    class Dated(MemoryStateStore):
        """A store with a clock."""

        def time_s(self) -> float:
            """Return its time."""
            return START_S

    clock = FakeClock(START_S + TIMING.clock_skew_s + 1)
    issuer = life_cycle(clock, store=Dated())
    assert code_of(issuer.tick) == "issuing_clock"
    assert issuer.state() == IssuingState()


def test_no_kid_and_no_key_comes_twice() -> None:
    """A kid or a key that the state has, removed ones among them, is refused."""
    issuer = life_cycle()
    issuer.tick()
    issuer.taint("es256-0", "x")
    state = issuer.state()
    first = state.keys[0]
    other = replace(first, jwk=pair("ES256", 1).public().as_dict())
    for twice in (other, replace(first, kid="another")):
        assert code_of(transitions.publish, state, twice) == "kid_in_use"
    fresh = replace(other, kid="another", stage="active")
    assert transitions.publish(state, fresh).keys[-1].stage == "next"


def test_two_algorithms_sign_side_by_side_and_the_old_one_ends() -> None:
    """During a migration each audience has its algorithm; the old one's keys are retired when it is gone."""
    clock, store, maker = FakeClock(START_S), MemoryStateStore(), CountingMaker()
    both = life_cycle(
        clock, store=store, maker=maker, algorithms=("ES384", "ES256"), algorithm_of={"new": "ES256"}
    )
    both.tick()
    clock.advance(TIMING.before_s)
    both.tick()
    assert both.signing_key("old").alg == "ES384"
    assert both.signing_key("new").alg == "ES256"
    clock.advance(60)
    after = life_cycle(clock, store=store, maker=maker, algorithms=("ES256",))
    after.tick()
    assert {one.alg for one in after.state().in_stage("active")} == {"ES256"}
    assert [one.alg for one in after.state().in_stage("retired")] == ["ES384"]
    assert after.signing_key("old").alg == "ES256"


def test_an_issuer_signs_by_no_state_older_than_allowed() -> None:
    """While the store fails an issuer signs until its last reading is too old, and not longer."""

    class Failing(MemoryStateStore):
        """A store that can be switched off."""

        fails = False

        def read(self) -> IssuingState:
            """Return the state, or fail."""
            if self.fails:
                raise RapidJWSError("key_state_unavailable")
            return super().read()

    clock, store = FakeClock(START_S), Failing()
    issuer = life_cycle(clock, store=store)
    issuer.tick()
    clock.advance(TIMING.before_s)
    issuer.tick()
    store.fails = True
    for _ in range(5):
        assert issuer.signing_key().kid == "es256-0"
        clock.advance(TIMING.state_max_age_s / 5)
    clock.advance(0.01)
    assert code_of(issuer.signing_key) == "no_signing_key"


def test_a_file_of_another_version_or_cut_off_is_refused(tmp_path: Path) -> None:
    """What this version would lose or cannot read is an error; the file stays as it is."""
    store = FileStateStore(tmp_path / "keys.json")
    issuer = life_cycle(store=store)
    issuer.tick()
    good = json.loads(store.path.read_bytes())
    bad = [
        {**good, "format": 2},
        {**good, "of_a_later_version": 1},
        {**good, "keys": [*good["keys"], *good["keys"]]},
        {**good, "keys": [{**good["keys"][0], "stage": "sleeping"}]},
        {**good, "revision": -1},
        {**good, "keys": [{**good["keys"][0], "jwk": pair("ES256", 0).as_dict(private=True)}]},
    ]
    for one in [*(json.dumps(whole).encode() for whole in bad), b"", b"[]", store.path.read_bytes()[:-40]]:
        store.path.write_bytes(one)
        assert code_of(store.read) == "key_state_unreadable", one
        assert code_of(issuer.tick) == "key_state_unreadable"
        assert store.path.read_bytes() == one
    store.path.unlink()
    assert code_of(store.read) == "key_state_unreadable"  # a file that vanished is no new beginning


def test_strangers_may_not_write_the_state(tmp_path: Path) -> None:
    """A file that others may write to is not trusted."""
    store = FileStateStore(tmp_path / "keys.json")
    life_cycle(store=store).tick()
    store.path.chmod(0o666)
    assert code_of(store.read) == "key_state_unavailable"


def test_of_two_processes_one_swap_wins(tmp_path: Path) -> None:
    """Two stores of one file that swap from one state: the second is refused and changes nothing."""
    stores = [FileStateStore(tmp_path / "keys.json") for _ in range(2)]
    before = stores[0].read()
    stores[1].read()
    stores[0].swap(before, IssuingState(revision=1, written_at_s=5.0))
    assert code_of(stores[1].swap, before, IssuingState(revision=1)) == "key_state_changed"
    assert stores[1].read().written_at_s == 5.0


def test_private_keys_are_files_of_their_owner_alone(tmp_path: Path) -> None:
    """A local key signs; readable by others it is refused, and no message holds any of it."""
    maker = LocalKeyMaker(tmp_path)
    made = maker.make("ES256")
    key = SigningKey(kid=str(made.public.kid), alg="ES256", stage="next", jwk=made.public.as_dict(),
                     reference=made.reference, published_at_s=1.0)  # fmt: skip
    path = tmp_path / made.reference
    secret = json.loads(path.read_text())["d"]
    assert path.stat().st_mode & 0o077 == 0
    assert len(maker.signer(key).sign(b"x")) == 64
    path.chmod(0o640)
    with pytest.raises(RapidJWSError) as caught:
        maker.signer(key)
    assert caught.value.code == "key_readable_by_others"
    assert secret not in f"{caught.value!r}{caught.value}{maker!r}{key!r}{made!r}"
    path.chmod(0o600)
    path.write_text(json.dumps(pair("ES256", 7).as_dict(private=True)))
    assert code_of(maker.signer, key) == "key_malformed"
    maker.remove(key)
    maker.remove(key)
    assert not path.exists()
    assert code_of(maker.remove, replace(key, reference="../x")) == "configuration_invalid"


@pytest.mark.parametrize(
    ("text", "since", "due"),
    [
        ("every 30 days at 03:00 UTC", "2026-01-01T03:00:07", "2026-01-31T03:00:00"),
        ("every day at 23:59 UTC", "2026-02-28T00:00:00", "2026-03-01T23:59:00"),
        ("every 2 weeks at 00:00 UTC", "2026-01-01T12:00:00", "2026-01-15T00:00:00"),
        ("every 12 hours", "2026-01-01T03:00:07", "2026-01-01T15:00:07"),
        ("every 10 seconds", "2026-01-01T00:00:00", "2026-01-01T00:00:10"),
    ],
)
def test_schedules_count_days_and_seconds(text: str, since: str, due: str) -> None:
    """A schedule by days is due at its time of the day; one by hours after just so long."""
    assert _iso(Schedule(text).due_s(_s(since))) == due


@pytest.mark.parametrize(
    "text",
    [
        "",
        "every",
        "every 0 days",
        "30 days",
        "every 3 hours at 03:00 UTC",
        "every day at 24:00 UTC",
        "every day at 03:00",
        "every -1 days",
    ],
)
def test_other_schedules_are_refused(text: str) -> None:
    """What is no schedule is refused."""
    assert code_of(Schedule, text) == "configuration_invalid"


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "2026-01-01/2026-01-02", "2026-01-02T00:00Z/2026-01-01T00:00Z",
     "xyz 10:00 - mon 11:00 UTC",
     "fri 10:00 - fri 10:00 UTC", "fri 25:00 - sat 10:00 UTC"],
)  # fmt: skip
def test_other_freeze_windows_are_refused(text: str) -> None:
    """What is no window is refused, times without a zone among it."""
    assert code_of(FreezeWindow, text) == "configuration_invalid"


def test_what_is_due_in_a_freeze_comes_at_its_end() -> None:
    """Weekly windows wrap over the week's end, one window may lead into another, none may fill the week."""
    weekend = FreezeWindow("fri 16:00 - mon 08:00 UTC")
    holidays = FreezeWindow("2026-12-21T08:00Z/2027-01-04T06:00Z")
    schedule = Schedule("every day at 03:00 UTC", freezes=(weekend, holidays))
    assert _iso(schedule.due_s(_s("2026-12-18T12:00:00"))) == "2027-01-04T08:00:00"  # a Saturday
    assert _iso(schedule.due_s(_s("2026-12-15T12:00:00"))) == "2026-12-16T03:00:00"
    halves = (FreezeWindow("mon 00:00 - thu 12:00 UTC"), FreezeWindow("thu 12:00 - mon 00:00 UTC"))
    assert code_of(Schedule, "every day", freezes=halves) == "configuration_invalid"


def test_jitter_is_the_same_for_all_issuers_and_bounded() -> None:
    """Jitter comes of the kid: equal for all who ask, between none and the most."""
    schedule = Schedule("every 1 day", jitter_s=600)
    late = {schedule.due_s(0.0, f"kid{number}") - 86400 for number in range(50)}
    assert len(late) == 50
    assert all(0 <= one < 600 for one in late)
    assert schedule.due_s(0.0, "kid1") == Schedule("every 1 day", jitter_s=600).due_s(0.0, "kid1")


def _s(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(f"{text}+00:00").timestamp()


def _iso(at_s: float) -> str:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(at_s, timezone.utc).isoformat()[:19]
