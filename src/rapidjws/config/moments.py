"""Dates and times of a configuration file, as seconds since the epoch."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timezone
from typing import Final

from rapidjws.errors import error_for
from rapidjws.rollout.partner import checked_when_s

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_DATE: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?)?\Z", re.ASCII
)


def moment_s(place: str, when: str | date) -> int:
    """Return a moment out of ``2027-01-31`` (its first second, UTC) or ``2027-01-31T12:00:00+01:00``.

    A time without an offset is UTC as well, whatever the machine's time zone is.

    Args:
        place: The setting.
        when: Text, or a date or time of TOML's own.

    Raises:
        ConfigurationError: ``configuration_invalid``.
    """
    try:
        if isinstance(when, str):
            if not _DATE.match(when):  # what Python reads beyond that differs from version to version
                raise ValueError
            when = datetime.fromisoformat(when.replace("Z", "+00:00"))
        found = when if isinstance(when, datetime) else datetime.combine(when, time())
        found = found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found
        moment = (found - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        expected = "a date, 2027-01-31"
        raise error_for("configuration_invalid", place, expected=expected, actual=str(when)) from None
    return checked_when_s(place, int(moment))
