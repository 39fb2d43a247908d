"""When keys are rotated: ``every 30 days at 03:00 UTC``, with jitter, never inside a freeze window."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from rapidjws._checks import check_range, checked
from rapidjws.errors import RapidJWSError, error_for
from rapidjws.issuing.timing import KeyTiming, number, unsafe

DAY_S: Final = 86400
WEEK_S: Final = 7 * DAY_S
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONDAY_S: Final = 4 * DAY_S  # 1970-01-05 was a Monday
_UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": DAY_S, "week": WEEK_S}
_EVERY: Final = re.compile(
    r"every (?:(\d{1,5}) )?(second|minute|hour|day|week)s?(?: at (\d\d):(\d\d)(?: ?UTC| ?Z))?"
)
_WEEKLY: Final = re.compile(
    r"([a-z]{3})[a-z]* (\d\d):(\d\d) ?- ?([a-z]{3})[a-z]* (\d\d):(\d\d) UTC", re.IGNORECASE
)
FREEZES_MAX: Final = 1000
_EXAMPLE: Final = "a text such as 'every 30 days at 03:00 UTC' or 'every 12 hours'"
_FREEZE_EXAMPLE: Final = "'2026-12-20T00:00Z/2027-01-02T00:00Z' or 'fri 16:00 - mon 08:00 UTC'"


def _invalid(place: str, expected: str, actual: str | None = None) -> RapidJWSError:
    return error_for("configuration_invalid", f"issuing.{place}", expected, actual)


def _time_of_day(hours: str, minutes: str, place: str, text: str) -> int:
    if int(hours) > 23 or int(minutes) > 59:
        raise _invalid(place, "a time from 00:00 to 23:59", text)
    return int(hours) * 3600 + int(minutes) * 60


@checked
@dataclass(frozen=True, slots=True)
class FreezeWindow:
    """A time in which no key is promoted.

    Args:
        text: Two moments of ISO 8601 with a time zone and a slash between them, or a window of each week in
            UTC: ``fri 16:00 - mon 08:00 UTC``.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    text: str

    def __post_init__(self) -> None:
        self._bounds()

    def _bounds(self) -> tuple[bool, float, float]:
        """Return whether it comes each week, its begin and its end, in seconds of the epoch or the week."""
        weekly = _WEEKLY.fullmatch(self.text.strip())
        if weekly is not None:
            days = [weekly[1].lower(), weekly[4].lower()]
            if not set(days) <= set(WEEKDAYS):
                raise _invalid("freeze", f"days out of {' '.join(WEEKDAYS)}", self.text)
            begin, end = (
                WEEKDAYS.index(day) * DAY_S + _time_of_day(hours, minutes, "freeze", self.text)
                for day, hours, minutes in zip(days, weekly.group(2, 5), weekly.group(3, 6), strict=True)
            )
            if begin == end:
                raise _invalid("freeze", "a window with an end, less than a week", self.text)
            return True, begin, end
        first, slash, last = self.text.partition("/")
        try:
            moments = [datetime.fromisoformat(one.strip().replace("Z", "+00:00")) for one in (first, last)]
        except ValueError:
            raise _invalid("freeze", _FREEZE_EXAMPLE, self.text) from None
        if not slash or any(one.tzinfo is None for one in moments) or moments[0] >= moments[1]:
            raise _invalid("freeze", f"{_FREEZE_EXAMPLE}: time zones, the end after the begin", self.text)
        return False, moments[0].timestamp(), moments[1].timestamp()

    @checked
    def end_s(self, at_s: float) -> float | None:
        """Return the end of the window that a moment lies in, or None where it lies outside."""
        is_weekly, begin, end = self._bounds()
        if not is_weekly:
            return end if begin <= at_s < end else None
        in_week = (at_s - _MONDAY_S) % WEEK_S
        length = (end - begin) % WEEK_S
        into = (in_week - begin) % WEEK_S
        return at_s - into + length if into < length else None


@checked
@dataclass(frozen=True, slots=True)
class Schedule:
    """A rule for when the active key is replaced.

    Args:
        text: ``every 30 days at 03:00 UTC``, ``every week``, ``every 12 hours``, ``every 90 seconds``.
        jitter_s: Each rotation comes up to so much later, by the key's kid: the same for all issuers.
        freezes: Windows without promotions; what is due inside one comes at its end.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    text: str
    jitter_s: float = 0.0
    freezes: tuple[FreezeWindow, ...] = ()

    def __post_init__(self) -> None:
        check_range("issuing.jitter_s", self.jitter_s, 0, 30 * DAY_S)
        if len(self.freezes) > FREEZES_MAX:
            raise _invalid("freeze", f"at most {FREEZES_MAX} windows")
        self._parsed()
        if self.thawed_s(0.0) is None:
            raise _invalid("freeze", "windows that leave time for a promotion", "none of a week is left")

    def _parsed(self) -> tuple[int, int | None]:
        """Return the interval in seconds, and the time of the day in seconds, or None."""
        found = _EVERY.fullmatch(self.text.strip())
        if found is None:
            raise _invalid("schedule", _EXAMPLE, self.text)
        unit_s = _UNITS[found[2]]
        interval_s = int(found[1] or 1) * unit_s
        if not interval_s:
            raise _invalid("schedule", "an interval above 0", self.text)
        if found[3] is None:
            return interval_s, None
        if unit_s < DAY_S:
            raise _invalid("schedule", "a time of the day with days or weeks only", self.text)
        return interval_s, _time_of_day(found[3], found[4], "schedule", self.text)

    @property
    def interval_s(self) -> int:
        """Return the seconds between two rotations."""
        return self._parsed()[0]

    @checked
    def due_s(self, since_s: float, kid: str = "") -> float:
        """Return when a key is to be replaced.

        Args:
            since_s: When it began to sign, in seconds since the epoch.
            kid: Its name, from which the jitter is derived.

        Returns:
            Seconds since the epoch, outside of all freeze windows.
        """
        interval_s, of_day_s = self._parsed()
        due_s = since_s + interval_s
        if of_day_s is not None:  # counted in days: a rotation that came late shifts no later one
            day = datetime.fromtimestamp(since_s, timezone.utc).date() + timedelta(seconds=interval_s)
            midnight = datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
            due_s = midnight.timestamp() + of_day_s
        share = int.from_bytes(hashlib.sha256(kid.encode()).digest()[:8], "big") / 2**64
        due_s += share * self.jitter_s
        thawed_s = self.thawed_s(due_s)
        return due_s if thawed_s is None else thawed_s

    @checked
    def frozen_until_s(self, at_s: float) -> float | None:
        """Return when the freeze ends that a moment lies in, or None where it lies in none."""
        thawed_s = self.thawed_s(at_s)
        return None if thawed_s == at_s else thawed_s

    @checked
    def thawed_s(self, at_s: float) -> float | None:
        """Return the first moment from this one on that no window holds, or None where there is none."""
        for _ in range(len(self.freezes) * 3 + 1):
            ends = [end for one in self.freezes if (end := one.end_s(at_s)) is not None]
            if not ends:
                return at_s
            at_s = max(ends)
        return None

    @checked
    def check(self, timing: KeyTiming) -> None:
        """Refuse a schedule under which the next key would not be ready in time.

        Raises:
            ConfigurationError: ``key_timing_unsafe``.
        """
        if self.interval_s < timing.before_s:
            words = f"at least publish_before_s = {number(timing.before_s)} s"
            raise unsafe("issuing.schedule", words, f"every {self.interval_s} s")
