"""When keys are rotated, for any schedule, jitter and freeze windows: never frozen, never early, bounded."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rapidjws import RapidJWSError
from rapidjws.issuing import FreezeWindow, Schedule
from rapidjws.issuing.schedule import DAY_S, WEEKDAYS

FIRST_S, LAST_S = 1_600_000_000, 2_300_000_000  # leap days among them
HOURS = st.integers(0, 23)
MINUTES = st.integers(0, 59)


def at(hours: int, minutes: int) -> str:
    """Return a time of the day."""
    return f"{hours:02d}:{minutes:02d}"


def shown(at_s: float) -> str:
    """Return a moment in ISO 8601."""
    return datetime.fromtimestamp(at_s, timezone.utc).isoformat()


DAYS = st.sampled_from(WEEKDAYS)
WEEKLY = st.builds(
    lambda a, b, c, d, e, f: f"{a} {at(b, c)} - {d} {at(e, f)} UTC",
    DAYS,
    HOURS,
    MINUTES,
    DAYS,
    HOURS,
    MINUTES,
)
SINGLE = st.builds(
    lambda begin, length: f"{shown(begin)}/{shown(begin + length)}",
    st.integers(FIRST_S, LAST_S),
    st.integers(1, 90 * DAY_S),
)
PLAIN = st.builds(
    lambda count, unit: f"every {count} {unit}s",
    st.integers(1, 400),
    st.sampled_from(["second", "minute", "hour", "day", "week"]),
)
TIMED = st.builds(
    lambda count, unit, hours, minutes: f"every {count} {unit}s at {at(hours, minutes)} UTC",
    st.integers(1, 400),
    st.sampled_from(["day", "week"]),
    HOURS,
    MINUTES,
)


def schedule(text: str, jitter_s: float, freezes: list[str]) -> Schedule:
    """Return a schedule; what leaves no time for a promotion is refused, and no case here."""
    try:
        return Schedule(text, jitter_s=jitter_s, freezes=tuple(FreezeWindow(one) for one in freezes))
    except RapidJWSError:
        assume(False)
        raise


@given(
    text=st.one_of(PLAIN, TIMED),
    jitter_s=st.floats(0, DAY_S),
    freezes=st.lists(st.one_of(WEEKLY, SINGLE), max_size=4),
    since_s=st.floats(FIRST_S, LAST_S),
    kid=st.text(max_size=8),
)
def test_a_rotation_is_due_outside_of_freezes_and_not_early(
    text: str, jitter_s: float, freezes: list[str], since_s: float, kid: str
) -> None:
    """It comes after its interval, under a day sooner where it has a time of the day, and frozen never."""
    rule = schedule(text, jitter_s, freezes)
    due_s = rule.due_s(since_s, kid)
    assert rule.frozen_until_s(due_s) is None
    assert all(one.end_s(due_s) is None for one in rule.freezes)
    sooner_s = DAY_S if " at " in text else 0
    assert due_s >= since_s + rule.interval_s - sooner_s - 1e-3
    if not freezes:
        assert due_s <= since_s + rule.interval_s + jitter_s + sooner_s + 1e-3
    if " at " in text and not freezes and not jitter_s:
        assert f"{datetime.fromtimestamp(due_s, timezone.utc):%H:%M:%S}" == f"{text[-9:-4]}:00"


@given(
    freezes=st.lists(st.one_of(WEEKLY, SINGLE), min_size=1, max_size=4),
    at_s=st.integers(FIRST_S, LAST_S),
    later_s=st.integers(0, 30 * DAY_S),
)
def test_a_freeze_ends_at_the_first_moment_that_no_window_holds(
    freezes: list[str], at_s: int, later_s: int
) -> None:
    """Each moment before it lies in a window: after a stop of any length the next look decides alike."""
    rule = schedule("every day", 0.0, freezes)
    end_s = rule.thawed_s(at_s)
    assert end_s is not None
    assert all(one.end_s(end_s) is None for one in rule.freezes)
    between_s = at_s + later_s % max(1, int(end_s - at_s))
    if between_s < end_s:
        assert any(one.end_s(between_s) is not None for one in rule.freezes)
        assert rule.thawed_s(between_s) == end_s


@given(text=TIMED, zone=st.sampled_from(["CET", "Europe/Berlin", "EST", "+01:00", "local", ""]))
def test_no_zone_with_summer_time_is_taken(text: str, zone: str) -> None:
    """An hour that comes twice or never would be one of these: UTC is the only zone."""
    with pytest.raises(RapidJWSError) as refused:
        Schedule(text.replace("UTC", zone) if zone else text.replace("UTC", "CEST"))
    assert refused.value.code == "configuration_invalid"
