"""Faults that go on have few lines, and none is lost from the count."""

from __future__ import annotations

import logging

import pytest

from rapidjws.keys import Freshness, RemoteJWKS
from rapidjws.keys.fetch_failed import FetchFailed
from rapidjws.observe import EventLog
from rapidjws.observe.repeated_faults import FAULTS_MAX, REASONS_MAX, REMIND_S, RepeatedFaults
from rapidjws.verify.protocols import Event

ISS = "https://issuer.example"
KEY = ("fetch_failed", ISS)


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now_s


def test_first_other_reason_and_reminder() -> None:
    """The first of a fault, each new reason and a reminder have a line; those between are counted."""
    clock = Clock()
    faults = RepeatedFaults(clock)
    assert faults.seen(KEY, "timeout", 150.0) == 0
    assert [faults.seen(KEY, "timeout", 150.0) for _ in range(3)] == [None] * 3
    assert faults.seen(KEY, "refused", 150.0) == 3
    assert faults.seen(KEY, "timeout", 150.0) is None
    lines = []
    while clock.now_s < 1000.0 + REMIND_S:
        clock.now_s += 100.0
        lines.append(faults.seen(KEY, "refused", 150.0))
    assert lines == [None] * 5 + [6]
    ended = faults.ended(KEY)
    assert ended is not None
    assert (ended.lasted_s, ended.left_out) == (REMIND_S, 0)
    assert faults.ended(KEY) is None
    assert faults.seen(KEY, "timeout", 150.0) == 0


def test_a_fault_that_was_not_seen_for_a_while_begins_anew() -> None:
    """After a gap the next event has a line, with what had none before."""
    clock = Clock()
    faults = RepeatedFaults(clock)
    for right in (0, None):
        assert faults.seen(KEY, "timeout", 150.0) == right
    clock.now_s += 150.0
    assert faults.seen(KEY, "timeout", 150.0) is None
    clock.now_s += 150.1
    assert faults.seen(KEY, "timeout", 150.0) == 2


def test_what_is_remembered_is_bounded() -> None:
    """Neither issuers nor reasons grow without end."""
    faults = RepeatedFaults(Clock())
    for number in range(FAULTS_MAX + 10):
        assert faults.seen(("fetch_failed", str(number)), None, 150.0) == 0
    assert len(faults._open) == FAULTS_MAX
    lines = [faults.seen(KEY, str(number), 150.0) for number in range(2 * REASONS_MAX)]
    assert sum(one is not None for one in lines) == REASONS_MAX


def test_an_outage_is_logged_by_change_of_state(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand failed fetches are two lines, the second of which says that keys come again."""
    clock = Clock()
    log = EventLog(clock=clock)
    with caplog.at_level(logging.INFO, "rapidjws"):
        for _ in range(250):
            log(Event(name="fetch_failed", issuer=ISS, detail="timeout"))
            clock.now_s += 1.0
        log(Event(name="fetch_ok", issuer=ISS, value=0.1, detail="200"))
        log(Event(name="fetch_ok", issuer=ISS, value=0.1, detail="200"))
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(":")[0] for line in lines] == ["fetch_failed", "fetch_recovered"]
    assert "value=250.0" in lines[1]
    assert "left_out=249" in lines[1]


@pytest.mark.parametrize("longest_s", [None, 30.0])
def test_pauses_grow_with_an_outage(longest_s: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage is tried within retry_max_s; a long one at a twentieth of it, up to a bound that is set."""
    monkeypatch.setattr("rapidjws.keys.fetch_schedule._chance", lambda: 1.0)
    clock = Clock()

    class Both:
        """Both times."""

        def monotonic(self) -> float:
            """Return the time."""
            return clock.now_s

        def time(self) -> float:
            """Return the time."""
            return clock.now_s

    freshness = Freshness() if longest_s is None else Freshness(retry_outage_max_s=longest_s)
    source = RemoteJWKS("https://issuer.example/jwks", freshness=freshness, clock=Both())
    pauses = {}
    for lasts_s in (0.0, 1.0, 2.0, 3.0, 29.0, 60.0, 300.0, 600.0, 36_000.0):
        clock.now_s = 1000.0 + lasts_s
        source._note_end(FetchFailed("timeout"), by_unknown_kid=False)
        pauses[lasts_s] = round(source._next_at - clock.now_s, 3)
    whole = {
        0.0: 0.25, 1.0: 0.5, 2.0: 1.0, 3.0: 1.5, 29.0: 1.5, 60.0: 3.0, 300.0: 15.0, 600.0: 30.0,
        36_000.0: 30.0,
    }  # fmt: skip
    assert pauses == (whole if longest_s else {at: min(pause, 1.5) for at, pause in whole.items()})
