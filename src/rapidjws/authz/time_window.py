"""When a rule permits: hours of days in a time zone, and dates from and until which it does."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from rapidjws._checks import checked
from rapidjws.authz.claim_conditions import names_of
from rapidjws.authz.facts import Unmet
from rapidjws.errors import error_for

if TYPE_CHECKING:
    from collections.abc import Collection

    from rapidjws.authz.facts import Check, Facts

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\Z")
DAY_MIN: Final = 24 * 60


@checked(under="time_window")
class TimeWindow:
    """Hours of days in a time zone.

    Args:
        start: The first minute, ``"08:00"``.
        end: The minute before which it ends, ``"18:00"``; ``"24:00"`` for the day's end. Where it is not
            later than ``start`` the window goes past midnight, and belongs to the day on which it began.
        days: ``"mon"`` to ``"sun"``.
        zone: A name of the IANA time zone database; where a clock is put back, an hour counts twice.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """

    __slots__ = ("_days", "_end_min", "_start_min", "_zone")

    def __init__(
        self,
        *,
        start: str = "00:00",
        end: str = "24:00",
        days: Collection[str] = DAYS,
        zone: str = "UTC",
    ) -> None:
        self._start_min, self._end_min = _minute(start, "start"), _minute(end, "end")
        if self._start_min == self._end_min or self._start_min == DAY_MIN:
            raise error_for("configuration_invalid", "time_window.end", "another time than start")
        named = names_of(days, "time_window.days", f"some of {', '.join(DAYS)}")
        if not set(named) <= set(DAYS):
            raise error_for("configuration_invalid", "time_window.days", f"some of {', '.join(DAYS)}")
        self._days = frozenset(DAYS.index(one) for one in named)
        try:
            self._zone = ZoneInfo(zone)
        except Exception:  # no such file, or a name that is none
            expected = "a name of the IANA time zone database"
            raise error_for("configuration_invalid", "time_window.zone", expected, zone) from None

    def _holds(self, now_s: float) -> bool:
        """Return whether a moment lies in the window.

        Args:
            now_s: Seconds since the epoch.
        """
        local = datetime.fromtimestamp(now_s, timezone.utc).astimezone(self._zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self._start_min < self._end_min:
            return day in self._days and self._start_min <= minute < self._end_min
        if minute >= self._start_min:
            return day in self._days
        return minute < self._end_min and (day - 1) % 7 in self._days

    def check(self) -> Check:
        """Return the check of a moment; what holds for a minute is remembered for it."""
        kept = (-1, False)
        unmet = Unmet("outside_hours", "now")

        def check(facts: Facts) -> Unmet | None:
            nonlocal kept
            minute = int(facts.now_s // 60)
            known = kept  # one reference: threads see a pair that belongs together
            if known[0] != minute:
                known = kept = (minute, self._holds(facts.now_s))
            return None if known[1] else unmet

        return check


def _minute(text: str, name: str) -> int:
    if text == "24:00":
        return DAY_MIN
    found = _CLOCK.match(text)
    if found is None:
        raise error_for("configuration_invalid", f"time_window.{name}", "a time, 08:00", text)
    return int(found[1]) * 60 + int(found[2])


def dates_check(not_before_s: float | None, not_after_s: float | None) -> Check:
    """Return the check that the present lies between two moments, in seconds since the epoch.

    Raises:
        ConfigurationError: ``configuration_invalid``: the second one is not later.
    """
    first = float("-inf") if not_before_s is None else not_before_s
    last = float("inf") if not_after_s is None else not_after_s
    if not first < last:
        raise error_for("configuration_invalid", "rule.not_after", "later than not_before")
    unmet = Unmet("outside_hours", "now")

    def check(facts: Facts) -> Unmet | None:
        return None if first <= facts.now_s < last else unmet

    return check
