"""Entries that are remembered for a while: uses, revocations, changes and permits, at their bounds."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest
import tokens
from listed_revocations import ListedRevocations

from rapidjws import ConfigurationError, Engine
from rapidjws.authz.amounts import DIGITS_MAX, Limit, amount_of
from rapidjws.authz.facts import Facts
from rapidjws.authz.request import HTTPRequest
from rapidjws.authz.time_window import TimeWindow
from rapidjws.jws.verifier import Verifier
from rapidjws.stores import MemoryReplayStore, revocation_entries, unconfirmed_uses
from rapidjws.stores.revocation_entries import ENTRY_MAX_BYTES, change_of, entry_number
from rapidjws.stores.unconfirmed_uses import TAKEN_BACK_AT_ONCE, TRIES_MAX, UnconfirmedUses
from rapidjws.testing import make_key
from rapidjws.verify.chains import slot_of
from rapidjws.verify.key_table import prepare
from rapidjws.verify.ready_waiters import checked_timeout_s
from rapidjws.verify.revocations import Revocation


def test_the_uses_without_an_answer_that_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as may be: one more drops the oldest, which is taken back no more."""
    monkeypatch.setattr(unconfirmed_uses, "KEPT_MAX", 2)
    uses = UnconfirmedUses()
    uses.note(uses.mark([b"a", b"b"]))
    assert len(uses._unanswered) == 2
    uses.note(uses.mark([b"c"]))
    assert list(uses._unanswered) == [b"b", b"c"]
    assert uses.withdraw([b"a", b"b", b"c"])
    uses.note(uses.mark([b"d"]))
    uses.withdraw([b"d"])
    assert [key for key, _ in uses.due()] == [b"b", b"c"]


def test_a_use_is_taken_back_a_few_times() -> None:
    """So often and no more, unless the store says before that it is gone."""
    uses = UnconfirmedUses()
    uses.note(uses.mark([b"a", b"b"]))
    uses.withdraw([b"a", b"b"])
    found = [uses.due() for _ in range(TRIES_MAX - 1)]
    assert [[key for key, _ in one] for one in found] == [[b"a", b"b"]] * (TRIES_MAX - 1)
    uses.taken_back(found[0][:1])
    assert [key for key, _ in uses.due()] == [b"b"]
    assert uses.due() == []


def test_so_many_uses_are_taken_back_at_once() -> None:
    """A backlog lengthens no caller's round trip: the rest comes with the next ones."""
    uses = UnconfirmedUses()
    keys = [bytes([number]) for number in range(TAKEN_BACK_AT_ONCE + 1)]
    uses.note(uses.mark(keys))
    uses.withdraw(keys)
    assert len(uses.due()) == TAKEN_BACK_AT_ONCE
    assert uses.due()[0][0] == keys[-1]


def test_a_later_use_of_a_token_is_not_taken_back_with_the_older_one() -> None:
    """Once a token is tried again, the mark of its first use is forgotten."""
    uses = UnconfirmedUses()
    uses.note(uses.mark([b"a"]))
    uses.mark([b"a"])
    assert not uses.withdraw([b"a"])
    assert uses.due() == []


def _entry(**changes: Any) -> dict[bytes, bytes]:
    row = {"verb": "revoke", "at_s": 1.0, "kid": "k", **changes}
    return {b"change": json.dumps(row).encode()}


def test_an_entry_of_revocations_at_its_largest() -> None:
    """One octet more is none."""
    row = _entry()[b"change"]
    padded = {b"change": row + b" " * (ENTRY_MAX_BYTES - len(row))}
    found = change_of(padded)
    assert found is not None
    assert found.revocation == Revocation(kid="k")
    with pytest.raises(ValueError, match="too long"):
        change_of({b"change": padded[b"change"] + b" "})


@pytest.mark.parametrize("at_s", [math.inf, -math.inf, math.nan])
def test_an_entry_of_no_moment_is_none(at_s: float) -> None:
    """What is no time sorts nowhere."""
    with pytest.raises(ValueError, match="no change"):
        change_of(_entry(at_s=at_s))


def test_entries_of_one_millisecond_have_their_order() -> None:
    """The second number counts, as a number."""
    assert entry_number(b"5-10") > entry_number(b"5-9") > entry_number(b"5") == (5, 0)
    assert revocation_entries.Word(entry_number(b"6-0"), holds=True).at > entry_number(b"5-10")


@pytest.mark.parametrize(
    ("stepped_s", "passed_s", "is_fresh"),
    [(0, 99, False), (0, 100, True), (3, 100, False), (3, 102, False), (3, 103, True)],
)
def test_a_use_lives_by_both_clocks(stepped_s: int, passed_s: int, is_fresh: bool) -> None:
    """A clock that steps back makes it live as much longer, and no second less."""
    clock = _Both()
    store = MemoryReplayStore(clock=clock)
    assert store.record([(b"k" * 32, 100)]) == [True]
    clock.back_s = stepped_s
    clock.passed_s = passed_s
    assert store.record([(b"k" * 32, 100)]) == [is_fresh]


class _Both:
    """Two clocks, of which the one on the wall can be put back."""

    back_s = passed_s = 0

    def time(self) -> float:
        """Return the wall time."""
        return 2_000_000_000.0 + self.passed_s - self.back_s

    def monotonic(self) -> float:
        """Return the time that never steps."""
        return 1000.0 + self.passed_s


def test_a_leaf_serves_the_algorithm_it_was_prepared_for() -> None:
    """An RSA leaf that is known for RS256 is none yet for PS256."""
    leaf = make_key("RS256", kid="leaf").public()
    row = SimpleNamespace(by_kid={"leaf": (0,)}, prepared=(prepare(leaf, "RS256"),))
    snapshot: Any = SimpleNamespace(table=SimpleNamespace(issuers=[row], offsets=[5]))
    assert slot_of(snapshot, 0, leaf, "RS256") == 5
    assert slot_of(snapshot, 0, leaf, "PS256") is None


def test_what_a_store_has_taken_is_lifted_when_another_lifts_it() -> None:
    """Once it is kept there, it holds for as long as it is listed."""
    store = ListedRevocations()
    engine = Engine(tokens.issuer(), revocations=store)
    engine.revoke(kid="k")
    assert engine.revocations() == (Revocation(kid="k"),)
    store.listed.clear()
    engine._revocations_changed()
    assert engine.revocations() == ()


def test_a_change_that_did_not_come_into_force_is_listed_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a snapshot cannot be built, the list is as it was, and the next try is news."""
    engine = tokens.engine()

    def fails() -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(type(engine), "_rebuild", lambda _: fails())
        with pytest.raises(MemoryError):
            engine._set_revocations(lambda listed: (*listed, Revocation(kid="k")))
    assert engine.revocations() == ()


@pytest.mark.parametrize(("timeout_s", "is_taken"), [(-0.1, False), (0, True), (3600, True), (3600.1, False)])
def test_a_time_out_at_its_bounds(timeout_s: float, is_taken: bool) -> None:
    """From nothing to an hour."""
    if is_taken:
        assert checked_timeout_s(timeout_s) == timeout_s
    else:
        with pytest.raises(ConfigurationError):
            checked_timeout_s(timeout_s)


def test_a_window_of_time_whose_clock_steps_back() -> None:
    """What held for a minute is asked anew for an earlier one."""
    check = TimeWindow(start="08:00", end="09:00").check()
    moments = [8 * 3600 + 59 * 60, 9 * 3600, 8 * 3600 + 59 * 60, 7 * 3600 + 59 * 60 + 59.9, 8 * 3600]
    facts: list[Any] = [SimpleNamespace(now_s=now_s) for now_s in moments]
    assert [check(one) is None for one in facts] == [True, False, True, False, True]


def test_an_amount_of_the_most_characters() -> None:
    """One more is no amount."""
    assert amount_of("1" * DIGITS_MAX) is not None
    assert amount_of("1" * (DIGITS_MAX + 1)) is None


def test_content_bounds_no_amount_by_itself() -> None:
    """A Verifier's payload holds no claims: a maximum in it is the sender's own, not an issuer's."""
    key = make_key("ES256", kid="k")
    content = b'{"amount":"10","most":"100"}'
    token = tokens.sign(key, {"alg": "ES256", "kid": "k"}, content)
    verified = Verifier(key.public(), algorithms=["ES256"]).verify(token)
    check = Limit(at="/amount", maximum_claim="most").check()
    assert check(Facts(verified, HTTPRequest(method="POST", path="/"), None, 0.0, content)) is not None
