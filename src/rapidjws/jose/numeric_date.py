"""Times without rounding: a NumericDate as it is written (RFC 7519 s.2), and the moment it is compared with.

A moment is an integer of nanoseconds. A NumericDate may have any number of digits, so it is kept as the two
whole nanoseconds around it: a moment lies before the number where it lies before the upper one, and after it
where it lies after the lower one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rapidjws.errors import error_for
from rapidjws.jose.limits import CLOCK_FLOOR_S, NUMERIC_DATE_MAX_S

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

SECOND_NS: Final = 1_000_000_000
DATES: Final = ("exp", "nbf", "iat")
"""The claims that are a NumericDate (RFC 7519 s.4.1.4 to s.4.1.6)."""

_FRACTION_DIGITS: Final = 9
_EXPONENT_DIGITS: Final = 15
"""Digits of an exponent past which its size decides alone: no text holds so many digits."""


class NumericDate(NamedTuple):
    """A NumericDate between two whole nanoseconds.

    Attributes:
        floor_ns: The last nanosecond not after it.
        ceil_ns: The first nanosecond not before it.
    """

    floor_ns: int
    ceil_ns: int


def numeric_date(text: str) -> NumericDate | None:
    """Read a JSON number (RFC 8259 s.6) digit by digit.

    Args:
        text: The number as written, with or without a fraction and an exponent.

    Returns:
        The date; None where it lies before 1970 or after the last second of the year 9999.

    Source: RFC 7519 s.2.
    """
    mantissa, _, power = text.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return NumericDate(0, 0)
    if mantissa.startswith("-"):
        return None
    point = len(digits) - len(fraction) + _exponent(power)  # digits before the point, perhaps below zero
    if point > len(str(NUMERIC_DATE_MAX_S)):
        return None
    kept = max(0, point + _FRACTION_DIGITS)
    floor_ns = int(digits[:kept].ljust(kept, "0") or "0")
    ceil_ns = floor_ns + bool(digits[kept:].strip("0"))
    return NumericDate(floor_ns, ceil_ns) if ceil_ns <= NUMERIC_DATE_MAX_S * SECOND_NS else None


def _exponent(power: str) -> int:
    """Return an exponent, cut where only its sign matters."""
    digits = power.lstrip("+-").lstrip("0")
    size = int(digits or "0") if len(digits) <= _EXPONENT_DIGITS else 10**_EXPONENT_DIGITS
    return -size if power.startswith("-") else size


def numeric_dates(
    claims: Mapping[str, Any], claims_json: Callable[[], bytes], names: Collection[str] = DATES
) -> dict[str, NumericDate | None]:
    """Return the dates of a Claims Set.

    Args:
        claims: The claims, with numbers where one of ``names`` is there.
        claims_json: Gives the text they were read from; asked only where a date is no plain integer.
        names: The claims that are dates.

    Returns:
        Claim -> its date, or None for one out of range; nothing for a claim that is absent or null.
    """
    there = {name: claims[name] for name in names if claims.get(name) is not None}
    if not any(isinstance(value, float) for value in there.values()):
        return {name: _whole(value) for name, value in there.items()}
    texts = json.loads(claims_json(), parse_float=str, parse_int=str)  # a double would round them
    return {name: numeric_date(texts[name]) for name in there}


def _whole(seconds: int) -> NumericDate | None:
    """Return the date of whole seconds, or None out of range."""
    if not 0 <= seconds <= NUMERIC_DATE_MAX_S:
        return None
    return NumericDate(seconds * SECOND_NS, seconds * SECOND_NS)


def moment_ns(now: Any, place: str = "now") -> int:
    """Return a time that a caller gave in seconds, in nanoseconds.

    An int is exact. A float stands for the decimal number that ``repr`` writes, cut to nanoseconds: so a time
    that was written into a token as JSON and the same float given as ``now`` are equal. Floats near the
    present date resolve 0.24 microseconds.

    Args:
        now: Seconds since 1970-01-01T00:00:00Z, an int or a float, up to the year 9999.
        place: The parameter's name, for the error.

    Raises:
        ConfigurationError: ``configuration_invalid``: no number, not finite, or out of range.
    """
    if now.__class__ is int and 0 <= now <= NUMERIC_DATE_MAX_S:
        return int(now) * SECOND_NS
    if isinstance(now, bool) or not isinstance(now, (int, float)):
        raise error_for("configuration_invalid", place, "seconds since 1970, a number", type(now).__name__)
    if not 0 <= now <= NUMERIC_DATE_MAX_S:  # false for NaN
        shown = now if abs(now) < 10**30 else "a number out of range"
        raise error_for(
            "configuration_invalid", place, f"seconds since 1970, 0 to {NUMERIC_DATE_MAX_S}", shown
        )
    date = _whole(int(now)) if isinstance(now, int) else numeric_date(repr(float(now)))
    assert date is not None
    return date.floor_ns


def check_clock(now_ns: int, place: str) -> None:
    """Refuse the reading of a clock that lies before this release, as after a boot: nothing would be expired.

    Args:
        now_ns: Nanoseconds since the epoch, as a clock reads them.
        place: What was read, for the error.

    Raises:
        DependencyUnavailable: ``clock_implausible``.
    """
    if now_ns < CLOCK_FLOOR_S * SECOND_NS:
        raise error_for("clock_implausible", place, f"at least {CLOCK_FLOOR_S}", now_ns // SECOND_NS)


def spell_ns(ns: int) -> str:
    """Write nanoseconds as seconds, without trailing zeros."""
    seconds, rest = divmod(ns, SECOND_NS)
    return f"{seconds}.{rest:09d}".rstrip("0") if rest else str(seconds)
